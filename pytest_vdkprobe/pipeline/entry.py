"""The database at a process's start: one that takes nobody in just now is waited for.

It starts, shuts down, or has no connection left: what ended there would be started again and again
by whoever looks after it, with no other outcome. What does not pass by itself, such as a wrong port
or password, ends the process with what to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import BusyError

if TYPE_CHECKING:
    from pytest_vdkprobe.pipeline.stopping import Stop

RETRY_S = 0.5
TELL_EVERY = 60

_log = logging.getLogger(__name__)


def let_in(act: Callable[[], object], stop: Stop) -> bool:
    """Do it as soon as the database lets us; False when the end is wanted before."""
    tries = 0
    while True:
        try:
            act()
        except BusyError as exc:
            if tries % TELL_EVERY == 0:
                _log.warning("the database is waited for: %s", exc)
            tries += 1
        else:
            if tries:
                _log.info("the database lets us in")
            return True
        if stop.wait(RETRY_S):
            return False
