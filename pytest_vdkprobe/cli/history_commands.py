"""The commands of data-pipeline-orchestrator, and those for what it could not say: that one failed.

Arguments, defaults and outputs are those of its program, which its README tells differently in
places; names that only its README has work too.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.history.steps import Step
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.database import Work

NONE = "NO_LAST_SUCCESSFUL_EXECUTION"
"""What the orchestrator prints and takes where there is no successful execution yet."""
NAMES = (
    *("init-execution", "get-last-successful-execution", "get-execution-completion-timestamp"),
    *("init-step", "compare-step-models", "complete-step", "complete-execution"),
    *("fail-step", "fail-execution", "heartbeat"),
    *("get-execution-last-updated-timestamp", "persist-models", "compare-models"),
)

Act = Callable[[argparse.Namespace, "Address"], int | None]

_log = logging.getLogger(__name__)


def add_parsers(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[Act], Callable[..., int]],
) -> None:
    """Add the commands; `run` makes of one what the command line calls."""

    def add(name: str, act: Act, text: str) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
        parser.set_defaults(run=run(act))
        return parser

    one = add("init-execution", _init_execution, "begin an execution and print its id")
    one.add_argument("-id", "--execution-id", metavar="GUID", help="its id (default: a new one)")
    one.add_argument(
        "--abandon-after-s",
        type=_seconds,
        metavar="S",
        help="take it for abandoned after so long without a command for it (default: a day)",
    )
    add(
        "get-last-successful-execution",
        _last_successful,
        f"print the id of the execution that completed last, or {NONE}",
    )
    for name, act, what in (
        ("get-execution-completion-timestamp", _completed_on, "completed"),
        ("get-execution-last-updated-timestamp", _updated_on, "was last changed"),
    ):
        one = add(name, act, f"print when an execution {what}")
        one.add_argument("execution_id", metavar="execution-id", help=f"an id, or {NONE}: now")

    for name, act in (("init-step", _init_step), ("persist-models", _persist_models)):
        one = add(name, act, "begin a step, and keep what models it consists of")
        _execution(one)
        one.add_argument("step_name", metavar="step-name", help="like LOAD or TRANSFORM")
        one.add_argument("base_path", metavar="base-path", help="the folder of the models")
        one.add_argument(
            "model_patterns",
            metavar="model-patterns",
            nargs="+",
            help="which files below it, like *.txt or **/*.sql",
        )

    one = add(
        "compare-step-models",
        _compare_step,
        "print the names of a step's models that are new or changed",
    )
    _step(one)
    one.add_argument(
        "previous_execution_id", metavar="previous-execution-id", help=f"an id, or {NONE}"
    )
    one.add_argument(
        "--changes",
        action="store_true",
        help="say of each what happened to it, and name those removed, renamed and moved",
    )
    one = add("compare-models", _compare_models, "as compare-step-models, by executions")
    one.add_argument("previous_execution_id", metavar="previous-execution-id")
    one.add_argument("current_execution_id", metavar="current-execution-id")
    one.add_argument("step_name", metavar="model-type", help="the step's name")

    one = add("complete-step", _complete_step, "note that a step completed")
    _step(one)
    one.add_argument(
        "--rows-processed", nargs="?", metavar="N", help="how many rows it processed, if known"
    )
    one = add("fail-step", _fail_step, "note that a step failed")
    _step(one)
    _reason(one)
    one = add("complete-execution", _complete_execution, "note that an execution completed")
    _execution(one)
    one = add("fail-execution", _fail_execution, "note that an execution failed")
    _execution(one)
    _reason(one)
    one = add("heartbeat", _heartbeat, "note that an execution is alive, in a long step")
    _execution(one)


def _execution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "execution_id", metavar="execution-id", help="an id that init-execution printed"
    )


def _step(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("step_id", metavar="step-id", help="an id that init-step printed")


def _reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="TEXT", help="why, for `show`")


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError("a number of seconds, at least 1")
    return int(text)


@contextmanager
def work_on(arguments: argparse.Namespace, address: Address) -> Iterator[Work]:
    """One transaction on the history; nothing is kept when the block raises."""
    from pytest_vdkprobe.history.schema import open_history  # noqa: PLC0415 - `--help` is quick

    database = open_history(address, schema=arguments.schema)
    try:
        with database.begin() as work:
            yield work
    finally:
        database.close()


def _init_execution(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import executions  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        for dead in executions.abandon_dead(work):
            _log.warning("execution %s is abandoned: nothing was heard of it", dead)
        execution_id = executions.begin(
            work,
            pipeline=_pipeline(arguments),
            execution_id=arguments.execution_id,
            abandon_after_s=arguments.abandon_after_s,
        )
    print(execution_id)


def _last_successful(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import executions  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        found = executions.last_successful(work, pipeline=_pipeline(arguments))
    print(found.id if found else NONE)


def _completed_on(arguments: argparse.Namespace, address: Address) -> None:
    _print_moment(arguments, address, "completed_at")


def _updated_on(arguments: argparse.Namespace, address: Address) -> None:
    _print_moment(arguments, address, "updated_at")


def _print_moment(arguments: argparse.Namespace, address: Address, name: str) -> None:
    from pytest_vdkprobe.history import executions  # noqa: PLC0415 - as above
    from pytest_vdkprobe.store import moments  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        if arguments.execution_id == NONE:
            found: Any = work.now()
        else:
            found = getattr(executions.get(work, arguments.execution_id), name)
    print(moments.text(found) if found else "")


def _init_step(arguments: argparse.Namespace, address: Address) -> None:
    print(_begin_step(arguments, address))


def _persist_models(arguments: argparse.Namespace, address: Address) -> None:
    _begin_step(arguments, address)


def _begin_step(arguments: argparse.Namespace, address: Address) -> str:
    from pytest_vdkprobe.history import executions, files, steps  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        # Before minutes are spent on files.
        executions.require_open(work, arguments.execution_id)
    found = files.find_models(arguments.base_path, arguments.model_patterns)
    for pattern in found.matched_nothing:
        _log.warning("the pattern %r matches no file below %s", pattern, arguments.base_path)
    for path in found.left_out:
        _log.warning("%s is a link that leads nowhere, and is left out", path)
    with work_on(arguments, address) as work:
        step_id = steps.begin(
            work,
            arguments.execution_id,
            arguments.step_name.upper(),
            found.models,
            base_path=arguments.base_path,
        )
    _log.info("step %s begun, with %d models", step_id, len(found.models))
    return step_id


def _compare_step(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import steps  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        step = steps.get(work, arguments.step_id)
        _print_changes(work, step, arguments.previous_execution_id, arguments.changes)


def _compare_models(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import executions, steps  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        current = executions.get(work, arguments.current_execution_id)
        name = arguments.step_name.upper()
        step = steps.by_name(work, current.id).get(name)
        if step is None:
            raise ConfigError(f"Execution {current.id} has no step {name}.")
        _print_changes(work, step, arguments.previous_execution_id, in_words=False)


def _print_changes(work: Work, step: Step, previous: str, in_words: bool) -> None:
    from pytest_vdkprobe.history import changes, executions, steps  # noqa: PLC0415 - as above

    known = None if previous == NONE else executions.get(work, previous).id
    if known is not None and step.name not in steps.by_name(work, known):
        _log.warning("execution %s has no step %s: all models are new", known, step.name)
    found = changes.between(work, known, step.execution_id, step=step)
    if in_words:
        for change in found:
            if step.name in (change.step, change.old_step):
                print(change)
        return
    print(" ".join(changes.names_to_run(found, step.name)))


def _complete_step(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import steps  # noqa: PLC0415 - as above
    from pytest_vdkprobe.history.executions import Status  # noqa: PLC0415 - as above

    rows = _rows(arguments.rows_processed)
    with work_on(arguments, address) as work:
        step = steps.end(work, arguments.step_id, Status.COMPLETED, rows_processed=rows)
    _log_end(step, f"step {step.id} ({step.name})")


def _fail_step(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import steps  # noqa: PLC0415 - as above
    from pytest_vdkprobe.history.executions import Status  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        step = steps.end(work, arguments.step_id, Status.FAILED, note=arguments.reason)
    _log_end(step, f"step {step.id} ({step.name})")


def _complete_execution(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history.executions import Status  # noqa: PLC0415 - as above

    _end_execution(arguments, address, Status.COMPLETED)


def _fail_execution(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history.executions import Status  # noqa: PLC0415 - as above

    _end_execution(arguments, address, Status.FAILED, note=arguments.reason)


def _end_execution(
    arguments: argparse.Namespace, address: Address, status: Any, *, note: str | None = None
) -> None:
    from pytest_vdkprobe.history import executions, steps  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        execution = executions.end(work, arguments.execution_id, status, note=note)
        unfinished = [
            step
            for step in steps.of_execution(work, execution.id)
            if step.status in executions.OPEN
        ]
    for step in unfinished:
        _log.warning("step %s (%s) was never completed", step.id, step.name)
    _log_end(execution, f"execution {execution.id}")


def _heartbeat(arguments: argparse.Namespace, address: Address) -> None:
    from pytest_vdkprobe.history import executions  # noqa: PLC0415 - as above

    with work_on(arguments, address) as work:
        executions.touch(work, arguments.execution_id)


def _log_end(ended: Any, what: str) -> None:
    _log.info(
        "%s %s: started %s, ended %s, took %.3f s",
        what,
        ended.status,
        ended.started_at.isoformat(timespec="milliseconds"),
        ended.completed_at.isoformat(timespec="milliseconds"),
        ended.duration_ms / 1000,
    )


def _pipeline(arguments: argparse.Namespace) -> str:
    from pytest_vdkprobe.history.executions import DEFAULT_PIPELINE  # noqa: PLC0415 - as above

    return DEFAULT_PIPELINE if arguments.pipeline is None else str(arguments.pipeline)


def _rows(text: str | None) -> int | None:
    from pytest_vdkprobe.history.steps import LARGEST_COUNT  # noqa: PLC0415 - as above

    if text is None or not text.strip():
        return None
    if re.fullmatch(r"\s*[0-9]{1,30}\s*", text) and int(text) <= LARGEST_COUNT:
        return int(text)
    raise ConfigError(
        f"{text!r} is no number of rows.",
        key="--rows-processed",
        expected=f"a whole number from 0 to {LARGEST_COUNT}",
    )
