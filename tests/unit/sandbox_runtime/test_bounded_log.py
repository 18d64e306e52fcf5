"""A log keeps its beginning and its end, and says what it left out."""

from __future__ import annotations

from pytest_vdkprobe.sandbox.bounded_log import BoundedLog


def test_a_short_log_is_kept_whole() -> None:
    log = BoundedLog()
    log.write("grüße ".encode()[:3])
    log.write("grüße ".encode()[3:])
    assert log.text() == "grüße "


def test_a_long_log_keeps_both_ends_and_says_what_is_missing() -> None:
    log = BoundedLog(head_bytes=10, tail_bytes=20)
    for number in range(1000):
        log.write(b"line %03d\n" % number)
    text = log.text()
    assert text.startswith("line 000\n")
    assert text.endswith("line 998\nline 999\n")
    assert "[... 8970 bytes left out ...]" in text


def test_a_single_huge_write_is_cut_too() -> None:
    log = BoundedLog(head_bytes=4, tail_bytes=4)
    log.write(b"a" * 1000 + b"end!")
    assert log.text() == "aaaa\n[... 996 bytes left out ...]\nend!"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    log = BoundedLog()
    log.write(b"\xff\x00ok")
    assert log.text().endswith("ok")
