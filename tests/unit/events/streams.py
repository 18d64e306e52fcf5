"""Streams of events over the sandbox's pipeline, as a run and as a watch makes them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.events.books import Books
from pytest_vdkprobe.events.find import Pipeline
from pytest_vdkprobe.events.findings import Round
from pytest_vdkprobe.events.metrics import EventMetrics
from pytest_vdkprobe.events.stream import EventStream
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.sandbox.routes import events
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until

LIMIT_S = 40.0
QUICK = {"interval_s": 0.02, "events": 20, "within_s": 15.0, "late_s": 0.5, "quiet_s": 0.3}
LOSSY: dict[str, Any] = {"within_s": 4.0}
"""For those that wait until something is lost."""


def table(sandbox: Sandbox, **given: Any) -> dict[str, Any]:
    """The sandbox's own entry of [[events]], quicker, with some settings changed.

    Those of the ends are given as `target={...}` and `reader={...}`.
    """
    (entry,) = events(url=sandbox.url, login=sandbox.client_login(), ca_file=None)
    entry |= QUICK
    entry["reader"]["stagger_s"] = 0.0
    for side in ("target", "reader"):
        entry[side] |= given.pop(side, {})
    return {**entry, **given}


@contextmanager
def stream(
    sandbox: Sandbox,
    folder: Path,
    *,
    watch: bool = False,
    recorder: Recorder | None = None,
    say: Callable[[str], None] | None = None,
    **given: Any,
) -> Iterator[EventStream]:
    """A stream that is not opened yet; in a watch its books lie in the folder."""
    configuration = from_tables("test.toml", {"events": [table(sandbox, **given)]}, environ={})
    pipeline = Pipeline(configuration, 0)
    settings = pipeline.settings
    metrics = EventMetrics(recorder or Recorder(), settings, check="events[pipeline]")
    if watch:
        books = Books.kept(settings, folder, "pipeline", totals=metrics.totals())
    else:
        run_id = secrets.token_hex(4)
        books = Books(settings, folder / f"{run_id}.ledger", run_id=run_id)
    made = EventStream(
        settings,
        books,
        make_end=lambda side, run_id: pipeline.make(side, run_id, leases=None),
        limit=None if watch else settings.events,
        metrics=metrics,
        say=say,
    )
    try:
        yield made
    finally:
        made.close()


def run(made: EventStream) -> Round:
    """All of a run's events, settled."""
    made.open()
    made.start()
    return made.finish(deadline=Deadline.after(LIMIT_S))


def all_listen(made: EventStream) -> None:
    """Wait until each listener is connected: the first is from the start, the others soon."""
    wait_until(
        "listeners",
        lambda: made.reader.connected,
        done=lambda connected: connected == made.reader.settings.listeners,
        deadline=Deadline.after(LIMIT_S),
        longest_pause_s=0.02,
    )


def seen(made: EventStream, count: int) -> None:
    """Wait until so many events have come out."""
    wait_until(
        "events",
        lambda: made.look().seen,
        done=lambda found: found >= count,
        deadline=Deadline.after(LIMIT_S),
        longest_pause_s=0.02,
    )
