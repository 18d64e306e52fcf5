"""A regular expression searched for a limited time only.

Some expressions take years on some texts, and nothing else of the process runs meanwhile: one
website's would stop the checks of all. Python's matcher looks for signals as it goes, so an alarm
whose handler raises ends it. What counts is the processor's time, which is all that a search takes:
by the clock on the wall, a busy machine would be the expression's fault.
"""

from __future__ import annotations

import re
import signal
import threading
from types import FrameType

LIMIT_S = 0.2
"""Of the processor's time."""


class _TimeUp(Exception):  # noqa: N818 - it never leaves this module
    pass


def search(pattern: str, text: str, *, limit_s: float = LIMIT_S) -> bool:
    """Whether the text has it. Raises TimeoutError after `limit_s` of the processor's time.

    The limit holds in the main thread, and where there are alarms (POSIX).
    """
    compiled = re.compile(pattern)
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        return compiled.search(text) is not None
    found = False
    finished = False

    def ring(_number: int, _frame: FrameType | None) -> None:
        # It may ring in the moment in which the search has ended.
        if not finished:
            raise _TimeUp

    before = signal.signal(signal.SIGVTALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
        found = compiled.search(text) is not None
        finished = True
    except _TimeUp:
        raise TimeoutError(f"the regular expression took longer than {limit_s:g} s") from None
    finally:
        finished = True
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return found
