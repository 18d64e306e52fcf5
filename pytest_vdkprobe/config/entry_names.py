"""The names of a list's entries: each its own, also where tables, topics and jobs are named by it.

A table, a topic or a file can't be called all that an entry can, so what is made of a name keeps
its letters and digits only. Two entries that differ in the rest alone would share, and remove, each
other's; both are named before anything is created.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pytest_vdkprobe.errors import ConfigError


def plain(name: str) -> str:
    """A name that a file, a table and a topic may have."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def find_problems(
    section: str,
    names: Sequence[object],
    *,
    made: Callable[[str], str] | None = None,
    file: str | None = None,
) -> list[ConfigError]:
    """Each of these names that an earlier entry of `[[section]]` has, or one too much like it.

    `made` tells what things on the platform are called that are named by an entry.
    """
    found = []
    first: dict[str, str] = {}
    for index, name in enumerate(names):
        if not isinstance(name, str):
            continue  # its room says what is wrong with that
        becomes = made(name) if made else name
        other = first.setdefault(becomes, name)
        if index == names.index(name) and other == name:
            continue
        what, wanted = "have the same name", None
        if other != name:
            what = (
                f"are called {other!r} and {name!r}, which is one name where tables, topics, files "
                "or jobs are named by it"
            )
            wanted = "names that differ in the letters a-z and digits"
        found.append(
            ConfigError(
                f"Two entries in [[{section}]] {what}.",
                file=file,
                key=f"{section}.{index}.name",
                value=name,
                expected=wanted,
                to_try="give each a name of its own: reports and leases tell them apart by it",
            )
        )
    return found
