"""The upload is the same bytes wherever, whenever and in whatever order it is packed."""

from __future__ import annotations

import io
import zipfile

from hypothesis import given
from hypothesis import strategies as st

from pytest_vdkprobe.jobs.packing import digest, pack

FILES = {
    "config.ini": b"[job]\n",
    "10_a.py": b"x" * 500,
    "data/deep/x.csv": b"",
    "data/ä.txt": b"y",
}


def opened(packed: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(packed))


def test_the_order_of_the_files_does_not_matter() -> None:
    assert pack(FILES, "hello") == pack(dict(reversed(FILES.items())), "hello")


def test_the_bytes_are_those_that_they_have_always_been() -> None:
    """A change here makes every deployed job look changed: it must be meant."""
    stored = opened(pack(FILES, "hello"))
    assert [info.filename for info in stored.infolist()] == [
        "hello/",
        "hello/data/",
        "hello/data/deep/",
        "hello/10_a.py",
        "hello/config.ini",
        "hello/data/deep/x.csv",
        "hello/data/ä.txt",
    ]
    for info in stored.infolist():
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert info.extra == b""
        assert info.create_system == 3
        assert info.external_attr >> 16 == (0o40755 if info.is_dir() else 0o100644)


def test_unpacking_gives_the_files_back() -> None:
    archive = opened(pack(FILES, "hello"))
    assert archive.testzip() is None
    unpacked = {
        info.filename.removeprefix("hello/"): archive.read(info)
        for info in archive.infolist()
        if not info.is_dir()
    }
    assert unpacked == FILES


def test_all_is_below_one_top_folder() -> None:
    assert {name.split("/")[0] for name in opened(pack(FILES, "hello")).namelist()} == {"hello"}


@given(st.dictionaries(st.text("ab/", min_size=1), st.binary(max_size=5), max_size=4))
def test_digests_differ_when_anything_differs(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        assert digest(files) != digest({**files, name: content + b"x"})
        assert digest(files) != digest({k: v for k, v in files.items() if k != name})
    assert digest(files) == digest(dict(reversed(files.items())))


def test_a_digest_does_not_blur_names_and_contents() -> None:
    assert digest({"a": b"b", "c": b""}) != digest({"a": b"", "bc": b""})
    assert digest({"ab": b"c"}) != digest({"a": b"bc"})
