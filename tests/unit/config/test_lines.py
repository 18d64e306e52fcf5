"""The line of a setting, for messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.config import load
from pytest_vdkprobe.config.lines import line_of
from pytest_vdkprobe.config.origin import as_key
from pytest_vdkprobe.problems import find_problems

TEXT = """\
# a comment, [control] in it
[control]
url = "u"
auth = { kind = "none" }
"odd key" = 1

[[jobs]]
name = "one"
[[ jobs ]]
name = "two"
limits.deploy = 5
expected = [
  { step = "run" },
]
[jobs.contacts]
mailed = []

[run.limits]
deploy = 1
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("control.url", 3),
        ("control.auth.kind", 4),
        ("control.odd key", 5),
        ("control.team", 2),
        ("jobs.0.name", 8),
        ("jobs.1.name", 10),
        ("jobs.1.limits.deploy", 11),
        ("jobs.1.expected.0.step", 12),
        ("jobs.1.contacts.mailed.0", 16),
        ("jobs.2.name", None),
        ("run.limits.deploy", 19),
        ("watch.port", None),
    ],
)
def test_a_setting_is_found_or_what_it_stands_in(key: str, line: int | None) -> None:
    assert line_of(TEXT, as_key(key)) == line


def test_whatever_is_wrong_with_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "platform.toml"
    path.write_text('[control]\nurl = "u"\nteam = "t"\n\n[[jobs]]\nname = "BAD"\nlimits = {x=0}\n')
    problems, _ = find_problems(load(str(path), environ={}))
    assert [(p.key, p.line) for p in problems] == [
        ("control.url", 2),
        ("jobs.0.name", 6),
        ("jobs.0.limits.x", 7),
    ]
    assert f"Checked:   file {path}, line 6, key jobs.0.name" in str(problems[1])


def test_what_does_not_stand_in_the_file_is_told_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "platform.toml"
    path.write_text(
        '[control]\nurl = "http://127.0.0.1:9"\nteam = "t"\n[[jobs]]\nname = "good-job"\n'
    )
    given = load(str(path), environ={}, overrides={"jobs.0.name": "BAD"})
    problems, _ = find_problems(given)
    assert [(p.line, p.checked) for p in problems] == [(None, "key jobs.0.name from --vdk-set")]
