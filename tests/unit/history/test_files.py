"""Model files are found by patterns and hashed, whatever they hold and however they are linked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.history import files
from pytest_vdkprobe.history.changes import Change, Kind
from pytest_vdkprobe.history.files import Normalised, find_models
from pytest_vdkprobe.history.models import Model, stem_of


def write(folder: Path, **contents: str) -> None:
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("_sql", ".sql")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def paths(folder: Path, *patterns: str) -> list[str]:
    return [model.path for model in find_models(str(folder), patterns).models]


def test_patterns_are_globs_and_the_order_is_the_paths(tmp_path: Path) -> None:
    write(tmp_path, b_sql="", a__b__c_sql="", a__a_sql="", z="")
    assert paths(tmp_path, "**/*.sql") == ["a/a.sql", "a/b/c.sql", "b.sql"]
    assert paths(tmp_path, "*.sql") == ["b.sql"]
    assert paths(tmp_path, "./a/**/*.sql") == ["a/a.sql", "a/b/c.sql"]
    assert paths(tmp_path, "z", "*.sql", "**/*.sql") == ["a/a.sql", "a/b/c.sql", "b.sql", "z"]


def test_a_pattern_may_lead_out_of_the_base_path(tmp_path: Path) -> None:
    write(tmp_path, common__x_sql="", base__y_sql="")
    assert paths(tmp_path / "base", "../common/*.sql", "*.sql") == ["../common/x.sql", "y.sql"]


def test_two_files_of_one_stem_are_two_models(tmp_path: Path) -> None:
    write(tmp_path, a__x_sql="1", b__x_sql="2")
    (tmp_path / "a" / "x.csv").write_text("3")
    found = find_models(str(tmp_path), ["**/*.*"]).models
    assert [(model.path, stem_of(model.path)) for model in found] == [
        ("a/x.csv", "x"),
        ("a/x.sql", "x"),
        ("b/x.sql", "x"),
    ]


def test_links_to_files_count_and_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, real__x_sql="content")
    (tmp_path / "link.sql").symlink_to("real/x.sql")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "gone.sql").symlink_to("nowhere")
    found = find_models(str(tmp_path), ["**/*.sql"])
    assert [model.path for model in found.models] == ["link.sql", "real/x.sql"]
    assert len({model.digest for model in found.models}) == 1
    assert found.left_out == ("gone.sql",)


def test_names_that_are_no_text_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xe4.sql")).write_text("x")
    (tmp_path / "ä.sql").write_text("x")
    found = paths(tmp_path, "*.sql")
    assert "ä.sql" in found
    assert all(path.encode() for path in found)


def test_binary_files_are_hashed_and_have_no_whitespace(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0 \n\n1")
    (model,) = find_models(str(tmp_path), ["a"]).models
    assert model.digest == model.normal_digest == hashlib.sha256(b"\0 \n\n1").digest()


def test_many_files_are_the_same_in_threads(tmp_path: Path) -> None:
    for number in range(2 * files.AT_ONCE + 1):
        (tmp_path / f"{number:04}").write_text(f"content  {number}")
    found = find_models(str(tmp_path), ["*"]).models
    assert [model.path for model in found] == sorted(model.path for model in found)
    for number in (0, files.AT_ONCE, 2 * files.AT_ONCE):
        assert found[number].digest == hashlib.sha256(f"content  {number}".encode()).digest()
        normal = hashlib.sha256(f"content {number}".encode()).digest()
        assert found[number].normal_digest == normal


@given(
    pieces=st.lists(
        st.lists(st.sampled_from([b" ", b"\n", b"\t", b"a", b"bc", b"\xc3\xa4"])).map(b"".join)
    )
)
def test_a_file_read_in_pieces_has_the_hash_of_the_whole(pieces: list[bytes]) -> None:
    normal = Normalised()
    for piece in pieces:
        normal.update(piece)
    assert normal.digest() == hashlib.sha256(b" ".join(b"".join(pieces).split())).digest()


def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"a  b\n" * 10
    (tmp_path / "large").write_bytes(content)
    monkeypatch.setattr(files, "PIECE", 7)
    (model,) = find_models(str(tmp_path), ["large"]).models
    assert model.digest == hashlib.sha256(content).digest()
    assert model.normal_digest == hashlib.sha256(b" ".join(content.split())).digest()
    assert model.size_bytes == len(content)


def test_a_folder_that_may_not_be_read_does_not_look_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, open__x_sql="", closed__y_sql="")

    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match="can't be read: Permission denied"):
        find_models(str(tmp_path), ["**/*.sql"])


def test_a_file_that_vanishes_while_others_are_hashed_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a_sql="1", b_sql="2")
    real = files._read

    def remove_the_other(*given: Any) -> Model:
        (tmp_path / "b.sql").unlink(missing_ok=True)
        return real(*given)

    monkeypatch.setattr(files, "_read", remove_the_other)
    with pytest.raises(ConfigError, match="can't be read: No such file") as caught:
        find_models(str(tmp_path), ["*.sql"])
    assert "it was there a moment ago" in str(caught.value)


def test_a_change_is_one_line_whatever_is_in_the_names() -> None:
    change = Change(Kind.RENAMED, "LOAD", "new\nline.sql", "new\nline", old_path="a\x1b[2J\u2028b")
    assert str(change) == "renamed         LOAD  new\\nline.sql (was a\\x1b[2J\\u2028b)"


@pytest.mark.parametrize("name", ["a", "a.sql", "a.b.sql", ".hidden", "a.", "..a", ".a.sql", "ä.x"])
def test_stems_are_those_of_pathlib(name: str) -> None:
    assert stem_of(f"some.folder/{name}") == Path(f"some.folder/{name}").stem
