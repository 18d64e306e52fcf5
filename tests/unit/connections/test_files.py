"""The two layouts of JSON files, taken apart wherever the bytes happen to be cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_vdkprobe.connections.files import Layout, OwnFile, Splitter, Torn, encode, remove_file
from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.leases import LeaseStore

LAYOUTS: tuple[Layout, ...] = ("lines", "vdk")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.lists(st.dictionaries(st.text(), VALUES, min_size=1, max_size=4), max_size=6)


def split(layout: Layout, *contents: bytes) -> list[Any]:
    splitter = Splitter(layout)
    return [found for content in contents for found in splitter.feed(content)]


@pytest.mark.parametrize("layout", LAYOUTS)
@given(documents=DOCUMENTS, data=st.data())
def test_objects_come_out_as_they_went_in_wherever_the_bytes_are_cut(
    layout: Layout, documents: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = b"".join(encode(document, layout) for document in documents)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert split(layout, *pieces) == documents


def test_the_layout_is_what_vdk_writes() -> None:
    documents: list[dict[str, Any]] = [{"a": 1, "b": {"c": [1, 2]}}, {"a": "}{"}]
    as_vdk = "".join(json.dumps(document, indent=4) for document in documents)
    assert b"".join(encode(document, "vdk") for document in documents) == as_vdk.encode()
    assert split("vdk", as_vdk.encode()) == documents


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_object_without_its_end_is_waited_for(layout: Layout) -> None:
    content = encode({"a": 1}, layout) + encode({"b": 2}, layout)
    splitter = Splitter(layout)
    assert list(splitter.feed(content[:-2])) == [{"a": 1}]
    assert splitter.rest
    assert list(splitter.feed(content[-2:])) == [{"b": 2}]
    assert splitter.rest == b""


def test_a_writer_that_was_cut_off_does_not_take_the_next_one_s_object_along() -> None:
    torn, whole = encode({"a": "lost in the middle"}, "vdk")[:15], encode({"b": 2}, "vdk")
    assert split("vdk", torn + whole) == [Torn(torn), {"b": 2}]


def test_a_torn_line_is_told() -> None:
    assert split("lines", b'{"a": \n{"b": 2}\n\n') == [Torn(b'{"a": \n'), {"b": 2}]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_python_s_nan_is_read(layout: Layout) -> None:
    content = json.dumps({"a": float("inf")}, indent=4 if layout == "vdk" else None)
    assert split(layout, content.encode() + b"\n") == [{"a": float("inf")}]


def test_bytes_that_are_no_text_are_torn() -> None:
    assert split("lines", b"\xff\xfe\n[1]\n") == [Torn(b"\xff\xfe\n"), Torn(b"[1]\n")]


@pytest.fixture
def leases(tmp_path: Path) -> LeaseStore:
    return LeaseStore(tmp_path / "leases", run_id="run-12345678")


def test_what_is_created_is_leased_before_and_gone_afterwards(
    tmp_path: Path, leases: LeaseStore
) -> None:
    own = OwnFile(tmp_path / "a" / "b" / "c.json", leases=leases, key="target")
    own.ensure(create=True)
    (lease,) = leases.all()
    assert (lease.kind, lease.name) == ("file", str(own.path))
    assert lease.where["folder"] == str(tmp_path / "a")
    assert own.path.stat().st_mode & 0o077 == 0
    own.remove()
    own.remove()
    assert not (tmp_path / "a").exists()
    assert leases.all() == []


def test_a_folder_in_which_somebody_keeps_something_stays(tmp_path: Path) -> None:
    own = OwnFile(tmp_path / "a" / "b.json", leases=None, key="target")
    own.ensure(create=True)
    (tmp_path / "a" / "theirs").touch()
    own.remove()
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["theirs"]


def test_a_file_that_was_there_stays(tmp_path: Path, leases: LeaseStore) -> None:
    path = tmp_path / "theirs.json"
    path.write_text("{}")
    own = OwnFile(path, leases=leases, key="target")
    own.ensure(create=True)
    assert leases.all() == []
    own.remove()
    assert path.read_text() == "{}"


def test_what_a_killed_run_left_is_swept_with_its_folders(
    tmp_path: Path, leases: LeaseStore
) -> None:
    path = tmp_path / "a" / "out.json"
    OwnFile(path, leases=leases, key="target").ensure(create=True)
    path.write_bytes(encode({"run_id": "run-12345678-0a1b2c", "seq": 0}, "vdk"))
    assert remove_file(leases.all()[0])
    assert not (tmp_path / "a").exists()
    assert remove_file(leases.all()[0])  # gone is gone


@pytest.mark.parametrize("content", ["", '{"theirs": 1}', '{"run_id": "run-12345678-0a1b2c"}'])
def test_a_file_that_took_the_name_is_left(
    tmp_path: Path, leases: LeaseStore, content: str
) -> None:
    path = tmp_path / "out.json"
    OwnFile(path, leases=leases, key="target").ensure(create=True)
    theirs = tmp_path / "theirs"
    theirs.write_text(content)  # while ours is there, so with another number
    theirs.rename(path)
    assert not remove_file(leases.all()[0])
    assert path.read_text() == content


def test_a_file_with_a_number_that_was_given_again_is_left(
    tmp_path: Path, leases: LeaseStore
) -> None:
    path = tmp_path / "out.json"
    OwnFile(path, leases=leases, key="target").ensure(create=True)
    path.write_text('{"theirs": 1}')
    assert not remove_file(leases.all()[0])
    assert path.exists()


@pytest.mark.parametrize(("name", "ours"), [("out.json", False), ("run-12345678.json", True)])
def test_an_empty_file_of_a_run_killed_as_it_made_it_is_told_by_its_name(
    tmp_path: Path, leases: LeaseStore, name: str, ours: bool
) -> None:
    path = tmp_path / name
    lease = leases.take("file", str(path), where={})
    path.touch()
    assert remove_file(lease) is ours
    assert path.exists() is not ours


def test_a_missing_file_that_may_not_be_created_is_named(tmp_path: Path) -> None:
    own = OwnFile(tmp_path / "none.json", leases=None, key="target")
    with pytest.raises(ConfigError, match=r"none\.json is not there") as caught:
        own.ensure(create=False)
    assert "key target.path" in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        OwnFile(tmp_path, leases=None, key="target").ensure(create=True)


def test_a_path_below_a_file_is_told_and_leaves_no_lease(
    tmp_path: Path, leases: LeaseStore
) -> None:
    (tmp_path / "file").touch()
    own = OwnFile(tmp_path / "file" / "x" / "y.json", leases=leases, key="target")
    with pytest.raises(ProbeError):
        own.ensure(create=True)
    assert leases.all() == []
