"""What came back is compared column by column: no change unseen, and no change that is none."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.accounting.differences import LOSSES, differences
from pytest_vdkprobe.accounting.payloads import COLUMNS, canonical_text, payload, text
from pytest_vdkprobe.accounting.profiles import PROFILES
from pytest_vdkprobe.records import same, typed_value, wire_json
from tests.unit.accounting.making import RUN, expectation

ALL = range(600)


@pytest.mark.parametrize("profile", PROFILES)
def test_record_that_came_back_over_json_is_unchanged(profile: str, tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", len(ALL), profile=profile)
    for seq in ALL:
        record = expected.record(seq)
        seen = wire_json(record)
        assert (
            differences(expected, seq, body=seen["body"], digest=seen["digest"], columns=seen) == []
        )


@pytest.mark.parametrize("profile", COLUMNS)
def test_text_made_directly_is_the_canonical_one(profile: str) -> None:
    for seq in ALL:
        assert text(profile, 'ru"n', seq) == canonical_text(payload(profile, 'ru"n', seq))


def changed_value(value: Any) -> Any:
    """The smallest change that a platform is known to make."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - 1 if value > 0 else value + 1
    if isinstance(value, float):
        return value / 2 if value and math.isfinite(value) else 1.0
    if isinstance(value, Decimal):
        return value + Decimal("0.0000000001").copy_sign(-value)
    if isinstance(value, datetime):
        return value + timedelta(hours=1)
    if isinstance(value, date):
        return value + timedelta(days=1)
    if isinstance(value, dict):
        return {**value, "seq": float(value["seq"])}
    if isinstance(value, str):
        return value[:-1] if value else None
    return ""


@pytest.mark.parametrize("column", COLUMNS["typed"])
def test_change_of_any_column_is_seen_and_named(column: str, tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", len(ALL), profile="typed")
    for seq in range(1, 45):
        record = expected.record(seq)
        columns = {**record.payload, column: changed_value(record.payload[column])}
        found = differences(expected, seq, body=record.body, digest=record.digest, columns=columns)
        assert [difference.field for difference in found] == [column], record.payload[column]


def test_other_time_of_sending_is_seen_where_a_place_carries_it(tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", 3)
    record = expected.record(2)
    seen: dict[str, Any] = {"body": record.body, "digest": record.digest, "columns": record.payload}
    assert differences(expected, 2, **seen) == []
    assert differences(expected, 2, **seen, sent_at_us=record.sent_at_us) == []
    for wrong in (record.sent_at_us + 1, str(record.sent_at_us), None):
        (found,) = differences(expected, 2, **seen, sent_at_us=wrong)
        assert found.field == "sent_at_us"


def test_number_of_another_kind_is_seen(tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", 3)
    record = expected.record(2)
    plain = {"body": record.body, "digest": record.digest}
    for n in (2.0, "2", True, None):
        (found,) = differences(expected, 2, **plain, columns={**record.payload, "n": n})
        assert found.field == "n"


def test_column_that_is_gone_is_named(tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", 3, profile="typed")
    record = expected.record(2)
    columns = {name: value for name, value in record.payload.items() if name != "day"}
    (found,) = differences(expected, 2, body=record.body, digest=record.digest, columns=columns)
    assert (found.field, found.seen) == ("day", "no such column")


def test_change_deep_in_a_long_text_is_shown_where_it_is(tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", 3, profile="typed")
    record = expected.record(1)
    long = record.payload["long"]
    assert len(long) == 1_000_000
    columns = {**record.payload, "long": long[:500_000] + "X" + long[500_001:]}
    (found,) = differences(expected, 1, body=record.body, digest=record.digest, columns=columns)
    assert "X" in found.seen
    assert found.sent != found.seen
    assert len(str(found)) < 400


def test_instant_in_the_hour_that_happens_twice_is_the_same_in_another_zone() -> None:
    from zoneinfo import ZoneInfo

    instant = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    for hour in range(3):
        moment = instant + timedelta(hours=hour)
        assert same(moment.astimezone(timezone(timedelta(hours=2))), moment)
        assert same(moment, moment.astimezone(ZoneInfo("Europe/Berlin")))
        assert not same(moment, moment + timedelta(hours=1))


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        ("5", "bigint"),
        (5.0, "bigint"),
        ("1.5", "double"),
        ("true", "boolean"),
        ("5_0", "decimal"),
        (" 5", "decimal"),
        (5.5, "bigint"),
        (Decimal("5.5"), "bigint"),
        (True, "bigint"),
        (True, "double"),
        (0.1, "decimal"),
        ("not a date", "date"),
        (datetime(2026, 1, 1), "date"),  # noqa: DTZ001 - the wrong type is the point
        ("2026-01-01T00:00:00", "timestamptz"),
        ("2026-01-01T00:00:00+00:00", "timestamp"),
        ("[" * 100_000, "json"),
        (object(), "double"),
    ],
    ids=lambda part: str(part)[:20] if isinstance(part, str) else type(part).__name__,
)
def test_value_that_is_not_of_its_type_stays_as_it_is_and_never_raises(
    seen: Any, kind: Any
) -> None:
    assert typed_value(seen, kind) is seen


@pytest.mark.parametrize("loss", LOSSES)
def test_only_what_is_declared_may_be_lost(loss: str, tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", len(ALL), profile="typed")

    def lossy(value: Any) -> Any:
        if loss == "special floats" and isinstance(value, float) and value - value != 0:
            return None
        if loss == "negative zero" and isinstance(value, float) and value == 0:
            return 0.0
        if loss == "empty text" and value == "":
            return None
        if loss == "microseconds" and isinstance(value, datetime):
            return value.replace(microsecond=value.microsecond // 1000 * 1000)
        return value

    seen_without = 0
    for seq in range(1, 40):
        record = expected.record(seq)
        columns = {name: lossy(value) for name, value in record.payload.items()}
        plain: dict[str, Any] = {"body": record.body, "digest": record.digest, "columns": columns}
        assert differences(expected, seq, **plain, losses=[loss]) == []
        seen_without += len(differences(expected, seq, **plain))
    assert seen_without > 0


def test_two_runs_never_make_the_same_record() -> None:
    small = PROFILES["small"]
    assert small.make(RUN, 1, sent_at_us=0).digest != small.make("ffffffff", 1, sent_at_us=0).digest
