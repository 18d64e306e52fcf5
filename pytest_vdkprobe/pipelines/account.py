"""What became of each check: made at the website, written to Kafka, kept as a row. Hop by hop.

A check is told by its website and the moment at which it was due, so one that is lost and one that
is doubled are two faults and not none. The first hop at which something is wrong is named, because
what is wrong behind it follows from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from pytest_vdkprobe.errors import NoEvidence, PlatformFailure

SHOWN = 3
MICROSECONDS = 1_000_000


class Id(NamedTuple):
    """Which check: its website, and the moment at which it was due (microseconds since 1970)."""

    site: int
    slot_us: int


class Seen(NamedTuple):
    """A check as a message or a row has it."""

    id: Id
    code: int | None
    found: bool | None
    error: str | None
    at_us: int
    """When it came there."""
    took_s: float | None = None
    """How long the website took, as is said there."""

    @property
    def said(self) -> tuple[int | None, bool | None, str | None]:
        """What it says of the website."""
        return self.code, self.found, self.error


class Hop(msgspec.Struct, kw_only=True):
    """One hop of a window's checks."""

    name: str
    expected: int
    there: int
    """Of the expected ones."""
    lost: int
    twice: int
    """Checks that are there more than once."""
    altered: int
    """Checks that say something else than one hop before."""
    foreign: int
    """What is there and was never expected."""
    examples: list[str]
    p50_s: float | None
    p99_s: float | None
    """From one hop to the next."""

    @property
    def bad(self) -> dict[str, int]:
        """What is wrong, by name."""
        names = ("lost", "twice", "altered", "foreign")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def __str__(self) -> str:
        wrong = "".join(f", {count} {name}" for name, count in self.bad.items())
        took = f" ({self.p50_s:.3f} s, p99 {self.p99_s:.3f} s)" if self.p50_s is not None else ""
        return f"{self.name} {self.there} of {self.expected}{wrong}{took}"


CHECK, MESSAGE, ROW = "check", "message", "row"
PLACES = {
    CHECK: "made by a producer at the website",
    MESSAGE: "as a message in Kafka",
    ROW: "as a row in PostgreSQL",
}
WORDS = {
    (CHECK, "lost"): "{} checks were not made",
    (CHECK, "foreign"): "{} checks were made at moments at which none was due",
    (MESSAGE, "lost"): "{} checks were made and are no message in Kafka",
    (MESSAGE, "altered"): "{} messages say of a website what it did not do",
    (MESSAGE, "foreign"): "{} messages are of no check that was made",
    (ROW, "lost"): "{} messages are no row in PostgreSQL",
    (ROW, "twice"): "{} checks have more than one row",
    (ROW, "altered"): "{} rows say something else than their message",
    (ROW, "foreign"): "{} rows are of no check that was made",
}
TO_TRY = {
    CHECK: "see the producers' logs: are they up, is the website in their shard, do they keep up?",
    MESSAGE: "see the producers' logs for what they could not write, and the brokers'",
    ROW: "see the consumers' logs: are offsets committed before rows, is the key in its place?",
}


class PipelineAccount(msgspec.Struct, kw_only=True):
    """The account of one window."""

    hops: list[Hop]

    @property
    def settled(self) -> bool:
        """Whether nothing is missing any more."""
        return not any(hop.lost for hop in self.hops)

    @property
    def rows(self) -> int:
        """Checks that have their row."""
        return self.hops[-1].there

    def require(self) -> None:
        """Raise PlatformFailure for the first hop at which something is wrong."""
        if not self.hops[0].expected:
            raise NoEvidence("No check was due, so nothing is known of the pipeline.")
        for hop in self.hops:
            bad = [name for name in hop.bad if (hop.name, name) in WORDS]
            if not bad:
                continue
            what = ", ".join(WORDS[hop.name, name].format(hop.bad[name]) for name in bad)
            raise PlatformFailure(
                f"Of {hop.expected} checks: {what}.",
                seen="\n".join([str(self), *hop.examples]),
                expected=f"each check once {PLACES[hop.name]}",
                checked=f"hop {hop.name}, the first of {', '.join(PLACES)} that is bad",
                to_try=TO_TRY[hop.name],
            )

    def __str__(self) -> str:
        return "; ".join(map(str, self.hops))

    def to_dict(self) -> dict[str, Any]:
        """For reports."""
        return dict(msgspec.to_builtins(self))


Truth = Mapping[int, tuple[int | None, bool | None, str | None]]
"""What a check of each website must say; of an error its first word."""


def reconcile(
    due: Iterable[Id],
    hits: Sequence[tuple[Id, int]],
    messages: Sequence[Seen],
    rows: Sequence[Seen],
    truth: Truth,
) -> PipelineAccount:
    """The account of the checks that were due, from what websites, Kafka and PostgreSQL saw."""
    wanted = set(due)
    made = dict(reversed(hits))
    sent = {one.id: one for one in reversed(messages)}
    hop_check = _hop(
        CHECK,
        wanted,
        Counter(one for one, _ in hits),
        {},
        _delays(made, {i: i.slot_us for i in made}),
    )
    wrong = {
        one.id: f"says {_tell(one.said)}, the website did {_tell(truth[one.id.site])}"
        for one in messages
        if one.id in wanted and not _true(one, truth[one.id.site])
    }
    known = wanted & set(made)
    sent_at = {one.id: one.at_us for one in sent.values()}
    hop_message = _hop(
        MESSAGE, known, Counter(one.id for one in messages), wrong, _delays(sent_at, made)
    )
    altered = {
        one.id: f"says {_tell(one.said)}, its message {_tell(sent[one.id].said)}"
        for one in rows
        if one.id in sent and one.said != sent[one.id].said
    }
    # Of a check that was made twice, either message may have become the row.
    took: dict[Id, set[float | None]] = {}
    for one in messages:
        took.setdefault(one.id, set()).add(one.took_s)
    altered |= {
        one.id: f"says that the website took {one.took_s} s, its message {sent[one.id].took_s} s"
        for one in rows
        if one.id in took and one.took_s not in took[one.id] and one.id not in altered
    }
    kept_at = {one.id: one.at_us for one in rows}
    hop_row = _hop(
        ROW, known & set(sent), Counter(one.id for one in rows), altered, _delays(kept_at, sent_at)
    )
    return PipelineAccount(hops=[hop_check, hop_message, hop_row])


def _hop(
    name: str, expected: set[Id], there: Counter[Id], altered: Mapping[Id, str], delays: list[float]
) -> Hop:
    lost = expected - there.keys()
    foreign = there.keys() - expected
    twice = {one for one, count in there.items() if count > 1}
    changed = {one: said for one, said in altered.items() if one in expected}
    examples = [f"lost: {_shown(one)}" for one in sorted(lost)[:SHOWN]]
    if (name, "twice") in WORDS:
        examples += [f"twice: {_shown(one)}" for one in sorted(twice)[:SHOWN]]
    examples += [f"altered: {_shown(one)} {changed[one]}" for one in sorted(changed)[:SHOWN]]
    examples += [f"foreign: {_shown(one)}" for one in sorted(foreign)[:SHOWN]]
    delays.sort()
    return Hop(
        name=name,
        expected=len(expected),
        there=len(expected) - len(lost),
        lost=len(lost),
        twice=len(twice),
        altered=len(changed),
        foreign=len(foreign),
        examples=examples,
        p50_s=delays[len(delays) // 2] if delays else None,
        p99_s=delays[int(len(delays) * 0.99)] if delays else None,
    )


def _delays(later: Mapping[Id, int], earlier: Mapping[Id, int]) -> list[float]:
    return [(at - earlier[one]) / MICROSECONDS for one, at in later.items() if one in earlier]


def _true(one: Seen, truth: tuple[int | None, bool | None, str | None]) -> bool:
    code, found, word = truth
    error = (one.error or "").partition(":")[0] or None
    return (one.code, one.found, error) == (code, found, word)


def _tell(said: tuple[int | None, bool | None, str | None]) -> str:
    code, found, error = said
    return f"code {code}, expression {found}, error {error}"


def _shown(one: Id) -> str:
    return f"website {one.site} at {one.slot_us / MICROSECONDS:.6f}"
