"""What a run's processes and their engines' supervisor tell each other: a line of JSON each."""

from __future__ import annotations

import msgspec

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox.engines.addresses import Addresses


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as all its processes know it."""

    folder: str
    """Belongs to the run's engines alone, and goes with them."""
    owner: Process
    """With this process the engines live and die: pytest's controller."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Where the supervisor listens: what it leaves in the run's folder once it does."""

    process: Process
    socket: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted: these engines, started if need be; or the end of them all."""

    names: tuple[str, ...] = ()
    stop: bool = False
    restart: str = ""
    """An engine that runs, to be stopped and started again with its data."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A ProbeError on its way between processes."""

    what: str
    seen: str | None = None
    expected: str | None = None
    checked: str | None = None
    to_try: str | None = None

    @classmethod
    def of(cls, error: ProbeError) -> Trouble:
        """The error's lines."""
        return cls(
            what=error.what,
            seen=error.seen,
            expected=error.expected,
            checked=error.checked,
            to_try=error.to_try,
        )

    def error(self) -> ProbeError:
        """The error again."""
        return ProbeError(
            self.what,
            seen=self.seen,
            expected=self.expected,
            checked=self.checked,
            to_try=self.to_try,
        )


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of progress; or what ends the conversation: addresses or trouble."""

    progress: str | None = None
    addresses: Addresses | None = None
    trouble: Trouble | None = None
