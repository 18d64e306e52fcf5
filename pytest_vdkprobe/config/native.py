"""The native configuration file: TOML, with errors that say where and what to write instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pytest_vdkprobe.config.sections import SECTIONS, unknown_section
from pytest_vdkprobe.errors import ConfigError

REMEDIES = (
    ("Unescaped '\\'", "write a text with backslashes in single quotes: path = 'C:\\jobs'"),
    ("Illegal character", "a text over several lines stands between three quotes"),
    ("Invalid value", 'text stands in quotes: url = "https://control.example.org"'),
    ("Cannot declare", "the section stands there twice: put its keys together"),
    ("Cannot overwrite", "the key stands there twice: remove one of them"),
    ("Expected '='", "a setting is written: key = value"),
    ("Expected", "close the bracket or quote"),
    ("Unclosed", "close the bracket or quote"),
    ("Invalid", "a setting is written key = value, a section [name]"),
)
"""What tomllib says, and what its users then did wrong most often; the first that fits counts."""

_PLACE = re.compile(
    r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|.*)\)$", re.DOTALL
)


def read_text(path: Path, *, to_try: str) -> str:
    """The file's text. Raises ConfigError when it is not there, not a file or not UTF-8."""
    try:
        return path.read_text("utf-8-sig")
    except IsADirectoryError as exc:
        raise ConfigError(
            f"{path} is a folder, not a configuration.",
            file=str(path),
            to_try=_among(path, "name one of its files") or to_try,
        ) from exc
    except FileNotFoundError as exc:
        raise ConfigError(
            f"There is no configuration {path}.",
            file=str(path),
            to_try=_among(path.parent, "name one of the files there", path.name) or to_try,
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(
            f"{path} is not text in UTF-8 (byte {exc.start}).",
            file=str(path),
            to_try="save it as UTF-8",
        ) from exc
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or str(exc)
        raise ConfigError(
            f"{path} can't be read: {why}.", file=str(path), to_try="check the path and its rights"
        ) from exc


def read_native(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, with only sections that somebody knows."""
    import tomllib  # noqa: PLC0415 - an ini needs none

    text = read_text(path, to_try="check the path, or try --vdk-config=sandbox")
    try:
        tables = tomllib.loads(text)
    except ValueError as exc:  # TOMLDecodeError is one; an endless number raises a bare one
        raise _syntax_error(path, str(exc)) from exc
    except RecursionError as exc:
        raise ConfigError(
            f"{path} is nested too deeply.", file=str(path), to_try="look for unclosed brackets"
        ) from exc
    check_sections(tables, str(path))
    return tables


def check_sections(tables: dict[str, Any], file: str) -> None:
    """Refuse top-level names that nobody reads, and sections of the wrong shape."""
    for name, value in tables.items():
        if name not in SECTIONS:
            what, to_try = unknown_section(name)
            if not isinstance(value, dict | list):
                what = f"The setting {name} stands outside of any section, and is not known there."
                to_try = f"put it below its section's header, such as [control]; {to_try}"
            raise ConfigError(what, file=file, key=name, to_try=to_try)
        check_shape(name, value, file)


def check_shape(name: str, value: object, file: str | None) -> None:
    """Refuse `[jobs]` where `[[jobs]]` is meant, and the other way round."""
    many = SECTIONS[name]
    if isinstance(value, list if many else dict) and not (
        isinstance(value, list) and not all(isinstance(item, dict) for item in value)
    ):
        return
    raise ConfigError(
        f"The section {name} is {'a list of tables' if many else 'one table'}, and this is not.",
        file=file,
        key=name,
        expected=f"[[{name}]] before each entry" if many else f"[{name}], once",
        to_try=f"write [[{name}]]" if many else f"write [{name}]",
    )


def _syntax_error(path: Path, message: str) -> ConfigError:
    """tomllib's complaint without the line itself, which may hold a secret by mistake."""
    match = _PLACE.match(message)
    what = match["what"] if match else message
    line = match and match["line"]
    where = f", line {line}, column {match['column']}" if match and line else ", at its end"
    remedy = next((text for start, text in REMEDIES if what.startswith(start)), None)
    return ConfigError(
        f"{path}{where} is not TOML: {what}.",
        file=str(path) + (where if line else ""),
        to_try=remedy or "compare with the example in the documentation",
    )


def _among(folder: Path, advice: str, wanted: str | None = None) -> str | None:
    from pytest_vdkprobe.config.nearest import nearest  # noqa: PLC0415 - only for errors

    try:
        names = sorted(
            entry.name for entry in folder.iterdir() if entry.suffix in (".toml", ".ini", ".cfg")
        )
    except OSError:
        return f"check the folder too: {folder} is not there"
    near = nearest(wanted, names) if wanted else None
    if near:
        return f"did you mean {folder / near}?"
    return f"{advice}: {', '.join(names[:5])}" if names else None
