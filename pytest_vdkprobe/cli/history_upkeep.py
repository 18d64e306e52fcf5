"""`vdkprobe history upgrade | downgrade | current | revisions | prune`: keeping it in order."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_vdkprobe.cli.history_commands import Act, work_on

if TYPE_CHECKING:
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.migrations import Migrations

NAMES = ("upgrade", "downgrade", "current", "revisions", "prune")

_log = logging.getLogger(__name__)


def add_parsers(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[Act], Callable[..., int]],
) -> None:
    """Add the commands; `run` makes of one what the command line calls."""
    up = commands.add_parser(
        "upgrade", help="bring the tables up to date; adopt those of data-pipeline-orchestrator"
    )
    up.add_argument(
        "revision", metavar="REVISION", nargs="?", default="head", help="how far (default: head)"
    )
    up.set_defaults(run=run(_upgrade))
    down = commands.add_parser("downgrade", help="take the tables back")
    down.add_argument("revision", metavar="REVISION", help="how far: -1, or a revision's id")
    down.add_argument(
        "--discard", action="store_true", help="also where that drops tables with their rows"
    )
    down.set_defaults(run=run(_downgrade))
    for parser in (up, down):
        parser.add_argument(
            "--sql", action="store_true", help="print the statements instead of running them"
        )
    current = commands.add_parser("current", help="print the revision of the tables")
    current.set_defaults(run=run(_current))
    revisions = commands.add_parser("revisions", help="list all revisions, the oldest first")
    revisions.set_defaults(run=run(_revisions))
    prune = commands.add_parser(
        "prune",
        help="remove old executions, never the last good one of a pipeline",
        description="Remove old executions: those that no rule keeps. The last good one of each"
        " pipeline and those that are going on are always kept.",
    )
    prune.add_argument(
        "--keep", type=_count, metavar="N", help="keep the newest N of each pipeline"
    )
    prune.add_argument("--keep-days", type=_days, metavar="D", help="keep those of the last D days")
    prune.set_defaults(run=run(_prune))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("a whole number, 0 or more")
    return int(text)


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 100_000 or math.isnan(days):
        raise argparse.ArgumentTypeError("a number of days, 0 or more")
    return days


def _migrations(arguments: argparse.Namespace) -> Migrations:
    from pytest_vdkprobe.history.schema import migrations  # noqa: PLC0415 - `--help` is quick

    return migrations(schema=arguments.schema)


def _upgrade(arguments: argparse.Namespace, address: Address) -> None:
    ours = _migrations(arguments)
    if arguments.sql:
        print(ours.sql_for(address, arguments.revision), end="")
        return
    for revision in ours.upgrade(address, arguments.revision):
        _log.info("now at %s", revision)


def _downgrade(arguments: argparse.Namespace, address: Address) -> None:
    ours = _migrations(arguments)
    if arguments.sql:
        print(ours.sql_for(address, arguments.revision, down=True), end="")
        return
    for revision in ours.downgrade(address, arguments.revision, discard=arguments.discard):
        _log.info("back at %s", revision)


def _current(arguments: argparse.Namespace, address: Address) -> None:
    print(_migrations(arguments).current(address) or "")


def _revisions(arguments: argparse.Namespace, address: Address) -> None:
    del address
    for one in _migrations(arguments).revisions():
        print(f"{one.id:<16} {one.what}{'  (head)' if one.is_head else ''}")


def _prune(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history.retention import prune  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        gone = prune(
            work,
            keep=arguments.keep,
            keep_days=arguments.keep_days,
            pipeline=arguments.pipeline,
        )
    for execution_id in gone:
        print(execution_id)
