"""Every format in which clients send is read; anything else is refused with what is wrong."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pytest
from starlette.datastructures import Headers, QueryParams

from pytest_vdkprobe.sandbox.calls import Call
from pytest_vdkprobe.sandbox.ingestion import bodies
from pytest_vdkprobe.sandbox.ingestion.bodies import Row, by_table, encoded, parsed, rows_of
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError


def call(body: bytes, **headers: str) -> Call:
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Call("POST", "/", {}, QueryParams(""), given, body, "op", None, "http://x")


def test_a_list_and_an_object_are_records() -> None:
    assert rows_of(call(b'[{"a": 1}, {"a": null}]')) == [{"a": 1}, {"a": None}]
    assert rows_of(call(b'{"a": 1}')) == [{"a": 1}]
    assert rows_of(call(b"[]")) == []


def test_numbers_keep_their_digits_and_constants_their_names() -> None:
    [row] = parsed(b'{"a": 0.12345678901234567890123456789, "b": NaN, "c": -Infinity, "d": 1}')
    expected = {"a": Decimal("0.12345678901234567890123456789"), "b": "NaN", "c": "-Infinity"}
    assert row == {**expected, "d": 1}


def test_gzip_is_unpacked() -> None:
    packed = gzip.compress(b'[{"a": 1}]')
    assert rows_of(call(packed, content_encoding="GZIP")) == [{"a": 1}]


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        pytest.param(b"", {}, "no JSON", id="empty"),
        pytest.param(b"[{]", {}, "no JSON", id="broken"),
        pytest.param(b"\xff", {}, "no JSON", id="no-utf-8"),
        pytest.param(b"[" * 100_000, {}, "no JSON", id="deep"),
        pytest.param(b'[{"a": 1}, 2]', {}, "Element 1 is a int", id="number"),
        pytest.param(b"null", {}, "Element 0 is a NoneType", id="null"),
        pytest.param(b"{}", {"content_encoding": "gzip"}, "said to be gzip", id="not-packed"),
        pytest.param(
            gzip.compress(b"{}")[:-5], {"content_encoding": "gzip"}, "cut off", id="cut-off"
        ),
        pytest.param(b"{}", {"content_encoding": "br"}, "'br' is not known", id="coding"),
    ],
)
def test_anything_else_is_refused(body: bytes, headers: dict[str, str], why: str) -> None:
    with pytest.raises(BadRecordsError, match=why):
        rows_of(call(body, **headers))


def test_a_packed_body_can_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LONGEST_BODY_BYTES", 1000)
    with pytest.raises(BadRecordsError, match="more than 1000 bytes"):
        rows_of(call(gzip.compress(b" " * 2000), content_encoding="gzip"))


def test_records_are_told_apart_by_table() -> None:
    rows: list[Row] = [{"a": 1, "@table": "t"}, {"a": 2}, {"a": 3, "@table": "t"}]
    assert by_table(rows, "u") == {"t": [{"a": 1}, {"a": 3}], "u": [{"a": 2}]}
    with pytest.raises(BadRecordsError, match="Element 0 names no table"):
        by_table([{"a": 2}], None)
    with pytest.raises(BadRecordsError, match="Element 0 names no table"):
        by_table([{"a": 2, "@table": 7}], None)


def test_a_row_is_json_again() -> None:
    assert encoded({"a": Decimal("0.1"), "b": "ü"}) == '{"a":0.1,"b":"ü"}'.encode()
