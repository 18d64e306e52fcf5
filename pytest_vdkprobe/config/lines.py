"""On which line of a native file a setting stands, for messages: TOML's reader does not tell.

Looked for only when something is wrong. Where a text over several lines hides the place, the line
of what it stands in is told, or none.
"""

from __future__ import annotations

import re

from pytest_vdkprobe.config.origin import Key

_PART = r"""\s*(?:"[^"]*"|'[^']*'|[\w-]+)\s*"""
_NAMES = rf"{_PART}(?:\.{_PART})*"
_HEADER = re.compile(rf"\s*(\[{{1,2}})({_NAMES})\]")
_SETTING = re.compile(rf"({_NAMES})=")


def line_of(text: str, key: Key) -> int | None:
    """The line, from 1, of the setting at `key`, or of the nearest table around it."""
    best: tuple[int, int] | None = None
    counts: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            names = _names(header[2])
            if header[1] == "[[":
                counts[names] = counts.get(names, -1) + 1
            table = place = _numbered(names, counts)
        elif setting := _SETTING.match(line):
            place = (*table, *_names(setting[1]))
        else:
            continue
        # Of two that reach as far, a table's header and its first key, the first is the place.
        if place == key[: len(place)] and (best is None or len(place) > best[0]):
            best = (len(place), number)
    return best[1] if best else None


def _names(text: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in re.findall(_PART, text))


def _numbered(names: Key, counts: dict[Key, int]) -> Key:
    """A header's names with the number of each list's entry that they lead through."""
    place: list[str] = []
    for length, name in enumerate(names, 1):
        place.append(name)
        if names[:length] in counts:
            place.append(str(counts[names[:length]]))
    return tuple(place)
