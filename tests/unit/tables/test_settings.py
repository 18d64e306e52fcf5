"""What of [[tables]] is refused before anything is made, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.config import load
from pytest_vdkprobe.tables.problems import find_problems
from pytest_vdkprobe.tables.settings import TablesSettings, by_whom, places

DATABASE = 'database = { kind = "trino", host = "db", catalog = "memory", schema = "default" }'
POSTGRES = 'database = { kind = "postgres", host = "db", user = "u", database = "d" }'
CONTROL = '[control]\nurl = "http://127.0.0.1:9"\nteam = "blue"\nauth = { kind = "none" }\n'


def problems(tmp_path: Path, entry: str, *, control: str = CONTROL) -> list[str]:
    path = tmp_path / "platform.toml"
    path.write_text(f'{control}[[tables]]\nname = "lake"\n{entry}\n')
    return [str(problem) for problem in find_problems(load(str(path)))]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (DATABASE.replace("trino", "oracle"), "tables.0.database.kind"),
        (DATABASE.replace(', schema = "default"', ""), "is needed, for the tables"),
        (DATABASE.replace("host", "hots"), "did you mean host?"),
        (DATABASE.replace('"db"', '"{host}"'), "Nothing is known to fill in for {host}."),
        (f'{DATABASE}\nmoves = ["scd2"]', "Nothing moves rows in this way"),
        (f"{DATABASE}\nmoves = []", "without moves shows nothing"),
        (f'{DATABASE}\nwithout = ["id"]', "No column that may be left out"),
        (f'{DATABASE}\nprefix = "{"x" * 40}"', "A table's name would be too long"),
        (f'{DATABASE}\ncalled = {{ sauce = "x" }}', "No table has this role"),
        (f'{DATABASE}\nvdk = {{ trino_password = "x" }}', "is uploaded as it is"),
        (f'{DATABASE}\nby = "probe"\nmoves = ["scd1"]', "Templates are run by a data job"),
        (
            f'{POSTGRES}\nmoves = ["scd1"]',
            "Templates are run by a data job, in Trino",
        ),
    ],
)
def test_unusable_entry_is_named(entry: str, says: str, tmp_path: Path) -> None:
    found = problems(tmp_path, entry)
    assert len(found) == 1, found
    assert says in found[0]


def test_job_without_a_control_service_is_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, f'{DATABASE}\nby = "job"', control="")
    assert "A data job needs a Control Service" in found


@pytest.mark.parametrize(
    ("control", "by", "moves"), [(CONTROL, "job", 6), ("", "probe", 2)], ids=["with", "without"]
)
def test_a_job_moves_wherever_there_is_a_control_service(
    control: str, by: str, moves: int, tmp_path: Path
) -> None:
    assert problems(tmp_path, DATABASE, control=control) == []
    configuration = load(str(tmp_path / "platform.toml"))
    (entry,) = configuration.sections("tables", TablesSettings)
    assert by_whom(entry, configuration) == by
    assert len(entry.moves_of(by=by)) == moves
    assert [place.place for place in places(configuration)] == ["db:8080"]
