"""What is different after an upgrade, sorted into expected, unexpected and lost.

Whatever goes missing with its owner is told once: of a job that is gone nobody wants to read fifty
lines about its properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pytest_vdkprobe.upgrade.settings import UpgradeSettings
from pytest_vdkprobe.upgrade.snapshot import Plain, Snapshot

ROWS = ".rows"
"""What names of row counts end with: they grow and shrink where other values change."""


class Difference(NamedTuple):
    """One thing that is not as it was."""

    name: str
    """The aspect and the entry: `jobs.hello.team`."""
    kind: str
    """`changed`, `added` or `lost`."""
    before: Plain
    after: Plain
    expected: bool = False

    @property
    def sort(self) -> str:
        """`expected`, `lost` or `unexpected`."""
        if self.expected:
            return "expected"
        return "lost" if self.kind == "lost" else "unexpected"

    def __str__(self) -> str:
        if self.after is None:
            return f"{self.name} is gone (was {_shown(self.before)})"
        if self.before is None:
            return f"{self.name} is new: {_shown(self.after)}"
        if isinstance(self.before, str) and self.before.startswith("hash "):
            return f"{self.name} has another value"
        return f"{self.name} was {_shown(self.before)}, is {_shown(self.after)}"


def differences(
    before: Snapshot, after: Snapshot, aspect: str, settings: UpgradeSettings
) -> list[Difference]:
    """All that differs in one aspect, what is not expected first."""
    old, new = before.aspects.get(aspect, {}), after.aspects.get(aspect, {})
    found = []
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was == now and type(was) is type(now):
            continue
        found.append(Difference(f"{aspect}.{name}", _kind(name, was, now), was, now))
    found = [
        one._replace(expected=settings.expects(one.kind, one.name))
        for one in _once(found, _owners(before), _owners(after))
    ]
    return sorted(found, key=lambda one: (one.expected, one.kind != "lost"))


def _kind(name: str, was: Plain, now: Plain) -> str:
    if was is None or now is None:
        return "lost" if now is None else "added"
    if name.endswith(ROWS) and isinstance(was, int) and isinstance(now, int):
        return "lost" if now < was else "added"
    return "changed"


def _owners(snapshot: Snapshot) -> set[str]:
    """The jobs of a snapshot, by name."""
    return {name.partition(".")[0] for name in snapshot.aspects.get("jobs", {})}


def _once(found: Iterable[Difference], before: set[str], after: set[str]) -> Iterator[Difference]:
    """Without what came or went with its job, but for one line about the job itself."""
    told: set[str] = set()
    for one in found:
        aspect, _, name = one.name.partition(".")
        owner = name.partition(".")[0]
        if aspect in ("versions", "tables") or (owner in before) is (owner in after):
            yield one
        elif aspect == "jobs" and owner not in told:
            told.add(owner)
            was, now = ("a job", None) if owner in before else (None, "a job")
            yield one._replace(name=f"jobs.{owner}", before=was, after=now)


def _shown(value: Plain) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, str) and value.startswith("hash "):
        return "a value"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
