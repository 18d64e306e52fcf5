"""An event pipeline as the subject of a journey: bounded by the running step, told in its report.

In a run it is opened for its journey and closed with it. In a watch it goes on from round to round,
posting and listening in between, and a round judges what has settled since the last one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys.cleanup import sweep_ends_once
from pytest_vdkprobe.routes.kinds import SIDES
from pytest_vdkprobe.routes.problems import EXAMPLES

if TYPE_CHECKING:
    from pytest_vdkprobe.events.find import Pipeline
    from pytest_vdkprobe.events.findings import Round
    from pytest_vdkprobe.events.stream import EventStream
    from pytest_vdkprobe.journeys.run import Run


class Events:
    """What a scenario does with a pipeline: `connect()`, `round()`, `remove()`."""

    def __init__(self, stream: EventStream, run: Run) -> None:
        self._stream = stream
        self._run = run

    @property
    def place(self) -> str:
        """Where events go in and come out, for messages."""
        return self._stream.place

    def connect(self) -> str:
        """Have both ends ready, logged in and listening. Raises LoginError, TransportError ..."""
        if self._run.lasting is None and self._run.may_have_leases:
            sweep_ends_once(self._run)
        self._stream.open()
        return f"{self.place}, app id {self._stream.run_id}"

    def round(self) -> Round:
        """The events of a run, once each is settled; in a watch, what settled since last time."""
        self._stream.start()
        if self._stream.limit is None:
            self._stream.await_first(deadline=self._run.step_deadline())
            found = self._stream.take()
        else:
            found = self._stream.finish(deadline=self._run.step_deadline())
        if self._run.step is not None:
            told = found.to_dict()
            if not self._stream.clean:
                told["ledger"] = str(self._stream.books.path)
            self._run.step.attach("account", told)
        return found

    def require(self, found: Round) -> None:
        """Judge a round; one in which the posting was given up ends a watch."""
        if found.gave_up is not None and self._run.step is not None:
            self._run.step.attach("gave_up", {"reason": found.gave_up})
        found.require()

    def remove(self) -> list[str]:
        """Delete what the two ends created for this run; a watch goes on using it."""
        if self._run.lasting is not None:
            return ["a watch goes on with it"]
        self._stream.remove()
        return ["nothing is left of its ends"]


@contextmanager
def open_events(name: str, run: Run) -> Iterator[Events]:
    """The pipeline called `name`; in a run, closed at the end."""
    if run.lasting is None:
        from pytest_vdkprobe.renewing import Renewer  # noqa: PLC0415 - inert unless used

        stream = _made(name, run)
        with Renewer(run.leases):
            try:
                yield Events(stream, run)
            finally:
                stream.close()
                if stream.clean:
                    stream.books.discard()
        return
    key = f"events/{name}"
    if key not in run.lasting:
        run.lasting[key] = _made(name, run)
    yield Events(run.lasting[key], run)


def _made(name: str, run: Run) -> EventStream:
    from pytest_vdkprobe.config.entry_names import plain  # noqa: PLC0415 - as above
    from pytest_vdkprobe.events.books import Books  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.events.find import SECTION, find  # noqa: PLC0415 - as above
    from pytest_vdkprobe.events.metrics import EventMetrics  # noqa: PLC0415 - as above
    from pytest_vdkprobe.events.stream import EventStream  # noqa: PLC0415 - as above

    pipeline = find(run.configuration, name, placeholders=run.placeholders)
    settings = pipeline.settings
    if run.lasting is not None:
        _refuse_created(pipeline)
    metrics = EventMetrics(run.metrics, settings, check=f"{SECTION}[{name}]")
    # Two names may be alike once they are plain.
    mark = "" if plain(name) == name else f"-{zlib.crc32(name.encode()):08x}"
    file = f"{SECTION}-{plain(name)}{mark}"
    if run.state_folder is not None:
        books = Books.kept(settings, run.state_folder, file, totals=metrics.totals())
    else:
        path = run.report_folder / f"{run.run_id}-{file}.ledger"
        books = Books(settings, path, run_id=run.run_id)
    return EventStream(
        settings,
        books,
        make_end=partial(pipeline.make, leases=run.leases),
        limit=settings.events if run.lasting is None else None,
        metrics=metrics,
        say=run.say,
    )


def _refuse_created(pipeline: Pipeline) -> None:
    """What is made for a run goes with it, and a watch's events outlive rounds and processes."""
    for side in SIDES:
        settings = pipeline.end_settings(side, EXAMPLES["run"])
        if getattr(settings, "create", False):
            raise ConfigError(
                f"A watch creates nothing for the event pipeline {pipeline.settings.name}.",
                file=pipeline.configuration.name,
                key=f"{pipeline.key}.{side}.create",
                value=True,
                to_try="create it yourself, for good, and leave create out",
            )
