"""Tables as TOML, so that they can be kept, read and changed by people.

Only what configurations hold: strings, numbers, booleans, dates, lists, and tables in tables.
Python reads TOML but does not write it, and a library for forty lines would be one more to audit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(
    tables: Mapping[str, object], *, comments: Mapping[tuple[str, ...], str] | None = None
) -> str:
    """`{"control": {...}, "jobs": [{...}]}` as `[control]` and `[[jobs]]` sections.

    `comments` stand behind the setting of their key, `("jobs", "0", "name")`.
    """
    told = comments or {}
    sections = []
    for name, content in tables.items():
        if isinstance(content, Mapping):
            sections.append(_section(f"[{_key(name)}]", content, (name,), told))
        elif isinstance(content, list):
            sections += [
                _section(f"[[{_key(name)}]]", one, (name, str(index)), told)
                for index, one in enumerate(content)
            ]
        else:
            raise TypeError(f"{name} is neither a table nor a list of tables")
    return "\n".join(sections)


def _section(
    header: str,
    content: Mapping[str, object],
    place: tuple[str, ...],
    comments: Mapping[tuple[str, ...], str],
) -> str:
    lines = [header]
    for key, value in content.items():
        if value is None:
            continue
        comment = comments.get((*place, key))
        lines.append(f"{_key(key)} = {_value(value)}" + (f"  # {comment}" if comment else ""))
    return "\n".join([*lines, ""])


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    """A basic string; JSON's escapes are a part of TOML's, which also wants DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:  # noqa: PLR0911 - one for each type
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # inf, -inf and nan read the same in both
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in TOML")
