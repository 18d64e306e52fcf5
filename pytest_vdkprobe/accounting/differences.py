"""Whether a record came back as it was sent, column by column, less what the route can't carry."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.accounting import payloads
from pytest_vdkprobe.accounting.observation import Difference, shown, shown_apart
from pytest_vdkprobe.records import same, typed_value

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.expectation import Expectation

LOSSES = {
    "special floats": "NaN and infinities come back as null",
    "negative zero": "-0.0 comes back as 0.0",
    "empty text": "an empty text comes back as null",
    "microseconds": "times come back with milliseconds only",
}
"""What a target or reader may declare that it can't carry, and what is then no corruption."""

MISSING = object()
UNTOLD = object()
PLAIN = (int, str, bool, type(None))
"""Types whose `==` is all there is to say."""


def differences(
    expectation: Expectation,
    seq: int,
    *,
    body: object,
    digest: object,
    columns: Mapping[str, Any] | None,
    sent_at_us: object = UNTOLD,
    losses: Collection[str] = (),
) -> list[Difference]:
    """What of record `seq` is not as it was sent; `columns` is None where only the text landed.

    `sent_at_us` is left out where the place does not carry it.
    `losses` come on top of those that the expectation declares.
    """
    profile, run_id = expectation.profile, expectation.run_id
    found: list[Difference] = []
    expected_body = profile.body(run_id, seq)
    if body != expected_body:
        found.append(Difference(seq, "body", *shown_apart(expected_body, body)))
    elif digest != (expected := payloads.digest(expected_body)):
        found.append(Difference(seq, "digest", shown(expected), shown(digest)))
    if sent_at_us is not UNTOLD and sent_at_us != (intended := expectation.intended_us(seq)):
        found.append(Difference(seq, "sent_at_us", shown(intended), shown(sent_at_us)))
    if columns is None:
        return found
    carried: Collection[str] | None = None
    for name, value in profile.payload(run_id, seq).items():
        raw = columns.get(name, MISSING)
        # What came as it was sent needs no closer look; of floats, 0.0 and -0.0 are equal.
        if type(raw) is type(value) and type(raw) in PLAIN and raw == value:
            continue
        if raw is MISSING:
            found.append(Difference(seq, name, shown(value), "no such column"))
            continue
        if carried is None:
            carried = expectation.losses.union(losses)
        seen = typed_value(raw, profile.columns[name])
        if not same(value, seen) and not excused(value, seen, carried):
            found.append(Difference(seq, name, *shown_apart(value, seen)))
    return found


def excused(sent: Any, seen: Any, losses: Collection[str]) -> bool:
    """Whether the change is one that the route has declared."""
    if isinstance(sent, float) and not math.isfinite(sent):
        return "special floats" in losses and seen is None
    if isinstance(sent, float) and sent == 0:
        return "negative zero" in losses and isinstance(seen, float) and seen == 0
    if sent == "":
        return "empty text" in losses and seen is None
    if isinstance(sent, datetime) and isinstance(seen, datetime):
        cut = sent.replace(microsecond=sent.microsecond // 1000 * 1000)
        return "microseconds" in losses and same(cut, seen)
    return False
