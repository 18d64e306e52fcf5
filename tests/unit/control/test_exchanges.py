from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.control.exchanges import MOST, MOST_BYTES, ExchangeLog, conceal
from pytest_vdkprobe.secrets import Secret, redact


def add(log: ExchangeLog, **more: Any) -> None:
    exchange: dict[str, Any] = {
        "method": "GET",
        "url": "https://example.org/x",
        "status": 200,
        "op_id": "7f3a90c2-01",
        "started_at": datetime(2026, 11, 22, tzinfo=UTC),
        "elapsed_s": 0.01,
        "request_headers": {},
        "request_body": b"",
        "response_headers": {},
        "response_body": b"{}",
        "retries": 0,
        "notes": (),
        "error": None,
        "confidential": False,
    }
    log.add(**{**exchange, **more})


def test_polls_with_the_same_answer_are_one_exchange() -> None:
    log = ExchangeLog()
    for _ in range(1000):
        add(log)
    add(log, response_body=b'{"a":1}')
    first, last = log.read()
    assert (first.times, last.times) == (1000, 1)
    assert log.counts.calls == 1001


def test_memory_is_bounded_by_number_and_by_size() -> None:
    log = ExchangeLog()
    for number in range(MOST + 50):
        add(log, response_body=str(number).encode())
    assert len(log.read()) == MOST
    assert log.dropped == 50
    for number in range(200):
        add(log, response_body=str(number).encode() + b"x" * 1_000_000)
    assert sum(len(each.response_body) for each in log.read()) < MOST_BYTES
    assert log.read()[-1].response_body.startswith("199")


def test_a_long_body_is_cut_after_secrets_were_masked() -> None:
    log = ExchangeLog()
    Secret("canary-at-the-cut", "test")
    add(log, response_body=b"y" * 19_990 + b"canary-at-the-cut" + b"y" * 1000)
    body = log.read()[0].response_body
    assert body.startswith("y" * 19_990 + "[redacted]")
    assert "canary" not in body


def test_a_secret_that_became_known_later_is_masked_too() -> None:
    log = ExchangeLog()
    add(log, response_body=b"canary-known-later", url="https://example.org/canary-known-later")
    Secret("canary-known-later", "test")
    assert "canary" not in repr(log.read())
    assert "canary" not in repr(list(log._kept))


@pytest.mark.parametrize("name", ["Authorization", "Set-Cookie", "X-Api-Key", "x-auth-token"])
def test_headers_that_carry_logins_are_masked_by_name(name: str) -> None:
    log = ExchangeLog()
    add(log, request_headers={name: "anything"}, response_headers={name: "anything"})
    kept = log.read()[0]
    assert kept.request_headers == kept.response_headers == {name: "[redacted]"}


def test_the_bodies_of_a_confidential_call_are_not_kept() -> None:
    log = ExchangeLog()
    add(log, request_body=b"canary", response_body=b"canary", confidential=True)
    assert log.read()[0].request_body == log.read()[0].response_body == "[redacted]"


def test_binary_bodies_are_named_not_shown() -> None:
    log = ExchangeLog()
    add(
        log,
        method="POST",
        request_body=b"PK\x03\x04",
        request_headers={"Content-Type": "application/octet-stream"},
    )
    assert log.read()[0].request_body == "<4 bytes, or more, of application/octet-stream>"


def test_exchanges_are_written_as_json() -> None:
    log = ExchangeLog()
    add(log, response_body=b"\xff\x1b[31m")
    written = msgspec.json.decode(msgspec.json.encode(log.read()))
    assert written[0]["response_body"] == r"\xff\x1b[31m"
    assert written[0]["started_at"] == "2026-11-22T00:00:00Z"


def test_a_mark_forgets_everything() -> None:
    log = ExchangeLog()
    add(log)
    log.clear()
    assert log.read() == []
    assert log.counts.calls == 0


def test_what_confidential_headers_hold_is_masked_everywhere() -> None:
    known: set[str] = set()
    conceal({"X-Tenant-Key": "plain canary-4711-x", "X-Tenant": "blue-canary-4711"}, known=known)
    conceal({"Cookie": "a=1"}, known=known)
    assert "canary-4711-x" not in redact("sent plain canary-4711-x, and canary-4711-x")
    assert redact("blue-canary-4711 a=1") == "blue-canary-4711 a=1"
    assert known == {"plain canary-4711-x", "a=1"}
