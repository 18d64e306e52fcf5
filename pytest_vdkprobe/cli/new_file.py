"""A file that a command writes for its user: new and whole, or it is said why not."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

from pytest_vdkprobe.errors import ConfigError, ProbeError


def require_native(path: Path) -> None:
    """Raises ConfigError for a name by which a native configuration would be read as another's."""
    if path.suffix.lower() != ".toml":
        raise ConfigError(
            f"{path} would not be read as what it would hold: a native configuration is a .toml.",
            file=str(path),
            to_try=f"name it {path.with_suffix('.toml')}",
        )


def write_new(path: Path, text: str, *, over: bool = False) -> None:
    """Write it, never over another unless `over`; nothing is left of one that fails.

    Raises ConfigError where another place has to be named, ProbeError where this one is in trouble.
    """
    made = False
    try:
        with path.open("w" if over else "x", encoding="utf-8") as file:
            made = True
            file.write(text)
    except FileExistsError as exc:
        raise ConfigError(
            f"{path} is there already.", file=str(path), to_try="name another, or remove it"
        ) from exc
    except FileNotFoundError as exc:
        raise ConfigError(
            f"There is no folder {path.parent} to write {path.name} into.",
            file=str(path),
            to_try=f"mkdir -p {shlex.quote(str(path.parent))}, or name another folder",
        ) from exc
    except NotADirectoryError as exc:
        raise ConfigError(
            f"{path} can't be written: a part of its way is a file.",
            file=str(path),
            to_try="name another folder",
        ) from exc
    except OSError as exc:
        if made and not over:
            with suppress(OSError):
                path.unlink()
        raise ProbeError(
            f"{path} can't be written: {exc.strerror or exc}.",
            to_try="see who may write there, and whether the disk has room",
        ) from exc
