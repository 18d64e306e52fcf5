"""`vdkprobe history` does what the orchestrator's scripts expect, and says what is wrong."""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from pathlib import Path

import pytest

from pytest_vdkprobe.cli.history import arranged
from pytest_vdkprobe.cli.main import main

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n")
NONE = "NO_LAST_SUCCESSFUL_EXECUTION"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d\n")


class Shell:
    """Calls commands on one database and keeps what they said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'history.db'}"
        self._capsys = capsys
        self.code = 0
        self.err = ""

    def run(self, *words: str) -> str:
        """Standard output of `vdkprobe history URL words...`."""
        return self.call(self.url, *words)

    def call(self, *words: str) -> str:
        """As `run`, without the connection string."""
        try:
            self.code = main(["history", *words])
        except SystemExit as exc:
            self.code = int(exc.code or 0)
        said = self._capsys.readouterr()
        self.err = said.err
        return said.out

    def refused(self, *words: str) -> str:
        """The one line that says what is wrong; nothing on standard output, no traceback."""
        assert self.run(*words) == ""
        assert self.code == 4, self.err
        lines = [line for line in self.err.splitlines() if " - WARNING - " not in line]
        assert len(lines) == 1, self.err
        return lines[0]

    def execution(self) -> str:
        return self.run("init-execution").strip()

    def step(self, execution: str, *patterns: str, name: str = "LOAD") -> str:
        return self.run("init-step", execution, name, str(self.folder), *patterns).strip()


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


@pytest.mark.parametrize(
    "words",
    [("-l", "{}", "list"), ("{}", "{}"), ("list", "{}"), ("{}", "list", "{}"), ("{}", "{}?a=b")],
)
def test_a_password_in_the_wrong_place_is_not_shown_either(
    words: tuple[str, ...], shell: Shell
) -> None:
    url = "postgresql://me:zJ4kq8Wm@127.0.0.1:9/d"
    assert shell.call(*(word.format(url) for word in words)) == ""
    assert shell.code == 4
    assert "zJ4kq8Wm" not in shell.err


def test_a_step_is_compared_by_its_id_when_another_has_its_name(shell: Shell) -> None:
    for name in ("orders.sql", "people.csv"):
        (shell.folder / name).write_text(name)
    execution = shell.execution()
    first, second = shell.step(execution, "*.sql"), shell.step(execution, "*.csv")
    assert shell.run("compare-step-models", first, NONE) == "orders\n"
    assert shell.run("compare-step-models", second, NONE) == "people\n"


def test_results_are_one_line_on_standard_output(shell: Shell) -> None:
    (shell.folder / "orders.sql").write_text("select 1")
    (shell.folder / "people.csv").write_text("a,b")
    assert shell.run("get-last-successful-execution") == f"{NONE}\n"
    assert MOMENT.fullmatch(shell.run("get-execution-completion-timestamp", NONE))
    execution = shell.run("init-execution")
    assert GUID.fullmatch(execution)
    execution = execution.strip()
    assert shell.run("get-execution-completion-timestamp", execution) == "\n"
    step = shell.run("init-step", execution, "load", str(shell.folder), "*.sql", "**/*.csv")
    assert GUID.fullmatch(step)
    assert shell.run("compare-step-models", step.strip(), NONE) == "orders people\n"
    assert shell.run("complete-step", step.strip(), "--rows-processed", "12") == ""
    assert "(LOAD) COMPLETED: started" in shell.err
    assert shell.run("complete-execution", execution) == ""
    assert shell.run("get-last-successful-execution") == f"{execution}\n"
    assert MOMENT.fullmatch(shell.run("get-execution-completion-timestamp", execution))


def test_an_execution_may_bring_its_id(shell: Shell) -> None:
    given = str(uuid.uuid4())
    assert shell.run("init-execution", "-id", given) == f"{given}\n"
    assert "already" in shell.refused("init-execution", "--execution-id", given)


def test_names_that_only_the_readme_has_work(shell: Shell) -> None:
    (shell.folder / "orders.sql").write_text("select 1")
    first = shell.execution()
    assert shell.run("persist-models", first, "load", str(shell.folder), "*.sql") == ""
    shell.run("complete-execution", first)
    assert MOMENT.fullmatch(shell.run("get-execution-last-updated-timestamp", first))
    second = shell.execution()
    (shell.folder / "orders.sql").write_text("select 2")
    shell.run("persist-models", second, "load", str(shell.folder), "*.sql")
    assert shell.run("compare-models", first, second, "load") == "orders\n"
    assert "no step TRANSFORM" in shell.refused("compare-models", first, second, "transform")


@pytest.mark.parametrize("rows", [(), ("--rows-processed",), ("--rows-processed", "")])
def test_the_number_of_rows_may_be_empty(shell: Shell, rows: tuple[str, ...]) -> None:
    step = shell.step(shell.execution(), "*")
    assert shell.run("complete-step", step, *rows) == ""
    assert shell.code == 0


@pytest.mark.parametrize("rows", ["-1", "9223372036854775808", "1.5", "1e3", "many", "9" * 400])
def test_a_number_of_rows_that_can_not_be_is_refused(shell: Shell, rows: str) -> None:
    step = shell.step(shell.execution(), "*")
    assert "is no number of rows" in shell.refused("complete-step", step, "--rows-processed", rows)
    assert shell.run("complete-step", step, "--rows-processed", str(2**63 - 1)) == ""
    assert shell.code == 0


UNKNOWN = str(uuid.uuid4())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("complete-step", UNKNOWN), f"There is no step {UNKNOWN}."),
        (("fail-step", UNKNOWN), f"There is no step {UNKNOWN}."),
        (("compare-step-models", UNKNOWN, NONE), f"There is no step {UNKNOWN}."),
        (("complete-execution", UNKNOWN), f"There is no execution {UNKNOWN}."),
        (("fail-execution", UNKNOWN), f"There is no execution {UNKNOWN}."),
        (("heartbeat", UNKNOWN), f"There is no execution {UNKNOWN}."),
        (("init-step", UNKNOWN, "LOAD", ".", "*"), f"There is no execution {UNKNOWN}."),
        (("get-execution-completion-timestamp", UNKNOWN), f"There is no execution {UNKNOWN}."),
        (("show", UNKNOWN), f"There is no execution {UNKNOWN}."),
        (("show",), "There is no execution yet."),
        (("complete-step", "nonsense"), "'nonsense' is no id of a step."),
        (("complete-execution", ""), "'' is no id of an execution."),
        (("init-execution", "-id", "12"), "'12' is no id of an execution."),
        (("list", "--status", "DONE"), "'DONE' is no status."),
        (("prune",), "Nothing says what is to be kept."),
        (("downgrade", "nonsense"), "That revision can't be reached"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_bad_input_is_told_in_one_line(shell: Shell, words: tuple[str, ...], said: str) -> None:
    shell.run("list")
    assert shell.refused(*words).startswith(said)


def test_a_step_completes_once(shell: Shell) -> None:
    execution = shell.execution()
    step, other = shell.step(execution, "*"), shell.step(execution, "*", name="TRANSFORM")
    shell.run("complete-step", step)
    assert "has ended: COMPLETED" in shell.refused("complete-step", step)
    assert "has ended: COMPLETED" in shell.refused("fail-step", step)
    shell.run("complete-execution", execution)
    assert f"step {other} (TRANSFORM) was never completed" in shell.err
    for words in (
        ("complete-step", other),
        ("complete-execution", execution),
        ("fail-execution", execution),
        ("init-step", execution, "LOAD", str(shell.folder), "*"),
    ):
        assert f"Execution {execution} has ended: COMPLETED" in shell.refused(*words)


def test_what_failed_is_not_successful_and_says_why(shell: Shell) -> None:
    good = shell.execution()
    shell.run("complete-execution", good)
    bad = shell.execution()
    step = shell.step(bad, "*")
    shell.run("fail-step", step, "--reason", "no rows came")
    shell.run("fail-execution", bad, "--reason", "its step failed")
    assert shell.run("get-last-successful-execution") == f"{good}\n"
    shown = shell.run("show", bad)
    assert "no rows came" in shown
    assert "its step failed" in shown
    assert "FAILED" in shown


@pytest.mark.parametrize(
    ("base", "patterns", "said"),
    [
        ("nowhere", ["*"], "The base path 'nowhere' does not exist."),
        ("/dev/null", ["*"], "The base path '/dev/null' is no folder."),
        (".", ["/etc/*"], "The pattern '/etc/*' can't be used"),
        (".", [""], "The pattern '' can't be used"),
        ("/proc/self", ["mem"], "'/proc/self/mem' can't be read"),
    ],
)
def test_models_that_can_not_be_read_leave_nothing_behind(
    shell: Shell, base: str, patterns: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.folder)
    execution = shell.execution()
    assert shell.refused("init-step", execution, "LOAD", base, *patterns).startswith(said)
    shown = json.loads(shell.run("show", execution, "--json"))
    assert (shown["status"], shown["steps"]) == ("INITIALISED", [])


def test_a_pattern_that_matches_nothing_is_said(shell: Shell) -> None:
    execution = shell.execution()
    assert shell.step(execution, "*.sql", "*.db")
    assert "the pattern '*.sql' matches no file" in shell.err
    assert "'*.db'" not in shell.err


def test_a_previous_execution_without_the_step_makes_all_models_new(shell: Shell) -> None:
    (shell.folder / "orders.sql").write_text("select 1")
    first = shell.execution()
    shell.run("complete-execution", first)
    step = shell.step(shell.execution(), "*.sql")
    assert shell.run("compare-step-models", step, first) == "orders\n"
    assert "has no step LOAD: all models are new" in shell.err


def test_changes_are_told_by_their_kind(shell: Shell) -> None:
    for name in ("a", "b", "c", "d"):
        (shell.folder / f"{name}.sql").write_text(f"select {name}")
    first = shell.execution()
    shell.step(first, "*.sql")
    shell.run("complete-execution", first)
    (shell.folder / "a.sql").write_text("select  a\n")
    (shell.folder / "b.sql").write_text("select bb")
    (shell.folder / "c.sql").rename(shell.folder / "cc.sql")
    (shell.folder / "d.sql").unlink()
    (shell.folder / "e.sql").write_text("select e")
    second = shell.execution()
    step = shell.step(second, "*.sql")
    assert shell.run("compare-step-models", step, first) == "a b cc e\n"
    told = [
        "whitespace-only LOAD  a.sql",
        "changed         LOAD  b.sql",
        "renamed         LOAD  cc.sql (was c.sql)",
        "removed         LOAD  d.sql",
        "added           LOAD  e.sql",
    ]
    assert shell.run("compare-step-models", step, first, "--changes").splitlines() == told
    assert shell.run("diff").splitlines() == told
    parsed = json.loads(shell.run("diff", second, first, "--json"))
    assert [change["kind"] for change in parsed["changes"]] == [line.split()[0] for line in told]


def test_pipelines_do_not_see_each_others_executions(shell: Shell) -> None:
    other = shell.call("--pipeline", "orders", shell.url, "init-execution").strip()
    shell.run("complete-execution", other)
    assert shell.run("get-last-successful-execution") == f"{NONE}\n"
    found = shell.call("--pipeline", "orders", shell.url, "get-last-successful-execution")
    assert found == f"{other}\n"
    assert shell.call("--pipeline", "people", shell.url, "list") == ""
    assert other in shell.run("list")


def test_a_silent_execution_is_abandoned_until_it_is_heard_of_again(shell: Shell) -> None:
    silent = shell.run("init-execution", "--abandon-after-s", "1").strip()
    with sqlite3.connect(shell.folder / "history.db") as connection:
        connection.execute(
            "update execution set heartbeat_on = '2020-01-01T00:00:00.000000+00:00',"
            " updated_on = '2020-01-01T00:00:00.000000+00:00'"
        )
    connection.close()
    shell.run("init-execution")
    assert f"execution {silent} is abandoned" in shell.err
    assert silent in shell.run("list", "--status", "abandoned")
    shell.run("heartbeat", silent)
    assert "goes on" in shell.err
    assert shell.run("complete-execution", silent) == ""
    assert shell.run("get-last-successful-execution") == f"{silent}\n"


def test_the_connection_string_comes_from_the_environment_or_a_file(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VDKPROBE_HISTORY", shell.url)
    execution = shell.call("init-execution").strip()
    assert execution in shell.run("list")
    monkeypatch.delenv("VDKPROBE_HISTORY")
    file = shell.folder / "address"
    file.write_text(shell.url + "\n")
    assert execution in shell.call("--database-file", str(file), "list")
    shell.call("--database-file", str(file), shell.url, "list")
    assert "leave one of them out" in shell.err
    shell.call("--database-file", str(shell.folder / "none"), "list")
    assert "can't be read" in shell.err
    assert shell.call("list") == ""  # the user's own, which is another one
    assert shell.code == 0


@pytest.mark.parametrize(
    "url", ["localhost/history", "mysql://me:hunter22@db/x", "postgresql://me:hunter22@db:port/x"]
)
def test_a_malformed_connection_string_is_told_without_its_password(shell: Shell, url: str) -> None:
    assert shell.call(url, "list") == ""
    assert shell.code == 4
    assert "connection string" in shell.err.splitlines()[-1]
    assert "Traceback" not in shell.err
    assert "hunter22" not in shell.err


def test_a_password_on_the_command_line_is_warned_about_and_not_shown(shell: Shell) -> None:
    shell.call("postgresql+psycopg2://me:hunter22@127.0.0.1:9/x", "list")
    assert shell.code == 6
    warning, error = shell.err.splitlines()
    assert "WARNING" in warning
    assert "can't be reached" in error
    assert "hunter22" not in shell.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list"], ["-", "list"]),
        (["sqlite:///x", "list"], ["sqlite:///x", "list"]),
        (["-l", "DEBUG", "list"], ["-l", "DEBUG", "-", "list"]),
        (["-l", "sqlite:///x", "list"], ["-l", "sqlite:///x", "list"]),
        (["--log-level=INFO", "list"], ["--log-level=INFO", "-", "list"]),
        (["--pipeline", "list", "list"], ["--pipeline", "list", "-", "list"]),
        (["nonsense", "list"], ["nonsense", "list"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_a_connection_string_that_is_left_out_is_noticed(
    words: list[str], expected: list[str]
) -> None:
    assert arranged(words) == expected


def test_the_log_level_hides_what_is_below_it(shell: Shell) -> None:
    step = shell.step(shell.execution(), "*")
    shell.call("--log-level", "ERROR", shell.url, "complete-step", step)
    assert (shell.code, shell.err) == (0, "")
    shell.call("--log-level", "LOUD", shell.url, "list")
    assert shell.code == 4


def test_old_executions_are_pruned_but_never_the_last_good_one(shell: Shell) -> None:
    ids = [shell.execution() for _ in range(4)]
    shell.step(ids[1], "*")
    shell.run("complete-execution", ids[0])
    shell.run("complete-execution", ids[1])
    shell.run("fail-execution", ids[2])
    assert shell.run("prune", "--keep", "0", "--keep-days", "1") == ""
    assert shell.run("prune", "--keep", "0").split() == [ids[2], ids[0]]
    assert {line.split()[0] for line in shell.run("list").splitlines()} == {ids[1], ids[3]}


def test_revisions_are_listed_and_gone_through(shell: Shell) -> None:
    assert shell.run("current") == "\n"
    shell.run("upgrade")
    ids = [line.split()[0] for line in shell.run("revisions").splitlines()]
    assert shell.run("current") == f"{ids[-1]}\n"
    statements = shell.run("downgrade", "-1", "--sql")
    assert "drop table execution_step_part" in statements
    assert shell.run("current") == f"{ids[-1]}\n"
    shell.run("downgrade", "-1")
    assert shell.run("current") == f"{ids[-2]}\n"
    assert "adopt them" in shell.refused("list") or "older version" in shell.refused("list")
    shell.run("upgrade")
    assert shell.run("list") == ""
    assert shell.code == 0


def test_help_is_there_for_every_command(shell: Shell) -> None:
    told = shell.call("--help")
    names = re.findall(r"^    ([a-z-]+) ", told, re.MULTILINE)
    assert len(names) > 15
    for name in names:
        shell.call(name, "--help")
        assert shell.code == 0
