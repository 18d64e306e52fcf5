"""`{name}` in a text of the configuration: filled in by a run, and refused where nothing fills it.

A misspelt one would otherwise go to the platform as it stands, into an address or a table's name,
and the finding would be about a place that nobody has configured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pytest_vdkprobe.config.nearest import nearest
from pytest_vdkprobe.config.origin import Key
from pytest_vdkprobe.config.overrides import Given, parse

_FILLED = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")
"""`{{name}}` stands for `{name}`, as it is."""
_MEANT = re.compile(r"(?<!\{)\{\s*([A-Za-z_][\w -]*?)\s*\}")
"""What somebody will have meant to be one, though it is written otherwise: `{Run}`, `{ run }`."""


class Unknown(NamedTuple):
    """A placeholder that nothing fills."""

    key: Key
    text: str
    name: str


def filled(value: Any, placeholders: Mapping[str, str]) -> Any:
    """`value` with each `{name}` in its texts replaced, at any depth.

    A text that is nothing but a placeholder becomes what it stands for, a number perhaps.
    """
    if isinstance(value, str):
        if value.startswith("{") and value[1:-1] in placeholders and value.endswith("}"):
            text = placeholders[value[1:-1]]
            return Given(text, parse(text))
        return _FILLED.sub(lambda found: _stands_for(found, placeholders), value)
    if isinstance(value, Given):
        text = filled(value.text, placeholders)
        parsed = filled(value.parsed, placeholders)
        return text if isinstance(text, Given) else value._replace(text=text, parsed=parsed)
    if isinstance(value, dict):
        return {key: filled(item, placeholders) for key, item in value.items()}
    return [filled(item, placeholders) for item in value] if isinstance(value, list) else value


def _stands_for(found: re.Match[str], placeholders: Mapping[str, str]) -> str:
    if found[1] is not None:
        return f"{{{found[1]}}}"
    return placeholders.get(found[2], found[0])


def unknown(
    value: Any, placeholders: Mapping[str, str], key: Key, *, later: tuple[str, ...] = ()
) -> Iterator[Unknown]:
    """Each placeholder in the texts of `value`, which stands at `key`, that is none of these.

    Settings called as one of `later` hold some of their own, which their kind looks at.
    """
    if isinstance(value, Given):
        value = value.text if isinstance(value.parsed, str) else value.parsed
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in later:
                yield from unknown(item, placeholders, (*key, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown(item, placeholders, (*key, str(index)))
    elif isinstance(value, str):
        for found in _MEANT.finditer(value):
            if found[0] != f"{{{found[1]}}}" or found[1] not in placeholders:
                yield Unknown(key, value, found[1])


def remedy(name: str, known: list[str]) -> str:
    """What to write in place of `{name}`."""
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {{{near}}}?"
    return f"write {{{{{name}}}}} where the braces are to stay"
