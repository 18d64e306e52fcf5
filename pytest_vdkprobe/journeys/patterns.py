"""Journeys and steps named on the command line, as their ids are printed."""

from __future__ import annotations

import difflib
import re

import pytest


class Pattern:
    """A journey, or a step of it, as printed: `heartbeat`, `heartbeat[x]`, `heartbeat[x]::run`."""

    SHAPE = re.compile(
        r"(?P<title>[A-Za-z_][\w-]*)(\[(?P<subject>.+?)\])?(::(?P<step>[\w-]+(\[.*\])?))?"
    )

    def __init__(self, text: str) -> None:
        match = self.SHAPE.fullmatch(text)
        if match is None:
            raise ValueError(text)
        self.text = text
        self.title: str = match["title"]
        self.subject: str | None = match["subject"]
        self.step: str | None = match["step"]

    def matches(self, nodeid: str) -> bool:
        """Whether a test's id is meant."""
        journey, _, step = nodeid.partition("::")
        title, _, subject = journey.partition("[")
        return (
            title == self.title
            and self.subject in (None, subject.removesuffix("]"))
            and self.step in (None, step, step.partition("[")[0])
        )


def not_found(patterns: list[Pattern], everything: list[pytest.Item]) -> str:
    known = sorted({item.nodeid for item in everything})
    lines = []
    for pattern in patterns:
        near = difflib.get_close_matches(pattern.text, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"{len(known)} tests were found"
        lines.append(f"not found: {pattern.text} ({hint})")
    return "\n".join(lines)
