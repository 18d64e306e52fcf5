"""Who posts the events of one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Poster:
    """A worker of the schedule; `own` says that nobody else uses its target."""

    def __init__(self, post: Callable[[Any, int], None], target: Any, *, own: bool) -> None:
        self._post = post
        self._target = target
        self._own = own

    def serve(self, slot: int, due: float) -> None:
        """Post the event of this slot."""
        self._post(self._target, slot)

    def close(self) -> None:
        """Give back its connections."""
        if self._own:
            self._target.close()
