"""Model files: found by patterns, read once, hashed twice.

All files are read before anything is written to the database, so that one that can't be read leaves
nothing half done. Reading and hashing let other threads go on, so a few of them share the work.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.history.models import Model

THREADS = min(8, 2 * (os.cpu_count() or 1))
AT_ONCE = 200
"""Files that a thread takes at a time; for each single one, handing it over would cost more."""
PIECE = 1 << 20
"""Bytes of a file that are in memory at once."""
_WILD = frozenset("*?[")


class Found(NamedTuple):
    """What patterns lead to."""

    models: list[Model]
    """In the order of their paths."""
    matched_nothing: tuple[str, ...]
    left_out: tuple[str, ...]
    """Symbolic links that lead nowhere, by their paths."""


def find_models(base: str, patterns: Sequence[str]) -> Found:
    """The files below `base` that any of the patterns matches, hashed.

    Patterns are those of `pathlib.Path.glob`; `**` does not follow symbolic links to folders, and a
    link to a file counts as the file it leads to. Raises ConfigError.
    """
    folder = Path(base)
    if not folder.is_dir():
        why = "is no folder" if folder.exists() else "does not exist"
        raise ConfigError(f"The base path {base!r} {why}.", to_try="name the folder of the models")
    paths: dict[str, str] = {}
    nothing = []
    dangling: set[str] = set()
    for pattern in patterns:
        matched = False
        for path in _glob(folder, pattern):
            name = _relative(path, folder)
            if os.path.isfile(path):  # noqa: PTH113 - a third of the time, for 100,000 files
                paths[name] = path
                matched = True
            elif os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - as above
                dangling.add(name)
        if not matched:
            nothing.append(pattern)
    return Found(_hashed(sorted(paths.items())), tuple(nothing), tuple(sorted(dangling)))


def _glob(folder: Path, pattern: str) -> Iterator[str]:
    if "**" in Path(pattern).parts:
        _refuse_unreadable(folder, pattern)
    try:
        yield from map(str, folder.glob(pattern))
    except (ValueError, NotImplementedError, IndexError) as exc:
        raise ConfigError(
            f"The pattern {pattern!r} can't be used: {exc}.",
            expected="a pattern relative to the base path, like **/*.sql",
        ) from exc
    except OSError as exc:
        raise _unreadable(str(exc.filename or folder), exc) from exc


def _refuse_unreadable(folder: Path, pattern: str) -> None:
    """A folder that may not be read would look as if all in it had been removed."""
    parts = Path(pattern).parts
    plain = parts[: parts.index("**")]
    if not any(_WILD & set(part) for part in plain):
        folder = folder.joinpath(*plain)

    def refuse(exc: OSError) -> None:
        if os.path.isdir(exc.filename):  # noqa: PTH112 - a name, and gone is not unreadable
            raise _unreadable(exc.filename, exc) from exc

    for _ in os.walk(folder, onerror=refuse):
        pass


def _relative(path: str, folder: Path) -> str:
    """The path as it is kept: text whatever bytes are in the name."""
    prefix = "" if str(folder) == "." else f"{folder}{os.sep}"
    if path.startswith(prefix) and ".." not in path:
        name = path[len(prefix) :]
    else:
        name = os.path.relpath(path, folder)
    name = name.replace(os.sep, "/")
    return name.encode("utf-8", "backslashreplace").decode() if not name.isascii() else name


def _hashed(named: list[tuple[str, str]]) -> list[Model]:
    pieces = [named[start : start + AT_ONCE] for start in range(0, len(named), AT_ONCE)]
    if len(pieces) < 2:
        return _hash_all(named)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a run hashes few files

    threads = ThreadPoolExecutor(THREADS)
    try:
        return [model for models in threads.map(_hash_all, pieces) for model in models]
    finally:
        # After Ctrl-C, or a file that can't be read, the rest need not be waited for.
        threads.shutdown(cancel_futures=True)


def _hash_all(named: Iterable[tuple[str, str]]) -> list[Model]:
    return [_model(name, path) for name, path in named]


def _model(name: str, path: str) -> Model:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
            return _read(name, file.read(PIECE), iter(lambda: file.read(PIECE), b""))
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _read(name: str, first: bytes, rest: Iterator[bytes]) -> Model:
    second = next(rest, b"")
    if not second:
        digest = hashlib.sha256(first).digest()
        return Model(name, digest, _normal_digest(first, digest), len(first))
    plain, normal = hashlib.sha256(), Normalised()
    size = 0
    for piece in _chain(first, second, rest):
        plain.update(piece)
        normal.update(piece)
        size += len(piece)
    digest = plain.digest()
    return Model(name, digest, normal.digest() or digest, size)


def of_text(path: str, text: str) -> Model:
    """A model that is no file: a section of a configuration, a version."""
    return of_bytes(path, text.encode("utf-8", "surrogatepass"))


def of_bytes(path: str, content: bytes) -> Model:
    """A model whose content is at hand."""
    return _read(path, content, iter(()))


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _normal_digest(content: bytes, digest: bytes) -> bytes:
    if b"\0" in content:
        return digest
    normal = b" ".join(content.split())
    return digest if normal == content else hashlib.sha256(normal).digest()


class Normalised:
    """The hash of a text with every run of whitespace as one blank, fed piece by piece."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._begun = False
        self._blank = False
        self._binary = False

    def update(self, piece: bytes) -> None:
        """The next piece of the text."""
        self._binary = self._binary or b"\0" in piece
        words = piece.split()
        if not words:
            self._blank = self._blank or bool(piece)
            return
        if self._begun and (self._blank or piece[:1].isspace()):
            self._hash.update(b" ")
        self._hash.update(b" ".join(words))
        self._begun = True
        self._blank = piece[-1:].isspace()

    def digest(self) -> bytes:
        """The hash; empty for what is no text."""
        return b"" if self._binary else self._hash.digest()


def _unreadable(path: str, exc: OSError) -> ConfigError:
    to_try = "let this user read it, or leave it out of the patterns"
    if isinstance(exc, FileNotFoundError):
        to_try = "it was there a moment ago: begin the step again when nobody changes the files"
    return ConfigError(
        f"{path!r} can't be read: {exc.strerror or exc}.", to_try=f"{to_try}; nothing was written"
    )
