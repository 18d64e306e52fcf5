"""A secret does not print itself, and no form of it passes the redactor."""

from __future__ import annotations

import base64
import copy
import html
import json
import pickle
import threading
import time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vdkprobe.secrets import MASK, REDACTOR, Redactor, Secret, redact

CANARY = "c4n4ry/+&<'\"%é token="


def redactor(*values: str) -> Redactor:
    made = Redactor()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        quote(CANARY),
        quote(CANARY, safe=""),
        quote(CANARY, safe="").lower().replace("%c3%a9", "%c3%a9"),
        quote_plus(CANARY),
        urlencode({"token": CANARY}),
        json.dumps({"token": CANARY}),
        json.dumps({"token": CANARY}, ensure_ascii=False),
        repr({"token": CANARY}),
        repr(CANARY.encode()),
        html.escape(CANARY),
        html.escape(CANARY, quote=False),
        CANARY.encode().hex(),
        CANARY.encode().hex().upper(),
        quote(quote(CANARY, safe=""), safe=""),
        html.escape(CANARY).replace("&#x27;", "&#39;"),
        html.escape(CANARY).replace("&#x27;", "&#039;"),
        html.escape(CANARY).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
        html.escape(CANARY).encode("ascii", "xmlcharrefreplace").decode(),
        CANARY.encode("ascii", "xmlcharrefreplace").decode(),
        ascii(CANARY),
        CANARY.encode().decode("latin-1"),
        repr(CANARY.encode().decode("latin-1")),
        CANARY.encode("latin-1").decode(errors="replace"),
    ],
)
def test_every_usual_form_is_masked(form: str) -> None:
    masked = redactor(CANARY).redact(f"before {form} after")
    assert MASK in masked
    assert "4n4ry" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "client-id:"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_base64_is_masked_wherever_the_secret_begins(before: str, after: str) -> None:
    raw = (before + "s3cr3t-t0ken?~" + after).encode()
    for encoded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        for text in (encoded.decode(), quote(encoded.decode(), safe="")):
            assert MASK in redactor("s3cr3t-t0ken?~").redact(f"Authorization: Basic {text}")


@settings(max_examples=50)
@given(st.text(min_size=8, max_size=30), st.binary(max_size=5), st.binary(max_size=5))
def test_any_text_can_be_a_secret(value: str, before: bytes, after: bytes) -> None:
    made = redactor(value)
    assert value not in made.redact(f"x{value}y")
    whole = base64.b64encode(before + value.encode() + after).decode()
    assert MASK in made.redact(whole)


def test_a_value_that_is_not_utf8_is_masked() -> None:
    from_environment = b"t0k\xffen-value".decode("utf-8", "surrogateescape")
    made = redactor(from_environment, "lone \ud800 surrogate")
    assert "en-value" not in made.redact(f"got {from_environment}")
    assert MASK in made.redact(base64.b64encode(b"t0k\xffen-value").decode())


def test_a_key_of_several_lines_is_masked_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nxyz\n-----END KEY-----\n"
    made = redactor(key)
    assert made.redact(key) == MASK
    assert "MIIE" not in made.redact("  | MIIEvQIBADANBgkqhkiG9w0BAQEF |")


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert redactor("token", "token-and-more").redact("token-and-more token") == f"{MASK} {MASK}"


def test_what_is_too_short_is_not_searched_for() -> None:
    assert redactor("", "1", "abc").redact("1 abc") == "1 abc"


def test_text_without_secrets_is_untouched() -> None:
    assert Redactor().redact("plain") == "plain"
    assert redactor("s3cr3t").redact("plain") == "plain"


def test_megabytes_are_redacted_in_a_moment() -> None:
    made = redactor(*(f"secret-token-value-{number}" for number in range(5)))
    text = "lorem ipsum dolor 0123456789abcdef " * 60_000 + "secret-token-value-3"
    started = time.process_time()
    assert made.redact(text).endswith(MASK)
    assert time.process_time() - started < 5


def test_secrets_can_be_added_from_several_threads() -> None:
    made = Redactor()
    values = [f"token-number-{number:04}" for number in range(80)]

    def add(part: list[str]) -> None:
        for value in part:
            made.add(value)

    threads = [threading.Thread(target=add, args=(values[first::4],)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "token" not in made.redact(" ".join(values))


LONG_SECRET = "Zq7f-Kx93_mB2w+8Lr5 tY1v/Hd6=pN4c%Gs0jUa"


@pytest.mark.parametrize("piece", [LONG_SECRET[:15], LONG_SECRET[11:26], LONG_SECRET[-15:]])
def test_a_piece_of_a_long_secret_is_masked_where_texts_were_cut(piece: str) -> None:
    made = Redactor()
    made.add(LONG_SECRET)
    for text in (piece, f"'{piece}...'", f"{piece} and again {piece}"):
        shown = made.redact_pieces(text)
        assert MASK in shown
        assert not any(piece[at : at + 8] in shown for at in range(8))


def test_short_pieces_and_short_secrets_are_left_where_texts_were_cut() -> None:
    made = Redactor()
    made.add(LONG_SECRET)
    made.add("production-password")
    for text in (LONG_SECRET[:11], "", "the production database"):
        assert made.redact_pieces(text) == text


def test_a_secret_tells_only_where_it_came_from() -> None:
    secret = Secret("t0p-s3cr3t", "environment VDK_API_TOKEN")
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "t0p" not in text
        assert "environment VDK_API_TOKEN" in text
    assert secret.reveal() == "t0p-s3cr3t"


def test_a_secret_is_redacted_everywhere_once_it_exists() -> None:
    secret = Secret("only-in-this-test-9d1f", "a test")
    assert redact(f"Bearer {secret.reveal()}") == f"Bearer {MASK}"
    assert REDACTOR.redact("only-in-this-test-9d1f") == MASK


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_written_down(write: object) -> None:
    assert callable(write)
    with pytest.raises(TypeError, match="not pickled"):
        write(Secret("t0p-s3cr3t", "a test"))


def test_secrets_compare_by_value() -> None:
    assert Secret("same-value", "a") == Secret("same-value", "b")
    assert len({Secret("same-value", "a"), Secret("same-value", "b")}) == 1
    assert Secret("same-value", "a") != "same-value"
    assert not hasattr(Secret("same-value", "a"), "__dict__")
