"""Writes the native tables of a sandbox as TOML, so that they can be kept, read and changed.

Only what such tables hold: strings, numbers, booleans, lists, and tables in tables. Python reads
TOML but does not write it, and a library for twenty lines would be one more to audit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(tables: Mapping[str, object]) -> str:
    """`{"control": {...}, "jobs": [{...}]}` as `[control]` and `[[jobs]]` sections."""
    sections = []
    for name, content in tables.items():
        if isinstance(content, Mapping):
            sections.append(_section(f"[{_key(name)}]", content))
        elif isinstance(content, list):
            sections += [_section(f"[[{_key(name)}]]", one) for one in content]
        else:
            raise TypeError(f"{name} is neither a table nor a list of tables")
    return "\n".join(sections)


def _section(header: str, content: Mapping[str, object]) -> str:
    lines = [
        f"{_key(key)} = {_value(value)}" for key, value in content.items() if value is not None
    ]
    return "\n".join([header, *lines, ""])


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    """A basic string; JSON's escapes are a part of TOML's, which also wants DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
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
    raise TypeError(f"{value!r} has no form in TOML")
