from __future__ import annotations

from xml.dom.minidom import parseString
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pytest_vdkprobe.control.errors import (
    excerpt,
    explain,
    printable,
    public_url,
    redirected_to,
    status_line,
)
from pytest_vdkprobe.control.models import ErrorMessage
from pytest_vdkprobe.secrets import Secret


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\x00b\x07c\x7f", r"a\x00b\x07c\x7f"),
        ("abc\u202egnp", r"abc\u202egnp"),
        (b"\xff\xfe ok", r"\xff\xfe ok"),
        ("\ud800", r"\ud800"),
        ("\uffff", r"\uffff"),
        ("snow \u2603 \U0001f600", "snow \u2603 \U0001f600"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\r\n", "\\x0d\n"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(hostile: str | bytes, shown: str) -> None:
    assert printable(hostile) == shown


@given(some.one_of(some.text(), some.binary()))
def test_whatever_is_answered_fits_into_xml(hostile: str | bytes) -> None:
    parseString(f"<a>{escape(printable(hostile))}</a>".encode())


def test_an_excerpt_is_one_short_line_without_secrets() -> None:
    Secret("canary-in-a-body", "test")
    text = excerpt(b"line one\nline two canary-in-a-body " + b"x" * 5000)
    assert text.startswith("line one line two [redacted] xxx")
    assert len(text) == 400
    assert text.endswith("...")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://eve:pass@example.org/a?b=c", "https://example.org/a?b=c"),
        ("https://[broken", "(an address that can't be read)"),
        ("/relative", "/relative"),
    ],
)
def test_an_address_is_shown_without_user_info(url: str, shown: str) -> None:
    assert public_url(url) == shown


def test_a_long_query_does_not_bury_the_line() -> None:
    assert len(public_url("https://example.org/?query=" + "x" * 1000)) == 300


def test_the_services_explanation_becomes_seen_and_to_try() -> None:
    told = ErrorMessage("It\x1b[1m broke.", "A cause.", None, "Wait.")
    assert explain(told) == (r"It\x1b[1m broke. A cause.", "Wait.")
    assert explain(None) == (None, None)


def test_unknown_status_codes_are_shown_as_numbers() -> None:
    assert (status_line(503), status_line(599)) == ("503 Service Unavailable", "599")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://u:p@login.example.org/a?ticket=abc", "https://login.example.org/a?..."),
        ("/login#token=abc", "/login?..."),
        ("/v2/jobs", "/v2/jobs"),
        ("http://[", "(an address that can't be read)"),
    ],
)
def test_redirect_is_shown_without_what_it_hands_on(location: str, shown: str) -> None:
    assert redirected_to({"location": location}) == shown
