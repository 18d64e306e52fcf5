"""A history that breaks: told in one line with what to try, and nothing half written."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.history import executions, recorder, steps
from pytest_vdkprobe.history.files import of_text
from pytest_vdkprobe.history.recorder import Recorder
from pytest_vdkprobe.history.schema import open_history
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.store import sqlite
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import Database
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.databases import sqlite_address
from tests.integration.test_history_commands import call_here

PATIENCE_S = 60.0
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users may look into."""
    with tempfile.TemporaryDirectory(prefix="history-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom permissions bind."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def started(file: Path) -> str:
    """A history with an execution."""
    return call_here(f"sqlite:///{file}", "init-execution", folder=file.parent).out.strip()


def overwritten(file: Path, start: int) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:start] + b"Z" * (len(content) - start))


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:3000])


COMMANDS = ("list", "init-execution", "show", "diff", "upgrade", "prune --keep=1")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda file: overwritten(file, 4096), "malformed. To try: it is damaged"),
        (lambda file: overwritten(file, 0), "not a database. To try: name another file"),
        (truncated, "malformed. To try: it is damaged"),
    ],
    ids=["its pages are garbage", "all is garbage", "its end is missing"],
)
def test_a_damaged_file_is_told_in_one_line_and_left_as_it_is(
    tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    file = tmp_path / "history.db"
    started(file)
    damage(file)
    damaged = file.read_bytes()
    for words in COMMANDS:
        said = call_here(f"sqlite:///{file}", *words.split(), folder=tmp_path)
        assert (said.code, said.out) == (4, "")
        assert says in said.err
        assert len(said.err.splitlines()) == 1
        assert file.read_bytes() == damaged


def test_one_that_may_only_be_read_is_told(folder: Path) -> None:
    file = folder / "history.db"
    started(file)
    file.chmod(0o444)
    folder.chmod(0o555)
    with unprivileged():
        said = call_here(f"sqlite:///{file}", "list", folder=folder)
        new = call_here(f"sqlite:///{folder}/new.db", "list", folder=folder)
    folder.chmod(0o755)
    assert (said.code, said.out) == (4, "")
    assert "readonly database. To try: let this user write there" in said.err
    assert (new.code, new.out) == (4, "")
    assert "Permission denied. To try: check the file and its folder" in new.err


def test_one_that_becomes_read_only_keeps_all_that_was_written(folder: Path) -> None:
    file = folder / "history.db"
    execution = started(file)
    file.chmod(0o666)
    folder.chmod(0o777)
    address = sqlite_address(folder)
    with unprivileged(), closing(open_history(address)) as database, database.begin() as work:
        steps.begin(work, execution, "FIRST")
    folder.chmod(0o555)
    file.chmod(0o444)
    with (
        unprivileged(),
        pytest.raises(ConfigError, match="readonly"),
        closing(open_history(address)),
    ):
        pass
    folder.chmod(0o755)
    with closing(open_history(address)) as database, database.begin() as work:
        assert [step.name for step in steps.of_execution(work, execution)] == ["FIRST"]


def test_one_that_another_process_keeps_locked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "history.db"
    started(file)
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.2)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        said = call_here(f"sqlite:///{file}", "init-execution", folder=tmp_path)
    assert (said.code, said.out) == (6, "")
    assert "is locked. To try: another process is writing: try again when it is done" in said.err


LIMITED = """
import resource, signal, sys
from pytest_vdkprobe.cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(["history", *sys.argv[2:]]))
"""


def test_a_full_disk_keeps_nothing_of_the_command(tmp_path: Path) -> None:
    """Not the disk's end but the process's own limit: the same error, and nobody else is hurt."""
    file = tmp_path / "history.db"
    execution = started(file)
    models = tmp_path / "models"
    models.mkdir()
    for number in range(2000):
        (models / f"{number}.sql").write_text(str(number))
    words = (f"sqlite:///{file}", "init-step", execution, "LOAD", str(models), "*")
    limit = str(file.stat().st_size + 100_000)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, limit, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (6, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "disk" in done.stderr
    assert "To try: " in done.stderr
    with closing(open_history(sqlite_address(tmp_path))) as database, database.begin() as work:
        assert steps.of_execution(work, execution) == []
        assert work.rows("select count(*) from execution_step_model") == [(0,)]
    assert call_here(*words, folder=tmp_path).code == 0


@pytest.mark.parametrize("replaced", [False, True])
def test_one_that_vanishes_while_it_is_in_use_is_told(tmp_path: Path, replaced: bool) -> None:
    address = sqlite_address(tmp_path)

    def vanish(database: Database) -> None:
        with database.begin() as work:
            executions.begin(work)
            for file in tmp_path.glob("history.db*"):
                file.unlink()
            if replaced:
                started(tmp_path / "history.db")

    with (
        closing(open_history(address)) as database,
        pytest.raises(ProbeError, match="removed or replaced while it was in use"),
    ):
        vanish(database)
    with closing(open_history(address)) as database, database.begin() as work:
        assert len(executions.listed(work, limit=9)) == int(replaced)


def recording(address: Address) -> Recorder:
    """A run with one step written down."""
    one = Recorder(address, run_id="0123abcd", pipeline="p", keep=9)
    one.start()
    one.wait_open()
    one.write("begin", holder="", abandon_after_s=60.0, versions={})
    add(one, "create")
    return one


def add(one: Recorder, step: str) -> None:
    models = [of_text("scenario/a.py", "1")] if step == "create" else []
    one.write(
        "add",
        journey="a[b]",
        name=step,
        verdict="pass",
        duration_s=1.0,
        evidence="",
        consists_of=models,
    )


def test_a_server_that_goes_away_during_a_run_is_told_and_has_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "PATIENCE_S", PATIENCE_S)  # the machine may be busy
    with Postgres() as engine:
        url = f"postgresql://{engine.address.user}@{engine.address.endpoint}/postgres"
        address = Address.parse(url, source="the test")
        one = recording(address)
        with closing(open_history(address)) as database, database.begin() as work:
            # The next step waits for this, inside its transaction, when its session is cut.
            work.rows("select * from execution for update")
            add(one, "run")
            wait_until(
                "the recorder to wait",
                lambda: work.rows("select count(*) from pg_locks where not granted")[0][0],
                done=bool,
                deadline=Deadline.after(PATIENCE_S),
            )
            work.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where pid <> pg_backend_pid() and application_name = 'vdkprobe'"
            )
        add(one, "delete")
        one.close()
        assert one.trouble is not None
        assert "went away in the middle, nothing was kept" in one.trouble.what
        assert one.trouble.to_try
        with closing(open_history(address)) as database, database.begin() as work:
            assert work.rows("select name from execution_step_part") == [("create",)]
            assert executions.get(work, one.execution_id).status == "IN_PROGRESS"
        one = recording(address)
    add(one, "run")
    one.close()
    assert one.trouble is not None
    assert "can't be reached" in one.trouble.what


def test_a_server_that_says_nothing_keeps_no_run_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "PATIENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://probe@127.0.0.1:{silent.getsockname()[1]}/db"
        one = Recorder(Address.parse(url, source="test"), run_id="0123abcd", pipeline="p", keep=9)
        one.start()
        add(one, "create")
        one.close()
    assert one._thread is not None
    one._thread.join(PATIENCE_S)
    assert one.trouble is not None
    assert "did not answer within 0.3 s" in one.trouble.what, "the first trouble counts"
    assert one.trouble.to_try
