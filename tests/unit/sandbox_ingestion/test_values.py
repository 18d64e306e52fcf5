"""A value lands exactly, or is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_vdkprobe.sandbox.ingestion.values import Unfit, fit_for


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("bigint", 2**63 - 1, "9223372036854775807"),
        ("bigint", "-9223372036854775808", "-9223372036854775808"),
        ("double precision", Decimal("5e-324"), "5E-324"),
        ("double", "NaN", "NaN"),
        ("double", "-Infinity", "-Infinity"),
        ("double", Decimal("-0.0"), "-0.0"),
        ("real", 1, "1"),
        ("decimal(38,10)", "0.0000000001", "0.0000000001"),
        ("numeric(38,10)", "9" * 28 + "." + "9" * 10, "9" * 28 + "." + "9" * 10),
        ("numeric(5,2)", "123.4500", "123.4500"),
        ("numeric(5,2)", Decimal("1E+2"), "100"),
        ("numeric", "1E+400", "1E+400"),
        ("boolean", True, "true"),
        ("boolean", "FALSE", "false"),
        ("date", "2028-02-29", "2028-02-29"),
        ("timestamp(6)", "2026-03-29T01:30:00.123456", "2026-03-29 01:30:00.123456"),
        ("timestamp without time zone", "2026-03-29 01:30", "2026-03-29 01:30"),
        ("timestamp(3)", "2026-03-29T01:30:00.123000", "2026-03-29 01:30:00.123000"),
        ("timestamp with time zone", "2026-03-29T01:30:00Z", "2026-03-29 01:30:00 +00:00"),
        ("timestamp(6) with time zone", "2026-03-29 01:30:00+0530", "2026-03-29 01:30:00 +05:30"),
        ("timestamp(6) with time zone", "2026-03-29 01:30:00 -09", "2026-03-29 01:30:00 -09:00"),
        ("character varying(3)", "äöü", "äöü"),
        ("varchar", {"a": [None, "ü"]}, '{"a":[null,"ü"]}'),
        ("jsonb", [1, Decimal("0.5")], "[1,0.5]"),
        ("json", '{"a": 1}', '{"a": 1}'),
        ("json", "plain", '"plain"'),
        ("uuid", "x", "x"),
        ("integer[]", [1, 2], "[1,2]"),
    ],
)
def test_a_value_becomes_text(kind: str, value: object, text: str) -> None:
    assert fit_for(kind, fraction_digits=6)(value) == text


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("smallint", 32768, "16 bits"),
        ("bigint", True, "no number"),
        ("bigint", "1.5", "no whole number"),
        ("bigint", "NaN", "no whole number"),
        ("double", "1e999", "too large"),
        ("double", "one", "no number"),
        ("decimal(38,10)", "0.00000000001", "11 digits behind"),
        ("decimal(38,10)", "1" + "0" * 28, "29 digits before"),
        ("decimal(5,2)", "1E+999999999", "digits before"),
        ("decimal(5,2)", "NaN", "no decimal"),
        ("boolean", 1, "neither true nor false"),
        ("date", "2026-02-29", "day is out of range"),
        ("date", "29.3.2026", "no date"),
        ("timestamp(3)", "2026-03-29T01:30:00.1234", "more than 3 digits"),
        ("timestamp(6)", "2026-03-29T25:30:00", "hour must be"),
        ("timestamp(6)", "2026-03-29T01:30:00Z", "the column does not keep"),
        ("timestamp(6) with time zone", "2026-03-29T01:30:00", "no zone"),
        ("timestamp(6)", 1800000000, "no timestamp"),
        ("varchar(3)", "abcd", "4 characters"),
        ("text", 5, "no text"),
        ("text", False, "no text"),
    ],
)
def test_what_would_be_bent_is_refused(kind: str, value: object, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        fit_for(kind, fraction_digits=6)(value)
