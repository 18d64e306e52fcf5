"""Routes from configuration: their kinds, their placeholders, what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.accounting.profiles import PROFILES
from pytest_vdkprobe.config import Configuration, from_tables
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.routes import kinds
from pytest_vdkprobe.routes.problems import find_problems
from pytest_vdkprobe.routes.route import Route, settings_of
from tests.unit.routes.ends import Pipe, PipeSettings


@pytest.fixture(autouse=True)
def pipe_kind() -> None:
    kinds.register_target("pipe", PipeSettings, Pipe)
    kinds.register_reader("pipe", PipeSettings, Pipe)


def configured(**more: Any) -> Configuration:
    route = {"name": "r", "target": {"kind": "pipe"}, "reader": {"kind": "pipe"}, **more}
    return from_tables("platform.toml", {"routes": [route]}, environ={})


def problem(**more: Any) -> str:
    found = find_problems(configured(**more))
    assert len(found) == 1
    return str(found[0])


def test_sound_route_has_no_problems() -> None:
    assert find_problems(configured()) == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"target": {"kind": "pip"}}, "did you mean 'pipe'"),
        ({"target": {"kind": "kafak"}}, "did you mean 'kafka'"),
        ({"reader": {}}, "routes.0.reader.kind"),
        ({"reader": {"kind": "pipe", "nam": "x"}}, "did you mean name"),
        ({"profiles": ["smal"]}, "routes.0.profiles.0"),
        ({"records": 0}, "routes.0.records"),
        ({"rate_per_s": -1.0}, "routes.0.rate_per_s"),
        ({"late_s": -1.0}, "routes.0.late_s"),
        ({"profiles": []}, "routes.0.profiles"),
        ({"allow": {"losses": 1}}, "routes.0.allow.losses"),
        ({"within": 3}, "did you mean within_s"),
    ],
    ids=lambda part: part if isinstance(part, str) else next(iter(part)),
)
def test_what_is_wrong_is_named_with_file_and_key(more: dict[str, Any], told: str) -> None:
    text = problem(**more)
    assert "platform.toml" in text
    assert told.replace("'", "") in text.replace("'", "")


def test_route_without_a_reader_is_refused() -> None:
    tables = {"routes": [{"name": "r", "target": {"kind": "pipe"}}]}
    (found,) = find_problems(from_tables("platform.toml", tables, environ={}))
    assert "routes.0.reader" in str(found)


def test_placeholders_give_each_passage_names_of_its_own(tmp_path: Path) -> None:
    configuration = configured(
        name="My Route!",
        target={"kind": "pipe", "name": "t_{run}_{route}_{profile}_{way}_{{other}}"},
    )
    with Route(configuration, "My Route!", run_id="0123abcd", folder=tmp_path) as route:
        passage = route.passage(PROFILES["typed"])
        assert passage.target.settings.name == "t_0123abcd_my_route_typed_direct_{other}"  # type: ignore[attr-defined]


def test_records_of_each_passage_have_a_run_id_of_their_own(tmp_path: Path) -> None:
    # All may land in one table, where another passage's would be taken for this one's.
    configuration = configured(ways=["direct", "job"])
    route = Route(configuration, "r", run_id="0123abcd", folder=tmp_path)
    ids = [
        route.passage(PROFILES[name], way=way).run_id
        for name in ("small", "typed")
        for way in ("direct", "job")
    ]
    assert len(set(ids)) == 4
    assert all(one.startswith("0123abcd-") for one in ids)
    again = Route(configuration, "r", run_id="0123abcd", folder=tmp_path / "again")
    assert again.passage(PROFILES["small"]).run_id == ids[0]


def test_placeholder_of_an_engine_is_looked_up_only_where_it_stands(tmp_path: Path) -> None:
    asked: list[str] = []

    class Engines(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            asked.append(name)
            return super().__getitem__(name)

    engines = Engines(postgres_port="5432", kafka_servers="127.0.0.1:9092")
    configuration = configured(target={"kind": "pipe", "name": "{kafka_servers}"})
    route = Route(configuration, "r", run_id="0123abcd", folder=tmp_path, placeholders=engines)
    passage = route.passage(PROFILES["small"])
    assert passage.target.settings.name == "127.0.0.1:9092"  # type: ignore[attr-defined]
    assert asked == ["kafka_servers"]


def test_closing_a_route_removes_what_each_passage_made_even_if_one_fails(tmp_path: Path) -> None:
    route = Route(configured(), "r", run_id="0123abcd", folder=tmp_path)
    first, second = route.passage(PROFILES["small"]), route.passage(PROFILES["typed"])

    def broken() -> None:
        raise OSError("no way")

    second.target.remove = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no way"):
        route.close()
    ends: list[Any] = [first.target, first.reader, second.reader, second.target]
    assert [end.calls for end in ends] == [["remove", "close"]] * 3 + [["close"]]
    route.close()


def test_unknown_route_is_told_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match="no route called q") as error:
        settings_of(configured(), "q")
    assert "one of r" in str(error.value)
