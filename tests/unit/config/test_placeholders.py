"""`{name}` in a text: filled where something is known for it, refused where not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.config import load
from pytest_vdkprobe.config.placeholders import filled, unknown
from pytest_vdkprobe.problems import find_problems
from pytest_vdkprobe.routes.kinds import kind_of

HEAD = """\
[control]
url = "http://127.0.0.1:9"
team = "platform"

[[routes]]
name = "first"
target = { kind = "file", path = "{route}.json" }
reader = { kind = "file", path = "{route}.json" }

"""
ROUTE = """\
[[routes]]
name = "orders"
target = { kind = "kafka", servers = ["127.0.0.1:9"], topic = "t-{run}" }
reader = { kind = "file", path = "{route}.json" }
"""
EVENTS = """\
[[events]]
name = "orders"
target = { kind = "http", url = "http://127.0.0.1:9/{run}" }
reader = { kind = "file", path = "{route}.json" }
"""


def said(folder: Path, text: str) -> str:
    """Everything that is wrong with a file that holds this."""
    path = folder / "platform.toml"
    path.write_text(text)
    problems, _ = find_problems(load(str(path), environ={}))
    return "\n\n".join(map(str, problems))


@pytest.mark.parametrize(
    ("good", "bad", "key", "near"),
    [
        ("t-{run}", "t-{runn}", "routes.1.target.topic", "{run}"),
        ("t-{run}", "t-{Run}", "routes.1.target.topic", "{run}"),
        ("t-{run}", "t-{ run }", "routes.1.target.topic", "{run}"),
        ("127.0.0.1:9", "{runn}:9", "routes.1.target.servers.0", "{run}"),
        ("{route}", "{rout}", "routes.1.reader.path", "{route}"),
        ('"t-{run}"', '"t", key = "{seqq}"', "routes.1.target.key", "{seq}"),
        ('"t-{run}"', '"t", headers = { X = "{wayy}" }', "routes.1.target.headers.X", "{way}"),
        ('t-{run}"', 't-${HOST}"', "routes.1.target.topic", None),
    ],
)
def test_a_misspelt_placeholder_of_a_route_is_refused(
    tmp_path: Path, good: str, bad: str, key: str, near: str | None
) -> None:
    text = HEAD + ROUTE.replace(good, bad)
    told = said(tmp_path, text)
    line = next(n for n, one in enumerate(text.splitlines(), 1) if bad in one)
    assert f"platform.toml, line {line}, key {key}" in told
    assert (f"did you mean {near}?" if near else "where the braces are to stay") in told


@pytest.mark.parametrize("field", ["target", "method", "table", "name"])
def test_a_misspelt_placeholder_of_a_job_is_refused(tmp_path: Path, field: str) -> None:
    job = f'ways = ["job"]\njob = {{ {field} = "to-{{runn}}" }}\n'
    told = said(tmp_path, HEAD + ROUTE + job)
    assert f"key routes.1.job.{field}" in told
    assert "did you mean {run}?" in told


def test_a_misspelt_placeholder_of_events_is_refused(tmp_path: Path) -> None:
    told = said(tmp_path, HEAD + EVENTS.replace("{run}", "{runn}"))
    assert "key events.0.target.url" in told
    assert "line 12" in told
    assert "did you mean {run}?" in told


def test_a_key_of_a_column_that_only_another_profile_has_is_refused(tmp_path: Path) -> None:
    with_key = ROUTE.replace('"t-{run}"', '"t", key = "{seq}-{nobody}"')
    told = said(tmp_path, HEAD + with_key)
    assert "No record has a nobody for the key of its message." in told
    assert "platform.toml, line 12, key routes.1.target.key" in told


def test_known_placeholders_are_taken(tmp_path: Path) -> None:
    with_key = ROUTE.replace('"t-{run}"', '"t-{run}-{way}", key = "{run}-{run_id}-{seq}"')
    assert said(tmp_path, HEAD + with_key + EVENTS) == ""


def test_doubled_braces_stay_as_single_ones() -> None:
    assert filled("{{tenant}}-{run}", {"run": "0123abcd"}) == "{tenant}-0123abcd"
    assert list(unknown("{{tenant}}-{run}", {"run": ""}, ())) == []
    assert filled('{"a": {"b": 1}}', {"run": "x"}) == '{"a": {"b": 1}}'
    assert list(unknown('{"a": {"b": {}}}', {"run": ""}, ())) == []


def test_a_kind_says_which_of_its_settings_are_filled_later() -> None:
    assert kind_of("target", "kafka").settings.filled_later == ("key",)
