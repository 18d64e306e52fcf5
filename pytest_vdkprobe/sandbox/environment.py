"""The virtual environments of the sandbox: built once, kept in the user's cache, told by content.

vdk pins pydantic below 2 and an old setuptools, so it can't live beside the probe, and building
it takes half a minute, so it is built once a machine. A build may be killed at any moment and two
runs may want it at once; therefore each build has a folder of its own, made under a file lock,
and counts only once a pointer that was written last names it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.executor import BuildError
from pytest_vdkprobe.secrets import redact

Progress = Callable[[str], None]
"""Receives one line a step of a build; builds are slow enough to be watched."""

KINDS = {
    "vdk": "the real vdk that runs deployed jobs",
    "conformance": "the official clients that the conformance tests compare with",
}
BUILD_LIMIT_S = 900.0
"""A build takes half a minute; one that hangs on a dead index must end some time."""

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
PASSED_ON_PREFIXES = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_")
REFUSED = ("PIP_TARGET", "PIP_USER", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV")
"""pip's settings that would install elsewhere than into the environment that is being built."""


@dataclass(frozen=True)
class Environment:
    """A complete virtual environment: `folder` is where it lies, `key` tells its content."""

    key: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        version = sysconfig.get_python_version()
        return self.folder / "lib" / f"python{version}" / "site-packages"

    def script(self, name: str) -> Path:
        """One of its console scripts."""
        return self.folder / "bin" / name


def cache_folder() -> Path:
    """Where environments are kept: VDKPROBE_CACHE, else the user's cache folder."""
    given = os.environ.get("VDKPROBE_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs  # noqa: PLC0415 - when used

    return Path(platformdirs.user_cache_dir("vdkprobe"))


def find(kind: str) -> Environment | None:
    """The environment of this kind if it is complete, without building anything."""
    return _find(_key(_requirements(kind)))


def fetch(kind: str, *, progress: Progress | None = None) -> Environment:
    """The environment of this kind, built now if need be (half a minute, from pip's own index).

    Raises ProbeError, naming the command that fetches ahead, when it can't be built.
    """
    text = _requirements(kind)
    key = _key(text)
    found = _find(key)
    if found is not None:
        return found
    tell = progress or _silent
    try:
        return _build(key, text, tell=lambda line: tell(f"{kind} environment: {line}"))
    except BuildError as exc:
        raise _unbuildable(kind, str(exc)) from exc
    except OSError as exc:
        raise _unbuildable(kind, f"{type(exc).__name__}: {exc}") from exc


def layer(base: Environment, sources: Path, *, progress: Progress | None = None) -> Environment:
    """`base` plus what the job's `requirements.txt` asks for; `base` itself if that is all there.

    The layer sees the packages of `base` and holds only what they don't satisfy; it is cached by
    content, as images are on a platform. Raises BuildError with what pip said.
    """
    path = sources / "requirements.txt"
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    wanted = [line.strip() for line in text.splitlines()]
    wanted = [line for line in wanted if line and not line.startswith("#")]
    if all(_has(base, line) for line in wanted):
        return base
    content = [base.key, *wanted]
    if any(line.startswith(("-", ".")) or "/" in line for line in wanted):
        content.append(_digest_of(sources))
    key = _key("\n".join(content))
    return _find(key) or _build(key, text, tell=progress or _silent, base=base, cwd=sources)


def _has(base: Environment, line: str) -> bool:
    """Whether a requirement is a bare name that `base` has: nothing is left to do then."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", line):
        return False
    name = re.sub(r"[-_.]+", "_", line).lower()
    return any(
        re.sub(r"[-_.]+", "_", found.name.partition("-")[0]).lower() == name
        for found in base.site_packages.glob("*.dist-info")
    )


def _build(
    key: str, text: str, *, tell: Progress, base: Environment | None = None, cwd: Path | None = None
) -> Environment:
    """Build under the lock of `key`, or wait for whoever is at it and take theirs."""
    import filelock  # noqa: PLC0415 - when used

    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(cache / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        tell("waiting for another process that builds it ...")
        try:
            lock.acquire(timeout=BUILD_LIMIT_S, poll_interval=0.1)
        except filelock.Timeout as exc:
            raise BuildError(f"another process held {lock.lock_file} for too long") from exc
    try:
        found = _find(key)
        if found is not None:
            return found
        for left_over in cache.glob(f"{key}-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        made = Environment(key, cache / f"{key}-{secrets.token_hex(4)}")
        try:
            _install(made, text, tell=tell, base=base, cwd=cwd)
        except BaseException:
            shutil.rmtree(made.folder, ignore_errors=True)
            raise
        _point_to(made)
        tell("ready")
        return made
    finally:
        lock.release()


def _install(
    made: Environment, text: str, *, tell: Progress, base: Environment | None, cwd: Path | None
) -> None:
    """Make the virtual environment and let pip fill it."""
    environ = build_environ(os.environ)
    interpreter = base.python if base else Path(sys.executable)
    tell("creating a virtual environment")
    bare = ["--without-pip"] if base else []
    _run([str(interpreter), "-m", "venv", *bare, str(made.folder)], environ, tell=_silent)
    command = [str(made.python), "-m", "pip"]
    if base:
        # addsitedir rather than a bare path: it also runs the .pth files of the base's packages
        line = f"import site; site.addsitedir({str(base.site_packages)!r})\n"
        (made.site_packages / "vdkprobe_base.pth").write_text(line, "utf-8")
        command = [str(base.python), "-m", "pip", "--python", str(made.python)]
    wanted = made.folder / "requirements.txt"
    wanted.write_text(text, "utf-8")
    if cwd and (cwd / "requirements.txt").is_file():
        wanted = cwd / "requirements.txt"  # where the paths it may contain are relative to
    constraints = made.folder / "build-constraints.txt"
    constraints.write_text(_data("build-constraints.txt"), "utf-8")
    environ |= {"PIP_CONSTRAINT": str(constraints), "PIP_BUILD_CONSTRAINT": str(constraints)}
    flags = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    _run([*command, "install", *flags, "-r", str(wanted)], environ, tell=tell, cwd=cwd)


def _run(
    command: Sequence[str], environ: Mapping[str, str], *, tell: Progress, cwd: Path | None = None
) -> None:
    """Run one command of a build and tell its steps; raises BuildError with what it said last."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environ,
        cwd=cwd,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        watchdog = threading.Timer(BUILD_LIMIT_S, _kill_group, [process])
        watchdog.start()
        try:
            for line in process.stdout or ():
                lines = [*lines[-11:], line.rstrip()]
                if line.startswith(("Collecting ", "Building wheel", "Installing collected")):
                    tell(redact(line.strip().split(" (from ", 1)[0][:100]))
        except BaseException:
            _kill_group(process)
            raise
        finally:
            watchdog.cancel()
    if process.returncode:
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        said = redact(" / ".join(line for line in errors if line))
        raise BuildError(f"`{_short(command)}` ended with code {process.returncode}: {said}")


def _kill_group(process: subprocess.Popen[str]) -> None:
    """End a command with the compilers and pips that it started itself."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def build_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What a build sees of our environment: pip's ordinary settings and the way to the network."""
    passed = {
        name: value
        for name, value in environ.items()
        if name in PASSED_ON or name.upper().startswith(PASSED_ON_PREFIXES)
    }
    for name in REFUSED:
        passed.pop(name, None)
    # A machine without a network should hear so in seconds; whoever sets it keeps their own value.
    return {"PIP_RETRIES": "2", "PYTHONNOUSERSITE": "1", **passed}


def _find(key: str) -> Environment | None:
    try:
        pointer = json.loads((cache_folder() / f"{key}.json").read_text("utf-8"))
        found = Environment(key, cache_folder() / pointer["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.python.exists() else None


def _point_to(made: Environment) -> None:
    """Declare the build complete, in one step that either happened or did not."""
    pointer = cache_folder() / f"{made.key}.json"
    draft = pointer.with_suffix(f".{secrets.token_hex(4)}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"folder": made.folder.name, "python": sys.version}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(pointer)


def _key(text: str) -> str:
    """Tells an environment: what is in it, and the interpreter that it is tied to by path."""
    base = str(Path(sys.base_prefix).resolve())
    parts = (text, _data("build-constraints.txt"), base, sys.version, sysconfig.get_platform())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _requirements(kind: str) -> str:
    if kind not in KINDS:
        raise ProbeError(f"There is no {kind!r} environment.", expected=", ".join(KINDS))
    return _data(f"{kind}-requirements.txt")


def _data(name: str) -> str:
    return (resources.files("pytest_vdkprobe.sandbox") / "data" / name).read_text("utf-8")


def _digest_of(folder: Path) -> str:
    """Of every file below `folder`: requirements may point at files beside them."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _short(command: Sequence[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:4]])


def _silent(_: str) -> None:
    return


def _unbuildable(kind: str, reason: str) -> ProbeError:
    option = " --conformance" if kind == "conformance" else ""
    return ProbeError(
        f"The sandbox's {kind} environment ({KINDS[kind]}) is not in the cache and can't be built.",
        seen=reason,
        expected="a package index that pip reaches by its own settings (pip.conf, PIP_*, proxies)",
        checked=f"cache folder {cache_folder()}",
        to_try=f"run `vdkprobe sandbox fetch{option}` once where pip reaches an index; "
        "VDKPROBE_CACHE says where the result is kept",
    )
