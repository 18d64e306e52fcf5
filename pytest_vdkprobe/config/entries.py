"""What every entry of every list, `[[jobs]]` or `[[routes]]` or a user's own, may say of its steps.

Rooms type their own entries and know nothing of this: it is taken out before they see them, so that
a limit, a skip or a known failure is written alike wherever something is run for a list.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.config.configuration import Configuration


class KnownFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A step that is known to fail, until a day on which it counts again."""

    step: str
    """The step, as reports call it."""
    until: date
    """The last day, in UTC, on which its failure is expected: `2026-12-31`."""
    because: str
    """Why, for whoever reads the report: a ticket, say."""

    @property
    def expired(self) -> bool:
        """Whether its day has passed."""
        return datetime.now(UTC).date() > self.until

    def __str__(self) -> str:
        return f"until {self.until.isoformat()}: {self.because}"


class EntrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys that any entry of a list may have beside its own."""

    limits: dict[str, float] = {}
    """Seconds allowed per step, by the step's name: `{ deploy = 600 }`."""
    skip: str | dict[str, str] = {}
    """Why none of its steps is run, or by step why that one is not."""
    expected: tuple[KnownFailure, ...] = ()
    """Known failures, each with a day on which it counts again."""

    def limit_s(self, step: str) -> float | None:
        """What a step may take, if that is said here."""
        return _by_step(self.limits, step)

    def skipped(self, step: str) -> str | None:
        """Why a step is not run, if it is not."""
        return self.skip if isinstance(self.skip, str) else _by_step(self.skip, step)

    def known_failure(self, step: str) -> KnownFailure | None:
        """What is known of a step's failure."""
        return _by_step({known.step: known for known in self.expected}, step)

    @property
    def steps(self) -> dict[str, str]:
        """Every step that is named, with the key that names it."""
        named = {step: f"limits.{step}" for step in self.limits}
        named |= {} if isinstance(self.skip, str) else {s: f"skip.{s}" for s in self.skip}
        return named | {known.step: f"expected.{i}" for i, known in enumerate(self.expected)}

    def problems(self, *, file: str, key: str) -> list[ConfigError]:
        """Everything wrong with the numbers and texts."""
        found = [
            ConfigError(
                "A step's limit is a positive number of seconds.",
                file=file,
                key=f"{key}.limits.{step}",
                value=seconds,
                to_try="write for example 60",
            )
            for step, seconds in self.limits.items()
            if not 0 < seconds < float("inf")
        ]
        first: dict[str, int] = {}
        for i, known in enumerate(self.expected):
            if first.setdefault(known.step, i) != i:
                found.append(
                    ConfigError(
                        "Two known failures are of one step, and only one of them could count.",
                        file=file,
                        key=f"{key}.expected.{i}.step",
                        value=known.step,
                        to_try=f"make one of it and of {key}.expected.{first[known.step]}",
                    )
                )
        reasons = {"skip": self.skip} if isinstance(self.skip, str) else {}
        if isinstance(self.skip, dict):
            reasons = {f"skip.{step}": reason for step, reason in self.skip.items()}
        reasons |= {f"expected.{i}.because": known.because for i, known in enumerate(self.expected)}
        return found + [
            ConfigError(
                "The reason is empty, and nobody will know later why this was left out.",
                file=file,
                key=f"{key}.{place}",
                to_try='write why: "OPS-12, the vault moves in May"',
            )
            for place, reason in reasons.items()
            if not reason.strip()
        ]


T = TypeVar("T")
KEYS = tuple(field.name for field in msgspec.structs.fields(EntrySettings))
NOTHING = EntrySettings()


def without(table: object, wanted: type) -> object:
    """An entry as its room sees it: without the keys above, but those that are the room's own."""
    if not isinstance(table, dict):
        return table
    own = getattr(wanted, "__struct_fields__", None)
    if own is None:
        return table
    return {key: value for key, value in table.items() if key not in KEYS or key in own}


def only(table: object) -> dict[str, Any]:
    """The keys above, of an entry."""
    return {k: v for k, v in table.items() if k in KEYS} if isinstance(table, dict) else {}


def find_problems(configuration: Configuration, section: str) -> list[ConfigError]:
    """Everything wrong with these keys of a list's entries."""
    try:
        entries = configuration.entries(section)
    except ConfigError as problem:
        return [problem]
    return [
        problem
        for index, entry in enumerate(entries.values())
        for problem in entry.problems(file=configuration.name, key=f"{section}.{index}")
    ]


def _by_step(told: dict[str, T], step: str) -> T | None:
    """What is told of a step, by its whole name or without its parameters."""
    return told.get(step, told.get(step.partition("[")[0]))
