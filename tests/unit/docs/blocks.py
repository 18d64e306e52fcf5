"""The fenced blocks of the documentation, so that tests can run or parse what readers will copy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
REFERENCE = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md"))
)

_FENCE = re.compile(
    r"^(?P<mark>```+)(?P<language>\w*)(?P<flags>[^\n]*)\n(?P<text>.*?)^(?P=mark)\s*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, what follows that on the line, its text."""

    page: str
    line: int
    language: str
    flags: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Every block in one of these languages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match["language"] in languages:
                line = text.count("\n", 0, match.start()) + 1
                name = page.relative_to(ROOT).as_posix()
                found.append(
                    Block(name, line, match["language"], match["flags"].strip(), match["text"])
                )
    return found


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a shell block as words; in a console block, the lines behind a prompt."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "console":
            if not line.startswith("$ "):
                continue
            line = line.removeprefix("$ ")  # noqa: PLW2901 - the prompt is not part of it
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
            words = words[1:]
        if words:
            yield words
