"""`vdkprobe history` as its users call it: whole pipelines, side by side, and with trouble."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import create_engine

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.history import ddl
from pytest_vdkprobe.history.schema import open_history
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.store import versions
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import open_database
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.databases import own_database
from tests.integration.shared_engines import SharedEngines

NONE = "NO_LAST_SUCCESSFUL_EXECUTION"
PATIENCE_S = 60.0
RIGHT, WRONG = "right:one@7", "wrong-one-1f7c"


class Said(NamedTuple):
    code: int
    out: str
    err: str


def started(
    *words: str, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest_vdkprobe.cli.main", "history", *words],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(*words: str, folder: Path, env: Mapping[str, str] | None = None) -> Said:
    process = started(*words, folder=folder, env=env)
    out, err = process.communicate(timeout=PATIENCE_S)
    return Said(process.returncode, out, err)


def call_here(*words: str, folder: Path) -> Said:
    """As `call`, in this process: a tenth of the time."""
    with (
        chdir(folder),
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
    ):
        code = main(["history", *words])
    return Said(code, out.getvalue(), err.getvalue())


class Dpo:
    """A script of data-pipeline-orchestrator's, its program's name changed."""

    def __init__(self, url: str, folder: Path, *, call: Callable[..., Said] = call_here) -> None:
        self.url = url
        self.folder = folder
        self._call = call

    def __call__(self, *words: str) -> str:
        said = self._call(self.url, *words, folder=self.folder)
        assert said.code == 0, said.err
        assert len(said.out.splitlines()) <= 1
        return said.out.rstrip("\n")


@pytest.fixture(params=["sqlite", "postgresql"])
def dpo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dpo]:
    if request.param == "sqlite":
        yield Dpo("sqlite:///history.db", tmp_path)
        return
    engines: SharedEngines = request.getfixturevalue("engines")
    with own_database(engines) as url:
        yield Dpo(url, tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL that wants a password."""
    hba = Path(tempfile.mkdtemp(prefix="hba-")) / "pg_hba.conf"
    try:
        hba.parent.chmod(0o755)  # the server runs as somebody else
        hba.write_text(
            "host all probe 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n"
        )
        with Postgres(settings={"hba_file": str(hba)}) as engine:
            address = engine.address
            url = f"postgresql+psycopg2://{address.user}@{address.endpoint}/postgres"
            admin = create_engine(url, isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.exec_driver_sql(f"create role probe login password '{RIGHT}'")
                connection.exec_driver_sql("create database dbname owner probe")
            admin.dispose()
            yield engine
    finally:
        shutil.rmtree(hba.parent)


def secured(server: Postgres, password: str) -> str:
    quoted = password.replace(":", "%3A").replace("@", "%40")
    return f"postgresql+psycopg2://probe:{quoted}@{server.address.endpoint}/dbname"


def write(folder: Path, **contents: str) -> None:
    for name, content in contents.items():
        path = folder / f"{name.replace('__', '/')}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_the_sequence_of_the_readme_works_on_a_real_postgresql(
    server: Postgres, tmp_path: Path
) -> None:
    """Seed 004's README, word by word but for the program's name."""
    dpo = Dpo(secured(server, RIGHT), tmp_path, call=call)
    load, transform = tmp_path / "relative/path/to/load/models", tmp_path / "transform/models"
    write(load, a="1", b__c="2")
    (load / "b" / "d.json").write_text("{}")
    write(transform, group2__x__y="3")
    (transform / "group1").mkdir()
    (transform / "group1" / "z.csv").write_text("1,2")

    def run(previous: str) -> tuple[str, str, str]:
        execution = dpo("init-execution")
        assert dpo("get-last-successful-execution") == previous
        assert dpo("get-execution-last-updated-timestamp", previous)
        dpo("persist-models", execution, "load", "./relative/path/to/load/models", "**/*.json")
        loaded = dpo("compare-models", previous, execution, "load")
        patterns = ("group1/*.csv", "./group2/**/*.sql")
        dpo("persist-models", execution, "transform", str(transform), *patterns)
        transformed = dpo("compare-models", previous, execution, "transform")
        assert dpo("complete-execution", execution) == ""
        return execution, loaded, transformed

    first, *changed = run(NONE)
    assert changed == ["d", "y z"]
    write(transform, group2__x__y="33")
    _, *changed = run(first)
    assert changed == ["", "y"]


def test_two_rounds_of_a_pipeline_as_the_orchestrators_own_test_has_them(dpo: Dpo) -> None:
    """Its tests/integration/test_integration.sh: models kept, changed, deleted, added."""
    load, transform = dpo.folder / "models/load", dpo.folder / "models/transform"
    write(load, load_1="1", load_2="2")
    write(transform, transform_1="1", transform_2="2", transform_3="3")

    def run(rows: str) -> tuple[str, ...]:
        execution = dpo("init-execution")
        last = dpo("get-last-successful-execution")
        assert dpo("get-execution-completion-timestamp", last)
        changed = []
        for name, folder in (("LOAD", load), ("TRANSFORM", transform)):
            patterns = ("**/*.json", "**/*.csv", "**/*.sql")
            step = dpo("init-step", execution, name, str(folder), *patterns)
            changed.append(dpo("compare-step-models", step, last))
            dpo("complete-step", step, "--rows-processed", *([rows] if rows else []))
        dpo("complete-execution", execution)
        assert dpo("get-last-successful-execution") == execution
        return execution, last, *changed

    first, last, *changed = run("2147483647")
    assert (last, changed) == (NONE, ["load_1 load_2", "transform_1 transform_2 transform_3"])
    write(transform, transform_2="Modified", transform_4="4")
    (transform / "transform_3.sql").unlink()
    _, last, *changed = run("9223372036854775807")
    assert (last, changed) == (first, ["", "transform_2 transform_4"])


def test_executions_side_by_side_do_not_mix(dpo: Dpo) -> None:
    dpo("list")

    dpo = Dpo(dpo.url, dpo.folder, call=call)

    def run(number: int) -> tuple[str, str]:
        name = f"models/{number}"
        write(dpo.folder / name, **{f"model_{number}": str(number)})
        execution = dpo("init-execution")
        step = dpo("init-step", execution, "LOAD", name, "*.sql")
        changed = dpo("compare-step-models", step, NONE)
        dpo("complete-step", step)
        dpo("complete-execution", execution)
        return execution, changed

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(run, range(3)))
    assert len({execution for execution, _ in done}) == 3
    assert [changed for _, changed in done] == [f"model_{number}" for number in range(3)]
    assert dpo("get-last-successful-execution") in {execution for execution, _ in done}


def test_a_step_that_two_complete_at_once_is_completed_once(dpo: Dpo) -> None:
    step = dpo("init-step", dpo("init-execution"), "LOAD", ".", "*")
    both = [started(dpo.url, "complete-step", step, folder=dpo.folder) for _ in range(2)]
    for process in both:
        process.communicate(timeout=PATIENCE_S)
    assert sorted(process.returncode for process in both) == [0, 4]


def test_a_wrong_password_is_told_and_not_shown(server: Postgres, tmp_path: Path) -> None:
    said = call(secured(server, WRONG), "list", folder=tmp_path)
    warning, error = said.err.splitlines()
    assert said.code == 6
    assert said.out == ""
    assert "on the command line" in warning
    assert "refuses our login" in error
    assert "user probe" in error
    assert WRONG not in said.err


def test_a_password_may_come_from_the_environment(server: Postgres, tmp_path: Path) -> None:
    env = {"VDKPROBE_HISTORY": secured(server, RIGHT)}
    said = call("list", folder=tmp_path, env=env)
    assert (said.code, said.err) == (0, "")
    env["VDKPROBE_HISTORY"] = secured(server, WRONG)
    said = call("list", folder=tmp_path, env=env)
    assert (said.code, len(said.err.splitlines())) == (6, 1)
    assert WRONG not in said.err


def test_a_password_that_is_right_is_in_no_output(server: Postgres, tmp_path: Path) -> None:
    url = secured(server, RIGHT)
    for words in (("upgrade", "--sql"), ("current",), ("init-execution",), ("show", "nonsense")):
        said = call("-l", "DEBUG", url, *words, folder=tmp_path)
        for form in (RIGHT, "right%3Aone%407"):
            assert form not in said.out + said.err


def test_a_database_that_goes_away_in_the_middle_keeps_nothing_of_the_command(
    tmp_path: Path,
) -> None:
    write(tmp_path / "models", a="1")
    with Postgres() as engine:
        url = f"postgresql://{engine.address.user}@{engine.address.endpoint}/postgres"
        address = Address.parse(url, source="the test")
        database = open_history(address)
        execution = call(url, "init-execution", folder=tmp_path).out.strip()
        with database.begin() as work:
            # The command waits for this row, inside its transaction, when the server dies.
            work.rows("select * from execution for update")
            waiting = started(url, "init-step", execution, "LOAD", "models", "*", folder=tmp_path)
            wait_until(
                "the command to wait",
                lambda: work.rows("select count(*) from pg_locks where not granted")[0][0],
                done=bool,
                deadline=Deadline.after(PATIENCE_S),
            )
            backends = work.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where pid <> pg_backend_pid() and application_name = 'vdkprobe'"
            )
            assert backends
        out, err = waiting.communicate(timeout=PATIENCE_S)
        assert (waiting.returncode, out) == (6, "")
        assert len(err.splitlines()) == 1
        assert "went away in the middle, nothing was kept" in err
        with database.begin() as work:
            assert work.rows("select count(*) from execution_step")[0][0] == 0
            assert work.rows("select status from execution")[0][0] == "INITIALISED"
        database.close()
    said = call(url, "list", folder=tmp_path)
    assert said.code == 6
    assert "can't be reached" in said.err


def test_a_command_that_is_killed_leaves_nothing_half_done(dpo: Dpo) -> None:
    for number in range(300):
        write(dpo.folder / "models", **{f"m{number}": str(number)})
    execution = dpo("init-execution")
    url = dpo.url.replace("sqlite:///", f"sqlite:///{dpo.folder}/")
    address = Address.parse(url, source="the test")
    database = open_history(address)
    with database.begin() as work:
        # Whoever writes waits for this: the command is killed inside its transaction.
        work.change("update execution set note = null")
        waiting = started(dpo.url, "init-step", execution, "LOAD", "models", "*", folder=dpo.folder)
        if work.dialect == "postgresql":
            wait_until(
                "the command to wait",
                lambda: work.rows("select count(*) from pg_locks where not granted")[0][0],
                done=bool,
                deadline=Deadline.after(PATIENCE_S),
            )
        waiting.send_signal(signal.SIGKILL)
        waiting.communicate()
    with database.begin() as work:
        assert work.rows("select count(*) from execution_step")[0][0] == 0
        assert work.rows("select count(*) from execution_step_model")[0][0] == 0
    database.close()
    step = dpo("init-step", execution, "LOAD", "models", "*")
    dpo("complete-step", step)


def test_arguments_that_are_no_text_are_kept_as_escapes(dpo: Dpo) -> None:
    odd = os.fsdecode(b"odd\xff")
    write(dpo.folder / odd, a="1")
    execution = dpo("init-execution")
    step = dpo("init-step", execution, odd, odd, "*.sql")
    dpo("fail-step", step, "--reason", odd)
    shown = call_here(dpo.url, "show", folder=dpo.folder)
    assert shown.code == 0
    assert "ODD\\udcff" in shown.out
    assert "    odd\\udcff" in shown.out
    said = call_here("--pipeline", odd, dpo.url, "init-execution", folder=dpo.folder)
    assert (said.code, said.err) == (0, "")


def test_of_two_upgrades_at_once_one_finds_nothing_to_do(dpo: Dpo) -> None:
    both = [started(dpo.url, "upgrade", folder=dpo.folder) for _ in range(2)]
    logs = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    assert sorted(log.count("now at") for log in logs) == [0, len(ddl.REVISIONS)]


def test_an_upgrade_that_another_keeps_waiting_gives_up(
    engines: SharedEngines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "LOCK_PATIENCE_S", 0.2)
    with own_database(engines) as url:
        other = open_database(Address.parse(url, source="the test"), schema=ddl.SCHEMA)
        with other.begin() as work:
            versions.lock(work, ddl.ROOM)
            said = call_here(url, "upgrade", folder=tmp_path)
        assert said.code == 6
        assert len(said.err.splitlines()) == 1
        assert "Another upgrade of the history's tables is under way" in said.err
        assert call_here(url, "current", folder=tmp_path).out == "\n"


def test_the_old_program_goes_on_working_beside_the_new(dpo: Dpo) -> None:
    """What data-pipeline-orchestrator writes and reads, on tables that are ours now."""
    write(dpo.folder / "models", a="1", b="2")
    first = dpo("init-execution")
    dpo("init-step", first, "LOAD", "models", "*.sql")
    dpo("complete-execution", first)
    sqlite = dpo.url.startswith("sqlite")
    url = f"sqlite:///{dpo.folder}/history.db" if sqlite else dpo.url
    engine = create_engine(url)
    dot = "" if sqlite else "dpo."
    old = "11111111-2222-4333-8444-555555555555"
    with engine.begin() as connection:
        run = connection.exec_driver_sql
        run(f"insert into {dot}execution (execution_id) values ('{old}')")
        run(
            f"insert into {dot}execution_step (execution_step_id, execution_id, step_name)"
            f" values ('{old}', '{old}', 'LOAD')"
        )
        for number, (name, checksum) in enumerate((("a", "changed"), ("c", "new"))):
            run(
                f"insert into {dot}execution_step_model (execution_step_model_id,"
                f" execution_step_id, model_name, checksum)"
                f" values ('{old[:-1]}{number}', '{old}', '{name}', '{checksum}')"
            )
        run(f"update {dot}execution set status = 'COMPLETED' where execution_id = '{old}'")
        stems = run(
            f"select model_name from {dot}execution_step_model m join {dot}execution_step s"
            f" on s.execution_step_id = m.execution_step_id where execution_id = '{first}'"
        )
        assert sorted(name for (name,) in stems) == ["a", "b"]
    engine.dispose()
    assert dpo("get-last-successful-execution") == old
    step = dpo("init-step", dpo("init-execution"), "LOAD", "models", "*.sql")
    assert dpo("compare-step-models", step, old) == "a b"
    assert dpo("compare-step-models", step, first) == ""
