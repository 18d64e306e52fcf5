"""The files of an engine from Maven Central, each pinned by version and SHA-256, fetched once.

jgo fetches them: pure Python, so neither Java nor Maven must be there. It checks no strong sum of
its own, hence the lock files in `data/`. It asks the repositories of its own settings file
(`[repositories]` in jgo.conf) or else Maven Central, and looks into the local Maven repository
first. With everything pinned there is nothing to resolve, so no POM is read.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

import msgspec

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox import environment
from pytest_vdkprobe.sandbox.engines import cache
from pytest_vdkprobe.sandbox.environment import Progress

Download = Callable[["Artifact", Path, Callable[[int], None]], Path]
"""Puts an artifact somewhere below a folder, counting bytes as they come; returns the file."""

AT_ONCE = 6
"""Downloads side by side: most of Kafka's 45 files are small, and the way there is what costs."""
ATTEMPTS = 2
SILENCE_LIMIT_S = 30
"""How long a server may send nothing."""
MEGABYTE = 1_000_000


class Artifact(msgspec.Struct, frozen=True):
    """One pinned file."""

    sha256: str
    size: int
    group: str
    name: str
    packaging: str
    version: str

    @property
    def file_name(self) -> str:
        """As Maven Central names it."""
        return f"{self.name}-{self.version}.{self.packaging}"


def pinned(engine: str) -> list[Artifact]:
    """What `data/<engine>.lock` names, in its order."""
    artifacts = []
    for line in _lock_text(engine).splitlines():
        if line and not line.startswith("#"):
            sha256, size, coordinates = line.split()
            group, name, packaging, version = coordinates.split(":")
            artifacts.append(Artifact(sha256, int(size), group, name, packaging, version))
    return artifacts


def folder_name(engine: str) -> str:
    """The engine's folder in the cache, told by the content of its lock file."""
    return f"{engine}-{hashlib.sha256(_lock_text(engine).encode()).hexdigest()[:12]}"


def fetched(engine: str) -> Path | None:
    """The folder with the engine's files if it is complete, without fetching anything."""
    return cache.find(folder_name(engine))


def fetch(
    engine: str,
    *,
    unpack: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
    download: Download | None = None,
) -> Path:
    """The folder with the engine's files, fetched now if need be; a killed fetch is taken up again.

    `unpack(folder)` turns the archives in it into what the engine needs. Raises ProbeError when a
    file can't be had, or is not the pinned one: then it names the file and both sums.
    """

    def tell(line: str) -> None:
        if progress is not None:
            progress(f"{engine}: {line}")

    def build(folder: Path) -> None:
        _fetch_all(engine, folder, download or from_maven, tell)
        if unpack is not None:
            tell("unpacking ...")
            unpack(folder)

    return cache.make(folder_name(engine), build, resume=True, tell=tell)


def _fetch_all(engine: str, folder: Path, download: Download, tell: Progress) -> None:
    artifacts = pinned(engine)
    missing = [one for one in artifacts if _sum_of(folder / one.file_name) != one.sha256]
    counter = _Counter(len(missing), sum(one.size for one in missing), tell)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [pool.submit(_fetch_one, engine, one, folder, download, counter) for one in missing]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _fetch_one(
    engine: str, artifact: Artifact, folder: Path, download: Download, counter: _Counter
) -> None:
    """Download one file beside its place, check it, and only then give it its name."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            path = download(artifact, folder / "incoming", counter.add)
            break
        except (OSError, RuntimeError) as exc:  # requests' errors are OSErrors, jgo's are the other
            if attempt == ATTEMPTS:
                raise unavailable(engine, f"{artifact.file_name}: {exc}") from exc
    seen = _sum_of(path)
    if seen != artifact.sha256:
        path.unlink()
        raise ProbeError(
            f"The file {artifact.file_name} of the sandbox's {engine} is not the one that is"
            " pinned, so it was thrown away.",
            seen=f"SHA-256 {seen}",
            expected=f"SHA-256 {artifact.sha256}",
            checked=f"{artifact.group}:{artifact.name}:{artifact.version}, as jgo delivered it",
            to_try="look at what stands between here and Maven Central (a mirror in jgo.conf, a"
            " proxy, a damaged local Maven repository), then `vdkprobe sandbox fetch` again",
        )
    path.rename(folder / artifact.file_name)
    counter.finish_one()


def from_maven(artifact: Artifact, folder: Path, count: Callable[[int], None]) -> Path:
    """Download through jgo; returns the file below `folder`, or copied from a local repository."""
    # Imported here: jgo brings requests along, ~60 ms that only a fetch shall cost.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415
    from jgo.maven._core import DEFAULT_REMOTE_REPOS  # noqa: PLC0415
    from jgo.maven._resolver import PythonResolver  # noqa: PLC0415

    @contextmanager
    def counting(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield count

    settings = GlobalSettings.load()
    context = MavenContext(
        resolver=PythonResolver(progress_callback=counting),
        repo_cache=folder,
        remote_repos=DEFAULT_REMOTE_REPOS | settings.repositories,
        timeout=SILENCE_LIMIT_S,
    )
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    wanted = component.artifact(packaging=artifact.packaging)
    target: Path | None = wanted.cached_path
    assert target is not None  # noqa: S101 - it has a packaging
    target.unlink(missing_ok=True)  # what a killed or failed download left
    wanted.resolve()
    return target


def unavailable(engine: str, reason: str) -> ProbeError:
    """What to say when an engine is neither in the cache nor to be fetched."""
    return ProbeError(
        f"The sandbox's {engine} is not in the cache and can't be fetched, so nothing that needs"
        f" {engine} can be judged.",
        seen=reason,
        expected="Maven Central, or a mirror of it that jgo's settings name ([repositories] in"
        " jgo.conf), reached through the proxy that HTTPS_PROXY names, if any",
        checked=f"cache folder {environment.cache_folder() / 'engines'}",
        to_try="run `vdkprobe sandbox fetch` once where it can be reached; VDKPROBE_CACHE says"
        " where the result is kept",
    )


class _Counter:
    """Turns bytes from several threads into a progress line for every tenth of the whole."""

    def __init__(self, files: int, size: int, tell: Progress) -> None:
        self._lock = threading.Lock()
        self._files = files
        self._done = 0
        self._size = max(size, 1)
        self._bytes = 0
        self._told = -1
        self._tell = tell

    def add(self, count: int) -> None:
        with self._lock:
            self._bytes += count
            tenth = 10 * self._bytes // self._size
            if tenth > self._told:
                self._told = tenth
                self._tell(
                    f"fetching, {self._done} of {self._files} files,"
                    f" {self._bytes / MEGABYTE:.0f} of {self._size / MEGABYTE:.0f} MB"
                )

    def finish_one(self) -> None:
        with self._lock:
            self._done += 1


def _sum_of(path: Path) -> str | None:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def _lock_text(engine: str) -> str:
    folder = resources.files("pytest_vdkprobe.sandbox.engines") / "data"
    return (folder / f"{engine}.lock").read_text("utf-8")
