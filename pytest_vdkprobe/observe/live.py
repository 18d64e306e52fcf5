"""What is being waited for: one rewritten line on a terminal, plain log lines elsewhere.

`waiting` says what it polls and this draws it, to the right of what pytest has printed so far, and
wipes it when the wait is over: pytest goes on as if nothing had been there.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from typing import TextIO

import pytest

from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.waiting import WaitEvent, listening

LOGGER = logging.getLogger("vdkprobe")
SHOWN_AFTER_S = 0.5
"""Waits shorter than this are nothing to look at, and drawing them would only flicker."""
LOGGED_EVERY_S = 10.0
SAVE, RESTORE, WIPE = "\x1b7", "\x1b8", "\x1b[K"


class LogLines:
    """A log record when a wait's state changes, and now and then while it does not."""

    def __init__(self) -> None:
        self._state: tuple[str, str] | None = None
        self._told_s = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Listen while tests run."""
        with listening(self.show):
            return (yield)

    def show(self, event: WaitEvent) -> None:
        """Log what is new."""
        state = (event.what, event.state)
        if event.elapsed_s < self._told_s:
            self._told_s = 0.0
        if state == self._state and event.elapsed_s - self._told_s < LOGGED_EVERY_S:
            return
        self._state, self._told_s = state, event.elapsed_s
        LOGGER.info("%s", describe(event))


class LiveLine:
    """One line on a terminal, rewritten with each poll."""

    def __init__(self, config: pytest.Config, stream: TextIO) -> None:
        self._config = config
        self._stream = stream
        self._drawn = False

    @classmethod
    def on_terminal(cls, config: pytest.Config) -> LiveLine | None:
        """For a terminal that pytest prints to; None when it prints to a pipe or a file.

        pytest redirects standard output while tests run; a duplicate of it, taken before, still
        leads to the terminal.
        """
        try:
            if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
                return None
            descriptor = os.dup(sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            return None
        return cls(config, os.fdopen(descriptor, "w", encoding="utf-8", errors="replace"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Listen while tests run."""
        with listening(self.show):
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        """pytest is about to print: leave it a clean line, also after a wait that failed."""
        self.wipe()

    def pytest_unconfigure(self) -> None:
        """Close our end."""
        self.wipe()
        self._stream.close()

    def show(self, event: WaitEvent) -> None:
        """Draw the wait as it stands now."""
        if event.finished:
            self.wipe()
        elif event.elapsed_s >= SHOWN_AFTER_S:
            writer = self._config.get_terminal_writer()
            room = writer.fullwidth - writer.width_of_current_line - 2
            text = " ".join(describe(event).split())
            if room > 10:
                self._write(f"{SAVE} {text[:room]}{WIPE}{RESTORE}")
                self._drawn = True

    def wipe(self) -> None:
        """Take away what was drawn."""
        if self._drawn:
            self._write(WIPE)
            self._drawn = False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._drawn = False


def describe(event: WaitEvent) -> str:
    """`waiting for execution x: running, 12 polls, 3.2 of 60 s`, redacted and printable."""
    text = (
        f"waiting for {event.what}: {event.state}, {event.polls} polls, "
        f"{event.elapsed_s:.1f} of {event.limit_s:.0f} s"
    )
    return "".join(c if c.isprintable() else " " for c in redact(text))
