"""A job's directory, read whole and safely: what would be uploaded, and nothing else.

The directory is the user's own and the upload ends in a git repository of the platform, so what is
not meant to travel is left out or refused: keytabs, caches, links that lead outside, pipes.
"""

from __future__ import annotations

import os
import re
import stat
from fnmatch import fnmatch
from pathlib import Path

from pytest_vdkprobe.errors import ConfigError

SKIPPED = (
    *("__pycache__", ".git", ".hg", ".svn", ".idea", ".vscode", ".DS_Store"),
    *(".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    *("*.pyc", "*.swp", "*.swo", "*~", ".#*", "#*#"),
)
"""Left out of the upload: version control, caches, and what editors leave lying about."""
LARGE_BYTES = 10 * 1024 * 1024
"""Worth a warning: each upload is a git commit and goes into an image."""
LARGEST_BYTES = 200 * 1024 * 1024
"""Refused: no job is that large, but a path of `/` or `~` is."""
MOST_FILES = 10_000

_RUN = re.compile(rb"^(?:async[ \t]+)?def[ \t]+run[ \t]*\(", re.MULTILINE)


def read_folder(folder: Path, *, file: str | None = None, key: str = "path") -> dict[str, bytes]:
    """Every file of a job's directory by its relative POSIX path, sorted.

    Raises ConfigError when there is no such directory, or when something in it can't be uploaded.
    """
    try:
        root = folder.resolve(strict=True)
        is_folder = root.is_dir()
    except (OSError, ValueError, RuntimeError) as exc:
        raise ConfigError(
            "The job's directory does not exist.",
            file=file,
            key=key,
            value=str(folder),
            to_try=_nearest(folder),
        ) from exc
    if not is_folder:
        raise ConfigError(
            "The job's path is not a directory.",
            file=file,
            key=key,
            value=str(folder),
            to_try=f"write {str(folder.parent)!r} if that is the folder with the steps",
        )
    reader = _Reader(root, file, key)
    reader.read(root, "", (root,))
    return dict(sorted(reader.files.items()))


def steps_of(files: dict[str, bytes]) -> tuple[str, ...]:
    """The steps in the order in which vdk runs them: top-level *.sql, and *.py with a `run`.

    vdk goes by the name alone and skips a Python file without `run(job_input)`, so we do too.
    """
    return tuple(
        name
        for name in sorted(files)
        if "/" not in name
        and (
            name.lower().endswith(".sql")
            or (name.lower().endswith(".py") and _RUN.search(files[name].replace(b"\r", b"\n")))
        )
    )


class _Reader:
    def __init__(self, root: Path, file: str | None, key: str) -> None:
        self.root = root
        self.file = file
        self.key = key
        self.files: dict[str, bytes] = {}
        self.size = 0

    def read(self, folder: Path, prefix: str, above: tuple[Path, ...]) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as exc:
            raise self.refused("can't be listed", folder, str(exc.strerror)) from exc
        for entry in entries:
            if any(fnmatch(entry.name, pattern) for pattern in SKIPPED):
                continue
            name = prefix + entry.name
            self.check_name(name, Path(entry.path))
            path = self.inside(Path(entry.path))
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                if path in above:
                    raise self.refused("links back to a folder it is in", Path(entry.path))
                self.read(path, f"{name}/", (*above, path))
            elif stat.S_ISREG(mode):
                self.add(name, path)
            else:
                # Opening a pipe would wait for ever.
                raise self.refused("is neither a file nor a folder", Path(entry.path))

    def inside(self, path: Path) -> Path:
        """Where the path really leads, which must be inside the job's directory."""
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError) as exc:
            raise self.refused("links to nothing", path) from exc
        if not real.is_relative_to(self.root):
            raise self.refused("links out of the job's directory", path, f"leads to {real}")
        return real

    def check_name(self, name: str, path: Path) -> None:
        try:
            name.encode()
        except UnicodeEncodeError as exc:
            raise self.refused("has a name that is not UTF-8", path) from exc
        if name.lower().endswith(".keytab"):
            raise ConfigError(
                f"There is a keytab in the job's directory: {name}. It is a secret, and the"
                " upload would put it into a git repository.",
                file=self.file,
                key=self.key,
                value=str(path),
                to_try="move it out: the platform gives the job its keytab by itself",
            )

    def add(self, name: str, path: Path) -> None:
        try:
            self.size += path.stat().st_size
            if self.size > LARGEST_BYTES or len(self.files) >= MOST_FILES:
                raise self.refused(
                    f"is too large for a job: over {LARGEST_BYTES // 2**20} MB or"
                    f" {MOST_FILES} files",
                    self.root,
                )
            self.files[name] = path.read_bytes()
        except OSError as exc:
            raise self.refused("can't be read", path, str(exc.strerror)) from exc

    def refused(self, why: str, path: Path, detail: str = "") -> ConfigError:
        return ConfigError(
            f"The job can't be uploaded: {os.fsencode(path).decode('utf-8', 'replace')} {why}"
            + (f" ({detail})." if detail else "."),
            file=self.file,
            key=self.key,
            value=os.fsencode(self.root).decode("utf-8", "replace"),
            expected="plain files and folders of its own",
            to_try="remove it, or keep it outside of the job's directory",
        )


def _nearest(folder: Path) -> str:
    """What to write instead, by looking at what the parent has."""
    import difflib  # noqa: PLC0415 - only for a message

    try:
        beside = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()]
    except (OSError, ValueError):
        return f"create it; its parent {folder.parent} does not exist either"
    near = difflib.get_close_matches(folder.name, beside, 1)
    if near:
        return f"did you mean {str(folder.parent / near[0])!r}?"
    return "create it, or correct the path (relative ones start from the configuration's folder)"
