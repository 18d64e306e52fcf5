"""`vdkprobe history list | show | diff`: what the history holds, for people and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.cli.history_commands import NONE, Act, work_on
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import redact

if TYPE_CHECKING:
    from pytest_vdkprobe.history.executions import Execution
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.database import Work

NAMES = ("list", "show", "diff")
LAST = "last"
"""The word for the execution that began last."""


def add_parsers(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[Act], Callable[..., int]],
) -> None:
    """Add the commands; `run` makes of one what the command line calls."""
    listed = commands.add_parser("list", help="list executions, the newest first")
    listed.add_argument(
        "--limit", type=_limit, default=20, metavar="N", help="how many (default: 20)"
    )
    listed.add_argument("--status", metavar="STATUS", help="only those, like COMPLETED or FAILED")
    listed.set_defaults(run=run(_list))
    show = commands.add_parser("show", help="show an execution, its steps and what they took")
    show.add_argument(
        "execution_id", metavar="execution-id", nargs="?", default=LAST, help="default: the last"
    )
    show.set_defaults(run=run(_show))
    diff = commands.add_parser(
        "diff", help="say which models and versions changed between two executions"
    )
    diff.add_argument(
        "execution_id", metavar="execution-id", nargs="?", default=LAST, help="default: the last"
    )
    diff.add_argument(
        "previous_execution_id",
        metavar="previous-execution-id",
        nargs="?",
        help=f"against which one, or {NONE} (default: the last successful one before)",
    )
    diff.set_defaults(run=run(_diff))
    for parser in (listed, show, diff):
        parser.add_argument("--json", action="store_true", help="print JSON")


def _limit(text: str) -> int:
    limit = int(text)
    if not 0 < limit < 2**31:
        raise argparse.ArgumentTypeError("at least 1")
    return limit


def _list(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import executions  # noqa: PLC0415 - `--help` is quick

    status = arguments.status and arguments.status.upper()
    if status and status not in executions.Status.__members__:
        raise ConfigError(
            f"{arguments.status!r} is no status.",
            key="--status",
            expected=", ".join(executions.Status),
        )
    with work_on(arguments, address) as work:
        executions.abandon_dead(work)
        found = executions.listed(
            work, pipeline=arguments.pipeline, status=status, limit=arguments.limit
        )
    if arguments.json:
        _print_json([_as_json(one) for one in found])
        return
    for one in found:
        _say(_headline(one))


def _show(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import executions, models, parts, steps  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        executions.abandon_dead(work)
        execution = _named(work, arguments.execution_id, arguments.pipeline)
        found = [
            (step, models.count(work, step.id), parts.of_step(work, step.id))
            for step in steps.of_execution(work, execution.id)
        ]
    if arguments.json:
        _print_json(
            _as_json(execution)
            | {
                "steps": [
                    _as_json(step)
                    | {"models": count, "parts": [msgspec.structs.asdict(part) for part in inside]}
                    for step, count, inside in found
                ]
            }
        )
        return
    _say(_headline(execution))
    for name, version in execution.versions.items():
        _say(f"  {name} {version}")
    if execution.note:
        _say(f"  {execution.note}")
    for step, count, inside in found:
        rows = "" if step.rows_processed is None else f"  {step.rows_processed} rows"
        _say(
            f"  {step.name:<24} {step.verdict or step.status:<12} {_took(step.duration_ms):>10}"
            f"  {count} models{rows}  {step.id}"
        )
        if step.note:
            _say(f"    {step.note}")
        for part in inside:
            _say(f"    {part.name:<22} {part.verdict:<12} {part.duration_s:>8.2f} s")


def _diff(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import changes  # noqa: PLC0415 - as above
    from pytest_vdkprobe.history.comparison import changed_versions  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        current = _named(work, arguments.execution_id, arguments.pipeline)
        previous = _previous(work, arguments.previous_execution_id, current)
        found = changes.between(work, previous.id if previous else None, current.id)
    versions = changed_versions(previous.versions, current.versions) if previous else []
    if arguments.json:
        _print_json(
            {
                "execution": current.id,
                "previous": previous.id if previous else None,
                "changes": [asdict(change) for change in found],
                "versions": versions,
            }
        )
        return
    for change in found:
        _say(str(change))
    for told in versions:
        _say(f"{'version':<15} {told}")


def _named(work: Work, wanted: str, pipeline: str | None) -> Execution:
    from pytest_vdkprobe.history import executions  # noqa: PLC0415 - as above

    if wanted != LAST:
        return executions.get(work, wanted)
    found = executions.newest(work, pipeline=pipeline)
    if found is None:
        raise ConfigError(
            "There is no execution yet.", to_try="`init-execution` begins one, a run of pytest too"
        )
    return found


def _previous(work: Work, wanted: str | None, current: Execution) -> Execution | None:
    from pytest_vdkprobe.history import executions  # noqa: PLC0415 - as above

    if wanted == NONE:
        return None
    if wanted is not None:
        return executions.get(work, wanted)
    return executions.last_successful(
        work, pipeline=current.pipeline, kind=current.kind, before=current.id
    )


def _headline(one: Execution) -> str:
    return (
        f"{one.id}  {one.pipeline:<12} {one.kind:<8} {one.verdict or one.status:<12}"
        f" {one.started_at:%Y-%m-%d %H:%M:%S}  {_took(one.duration_ms):>10}"
    ).rstrip()


def _took(duration_ms: int | None) -> str:
    return "" if duration_ms is None else f"{duration_ms / 1000:.2f} s"


def _as_json(one: Any) -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
        for name, value in msgspec.structs.asdict(one).items()
    }


def _print_json(value: object) -> None:
    _say(json.dumps(value, indent=2))


def _say(text: str) -> None:
    print(redact(text))
