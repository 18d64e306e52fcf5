"""Models: what a step consisted of, each known by its path and by what is in it.

The orchestrator knew models by their stem, so `a/x.sql` and `b/x.csv` were one. Here the path,
relative to the step's base path, is a model's identity; its stem is kept for the old output.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pytest_vdkprobe.history.ids import guid, new_guids

if TYPE_CHECKING:
    from pytest_vdkprobe.store.database import Work


class Model(NamedTuple):
    """One file, or what stands for one. Hashes are SHA-256, as bytes: half the memory of text."""

    path: str
    """Relative to the step's base path, with `/`."""
    digest: bytes
    """Of the content."""
    normal_digest: bytes
    """Of the content with every run of whitespace as one blank, and none at the ends."""
    size_bytes: int


def stem_of(path: str) -> str:
    """A file's name without its last suffix, as pathlib has it, in a tenth of the time."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


_COLUMNS = (
    *("execution_step_model_id", "execution_step_id", "created_on", "updated_on"),
    *("model_name", "checksum", "path", "normal_checksum", "size_bytes"),
)


def store(work: Work, step_id: str, models: Iterable[Model], *, now: datetime) -> None:
    """Keep what a step consists of."""
    work.insert(
        "execution_step_model",
        _COLUMNS,
        (
            (
                *(model_id, step_id, now, now, stem_of(model.path), model.digest.hex()),
                *(model.path, model.normal_digest.hex(), model.size_bytes),
            )
            for model_id, model in zip(new_guids(), models, strict=False)
        ),
    )


def count(work: Work, step_id: str) -> int:
    """How many models a step has."""
    found = work.rows(
        "select count(*) from execution_step_model where execution_step_id = :id",
        id=guid(step_id, what="a step"),
    )
    return int(found[0][0])
