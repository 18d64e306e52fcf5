"""A stream that goes on for weeks keeps nothing of the looks in which nothing was wrong."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.events.streams import seen, stream

LOOKS = 2000
LEAKED = 400 * LOOKS
"""Bytes; without `bitmaps.each` it is more than twice that."""


class Mallinfo(ctypes.Structure):
    """What the C library tells of its heap (malloc.h: struct mallinfo2)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )
    uordblks: int


def in_use() -> int:
    """Bytes of the C library's heap that are in use: Python's own small objects are not in it."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        pytest.skip("this C library does not tell what is in use (glibc 2.33 and later do)")
    library.mallinfo2.restype = Mallinfo
    gc.collect()
    return int(library.mallinfo2().uordblks)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


def test_looks_leave_nothing_behind(sandbox: Sandbox, tmp_path: Path) -> None:
    with stream(sandbox, tmp_path, watch=True) as made:
        made.open()
        made.start()
        seen(made, 20)
        for _ in range(200):
            made.take()
        before = in_use()
        for _ in range(LOOKS):
            made.take()
        assert in_use() - before < LEAKED
