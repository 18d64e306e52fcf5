"""The account: the ledger reconciled with what was read, every record in exactly one class.

    sent = delivered + late + lost + refused + unknown + in_flight

Seen wins: a record that came out is delivered or late, whatever its sender knew of it; one that was
refused and came out is counted as contradicted beside it. One that did not come out is refused or
unknown as the ledger says; acknowledged, it is in flight until its late window closes, and lost
then. Duplicate, reordered, corrupted and foreign stand beside these classes: a record that came out
changed is delivered or late by its number, and corrupted as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.errors import NoEvidence, PlatformFailure, ProbeError

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.observation import Observation

CLASSES = ("delivered", "late", "lost", "refused", "unknown", "in_flight")
BESIDE = ("duplicate", "reordered", "corrupted", "foreign", "contradicted")
LIMITED = ("lost", "duplicate", "corrupted", "late", "refused", "foreign", "contradicted")
"""What must be 0 unless `require` is told otherwise."""
OPEN = ("in_flight", "unknown")
"""Of these nothing can be said yet, or ever: no evidence, but no failure of the platform either."""
NOT_OBSERVABLE = "not observable"
RANGES_SHOWN = 8


@dataclass
class Account:
    """Counts, and the numbers behind them. None: the route can't show it."""

    sent: int
    delivered: int
    late: int | None
    lost: int
    refused: int
    unknown: int
    in_flight: int
    duplicate: int
    reordered: int | None
    corrupted: int
    foreign: int
    contradicted: int
    observation: Observation
    members: dict[str, BitMap64] = field(default_factory=dict)
    """The record numbers of each class that is about single records."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a target refused, or could not tell."""
    closed: int = 0
    """The late windows of all records before this number have closed."""

    def since(self, before: Account | None) -> Account:
        """What is new against an earlier account of the same ledger, as an account by itself.

        Each record is in it that came into its class since; one that was lost and then came is
        late now. In flight is whatever is still open, an unknown one within its window included.
        """
        members = {name: numbers.copy() for name, numbers in self.members.items()}
        members["in_flight"] |= self.open_unknown()
        members["unknown"] = self.closed_unknown()
        duplicate, reordered, foreign = self.duplicate, self.reordered, self.foreign
        if before is not None:
            for name in members.keys() - {"in_flight", "unknown"}:
                members[name] -= before.members[name]
            members["unknown"] -= before.closed_unknown()
            duplicate -= before.duplicate
            foreign -= before.foreign
            reordered = None if reordered is None else reordered - (before.reordered or 0)
        count = {name: len(numbers) for name, numbers in members.items()}
        return replace(
            self,
            sent=sum(count[name] for name in CLASSES),
            delivered=count["delivered"],
            late=None if self.late is None else count["late"],
            lost=count["lost"],
            refused=count["refused"],
            unknown=count["unknown"],
            in_flight=count["in_flight"],
            duplicate=duplicate,
            reordered=reordered,
            corrupted=count["corrupted"],
            foreign=foreign,
            contradicted=count["contradicted"],
            members=members,
        )

    def closed_unknown(self) -> BitMap64:
        """The unknown ones that are waited for no more."""
        from pyroaring import BitMap64  # noqa: PLC0415 - as above

        unknown = self.members.get("unknown", BitMap64())
        return unknown & BitMap64(range(self.closed))

    def open_unknown(self) -> BitMap64:
        """The unknown ones that are still waited for."""
        return self.members["unknown"] - self.closed_unknown()

    @property
    def seen(self) -> int:
        """How many came out at all."""
        return self.delivered + (self.late or 0)

    @property
    def settled(self) -> bool:
        """Whether nothing that is still under way could change it for the better."""
        return self.in_flight == 0 and self.unknown == 0

    def __str__(self) -> str:
        """One line: how many of each class; those that are 0 and no news are left out."""
        parts = [f"sent {self.sent}", f"delivered {self.delivered}"]
        for name in (*CLASSES[1:], *BESIDE):
            count = getattr(self, name)
            if count:
                parts.append(f"{name.replace('_', ' ')} {count}")
        if self.observation.latency is not None and len(self.observation.latency):
            latency = self.observation.latency
            parts += [f"p50 {_duration(latency.at(50))}", f"p99 {_duration(latency.at(99))}"]
        unseen = [name for name in ("late", "reordered") if getattr(self, name) is None]
        if unseen:
            parts.append(f"{' and '.join(unseen)} {NOT_OBSERVABLE}")
        return ", ".join(parts)

    @property
    def evidence(self) -> list[str]:
        """The line, and what its reader had to add: that of many rows it compared some, say."""
        return [str(self), *self.observation.notes]

    def explain(self, *names: str) -> str:
        """The numbers and examples behind some classes, all unless named, a line each."""
        lines = []
        for name in names or (*CLASSES[1:], *BESIDE):
            count = getattr(self, name)
            if not count:
                continue
            line = f"{name.replace('_', ' ')} {count}"
            if self.members.get(name):
                line += f": record {shown_ranges(self.members[name])}"
            # Contradicted is what was refused and came.
            reason = self.reasons.get("refused" if name == "contradicted" else name)
            if reason is not None:
                line += f" ({reason})"
            lines.append(line)
            if name == "corrupted":
                lines += [f"  {difference}" for difference in self.observation.differences]
            if name == "foreign":
                lines += [f"  {example}" for example in self.observation.foreign_examples]
        return "\n".join([*lines, *self.observation.notes])

    def require(self, **limits: int) -> None:
        """Raise PlatformFailure if more of a class was counted than its limit, 0 unless given.

        `reordered` is limited only where it is given. Raises NoEvidence when nothing was sent or
        came out, when more than allowed is unknown or in flight, or when the route can't show what
        is limited; ProbeError for a class that there is not.
        """
        for name in limits:
            if name not in (*CLASSES[1:], *BESIDE):
                raise ProbeError(
                    f"An account has no class {name}.",
                    expected="limits for " + ", ".join((*CLASSES[1:], *BESIDE)),
                )
        if self.sent == 0:
            raise NoEvidence("Nothing was sent, so nothing can be said.", expected="records sent")
        allowed = {**dict.fromkeys((*LIMITED, *OPEN), 0), **limits}
        over = [name for name, limit in allowed.items() if (getattr(self, name) or 0) > limit]
        wrong = [name for name in over if name not in OPEN]
        if wrong:
            what = ", ".join(f"{getattr(self, name)} {name}" for name in wrong)
            raise PlatformFailure(
                f"Of {self.sent} records: {what}.",
                seen=f"{self}\n{self.explain(*wrong)}",
                expected=", ".join(f"{name} at most {allowed[name]}" for name in wrong),
            )
        if over:
            raise NoEvidence(
                f"Of {self.sent} records, what became of {self.in_flight + self.unknown} "
                "can't be said.",
                seen=f"{self}\n{self.explain(*over)}",
                expected="every record seen, refused or given up after its late window",
            )
        if self.seen == 0:
            raise NoEvidence(
                f"Not one of {self.sent} records came out.",
                seen=str(self),
                expected="some, so that something can be said of the route",
            )
        blind = [name for name in limits if getattr(self, name) is None]
        if blind:
            raise NoEvidence(
                f"The route can't show what was asked for: {', '.join(blind)} is {NOT_OBSERVABLE}.",
                seen=str(self),
                to_try="don't limit it, or read the records where time and order are kept",
            )

    def to_dict(self) -> dict[str, Any]:
        """For reports: counts, ranges, reasons, examples, latencies in seconds."""
        found: dict[str, Any] = {"sent": self.sent}
        for name in (*CLASSES, *BESIDE):
            count = getattr(self, name)
            found[name] = NOT_OBSERVABLE if count is None else count
        latency = self.observation.latency
        found["latency_s"] = NOT_OBSERVABLE if latency is None else latency.to_dict()
        found["records"] = {
            name: shown_ranges(members, at_most=1000)
            for name, members in self.members.items()
            if members and name != "delivered"
        }
        found["reasons"] = dict(self.reasons)
        found["corruptions"] = [str(difference) for difference in self.observation.differences]
        found["foreign_examples"] = list(self.observation.foreign_examples)
        found["notes"] = list(self.observation.notes)
        return found


def reconcile(expectation: Expectation, observation: Observation, *, now_us: int) -> Account:
    """Put every record that was sent into its class, as things stand at `now_us`."""
    from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

    sent = expectation.sent
    seen = observation.seen & sent
    late = seen & observation.late if observation.late is not None else BitMap64()
    unseen = sent - seen
    refused = unseen & expectation.refused
    unknown = (unseen & expectation.unknown) - refused
    missing = unseen - refused - unknown
    closed = expectation.closed_before(now_us)
    lost = missing & BitMap64(range(closed))  # a range costs nothing
    members = {
        "delivered": seen - late,
        "late": late,
        "lost": lost,
        "refused": refused,
        "unknown": unknown,
        "in_flight": missing - lost,
        "duplicate": observation.duplicated & sent,
        "reordered": observation.displaced & sent,
        "corrupted": observation.corrupted & sent,
        "contradicted": seen & expectation.refused,
    }
    count = {name: len(numbers) for name, numbers in members.items()}
    if sum(count[name] for name in CLASSES) != len(sent):
        raise AssertionError(f"the account does not add up: {count} of {len(sent)} sent")
    return Account(
        sent=len(sent),
        delivered=count["delivered"],
        late=count["late"] if observation.late is not None else None,
        lost=count["lost"],
        refused=count["refused"],
        unknown=count["unknown"],
        in_flight=count["in_flight"],
        duplicate=observation.duplicate,
        reordered=observation.reordered,
        corrupted=count["corrupted"],
        foreign=observation.foreign,
        contradicted=count["contradicted"],
        observation=observation,
        members=members,
        reasons=expectation.reasons,
        closed=closed,
    )


def shown_ranges(numbers: BitMap64, *, at_most: int = RANGES_SHOWN) -> str:
    """`17, 20-21`; cut after `at_most` stretches, with how many there are."""
    parts: list[str] = []
    position = numbers.min() if numbers else None
    while position is not None and len(parts) < at_most:
        last = _end_of_stretch(numbers, position)
        parts.append(str(position) if last == position else f"{position}-{last}")
        position = _next_after(numbers, last)
    text = ", ".join(parts)
    return text if position is None else f"{text}, ... {len(numbers)} in all"


def _end_of_stretch(numbers: BitMap64, first: int) -> int:
    """The last number of the stretch without gaps that begins at `first`, by halving."""
    low, high = first, numbers.max()
    while low < high:
        middle = (low + high + 1) // 2
        if numbers.contains_range(first, middle + 1):
            low = middle
        else:
            high = middle - 1
    return low


def _next_after(numbers: BitMap64, number: int) -> int | None:
    rank = numbers.rank(number)
    return numbers[rank] if rank < len(numbers) else None


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
