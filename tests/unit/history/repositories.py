"""Generated histories of a repository, with edits whose kinds are known."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pytest_vdkprobe.history.changes import Change, Kind
from pytest_vdkprobe.history.files import of_text
from pytest_vdkprobe.history.models import Model

STEPS = ("LOAD", "TRANSFORM")
WORDS = ("select", "from", "where", "join", "orders", "people", "total", "week")

Tree = dict[str, dict[str, str]]
"""Contents by path by step."""
Truth = set[tuple[Kind, str, str]]
"""Kind, step and path of each edit."""


class Repository:
    """Two steps of model files, edited one round at a time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._made = 0
        self.tree: Tree = {step: {} for step in STEPS}
        for _ in range(self._random.randint(2, 30)):
            self._add(self._random.choice(STEPS))

    def models(self, step: str) -> Iterator[Model]:
        for path, content in sorted(self.tree[step].items()):
            yield of_text(path, content)

    def edit(self) -> Truth:
        """Edit some files, each at most once; what was done."""
        truth: Truth = set()
        files = [(step, path) for step in STEPS for path in sorted(self.tree[step])]
        self._random.shuffle(files)
        for step, path in files[: self._random.randint(0, len(files))]:
            truth.add(self._edit(self._random.choice(list(Kind)), step, path))
        for _ in range(self._random.randint(0, 3)):
            step = self._random.choice(STEPS)
            truth.add((Kind.ADDED, step, self._add(step)))
        return truth

    def _edit(self, kind: Kind, step: str, path: str) -> tuple[Kind, str, str]:
        content = self.tree[step][path]
        if kind is Kind.ADDED:
            return kind, step, self._add(step)
        if kind is Kind.CHANGED:
            self.tree[step][path] = self._content()
            return kind, step, path
        if kind is Kind.WHITESPACE:
            blank = self._random.choice(["  ", "\n", "\t", "\r\n"])
            self.tree[step][path] = content.replace(" ", blank, 1) + "\n"
            return kind, step, path
        del self.tree[step][path]
        if kind is Kind.RENAMED:
            new = self._path()
            self.tree[step][new] = content
            return kind, step, new
        if kind is Kind.MOVED:
            other = STEPS[1 - STEPS.index(step)]
            new = path if path not in self.tree[other] else self._path()
            self.tree[other][new] = content
            return kind, other, new
        return kind, step, path

    def _add(self, step: str) -> str:
        path = self._path()
        self.tree[step][path] = self._content()
        return path

    def _path(self) -> str:
        self._made += 1
        folder = self._random.choice(["", "a/", "b/c/"])
        # Few stems, so that many files share one.
        return f"{folder}{self._made}/{self._random.choice(WORDS)}.sql"

    def _content(self) -> str:
        self._made += 1
        return " ".join([*self._random.choices(WORDS, k=5), str(self._made)])


def as_truth(changes: list[Change]) -> Truth:
    """Changes in the form of the truth."""
    return {(change.kind, change.step, change.path) for change in changes}
