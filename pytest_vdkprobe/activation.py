"""From options to a run: what `--vdk-config` turns on.

Each option is taken from the command line, the environment or the ini file, in this order; the
configuration is loaded and checked before pytest has collected a single test; and the plugins that
make up a run are registered. Whatever is wrong here ends pytest with exit code 4 and a text that
says what to write instead, before anything was created anywhere.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.journeys import answers, collection, errands, scheduling, step_fixtures
from pytest_vdkprobe.journeys.patterns import Pattern
from pytest_vdkprobe.journeys.results import Results
from pytest_vdkprobe.journeys.run import RUN_KEY, Run
from pytest_vdkprobe.journeys.selection import Selection
from pytest_vdkprobe.journeys.session import StepRunner
from pytest_vdkprobe.journeys.signals import Interruption
from pytest_vdkprobe.journeys.sources import Source, find_sources
from pytest_vdkprobe.journeys.steps import TEST_PREFIX
from pytest_vdkprobe.kinds import Kinds
from pytest_vdkprobe.observe.ending import Ending
from pytest_vdkprobe.observe.live import LiveLine, LogLines
from pytest_vdkprobe.observe.redaction import Redaction
from pytest_vdkprobe.observe.summary import Summary
from pytest_vdkprobe.options import given_options, option, option_with_source, path_option
from pytest_vdkprobe.problems import find_problems
from pytest_vdkprobe.remembering import (
    HISTORY_KEY,
    Memory,
    as_text,
    known_to_workers,
    memory,
    remember,
)
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.watching import pushing, watching

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

T = TypeVar("T")
ENGINES = "engines"
"""Beside a sandbox's tables: how its engines are asked for, as sandbox.session says it."""
WATCH_CHILD = "vdkprobe-watch-child"
"""The plugin of a process that a watch started, as `watch.child` calls it."""


def activate(config: pytest.Config) -> None:
    """Load the configuration, make the run, register what it consists of."""
    try:
        answers.require_known(config)
        answers.asked(config, "pytest_vdkprobe_register", kinds=Kinds())
        run, tables = _make_run(config)
        known, wrong = find_sources(run.configuration)
        _refuse(config, [*wrong, *answers.objections(config, run.configuration)])
        chosen, patterns = _choose(config, known)
        asked = memory(
            option_with_source(config, "history"),
            option_with_source(config, "compare"),
            changed=bool(option(config, "changed")),
        )
    except ProbeError as problem:
        raise pytest.UsageError(answers.in_full(config, problem)) from problem
    config.stash[RUN_KEY] = run
    config.stash[HISTORY_KEY] = asked.address
    child = config.pluginmanager.get_plugin(WATCH_CHILD)
    watched = child is None and bool(option(config, "watch"))
    judging = not (watched or option(config, "plan") or option(config, "sweep"))
    if child is None and judging:
        _write_legacy_junit(config, run.configuration)
    scheduling.refuse_each(config)
    manager = config.pluginmanager
    gathering = collection.Collection([known[name] for name in chosen], known.values(), config)
    manager.register(gathering, "vdkprobe-collection")
    manager.register(Selection(patterns), "vdkprobe-selection")
    manager.register(step_fixtures, "vdkprobe-step-fixtures")
    if importlib.util.find_spec("pytest_vdkprobe.fixtures") is not None:
        manager.import_plugin("pytest_vdkprobe.fixtures")
    if child is not None:
        _become_child(config, run, child)
        return
    errand: object = _errand(config, run)
    if watched and errand is None:
        errand = watching(config, run, tables, lambda: resolve_configuration(config, tables)[0])
    if errand is not None:
        config.option.dist, config.option.tx = "no", []
        manager.register(errand, "vdkprobe-errand")
        manager.register(Redaction(), "vdkprobe-redaction")
        return
    manager.register(StepRunner(run), "vdkprobe-steps")
    manager.register(Interruption(run.settings.grace_s), "vdkprobe-signals")
    if scheduling.is_worker(config):
        manager.register(LogLines(), "vdkprobe-live")
        consisting = known_to_workers(config)
        if consisting is not None:
            manager.register(consisting, "vdkprobe-models")
    else:
        _register_reporting(config, run, tables, asked)
    manager.register(Redaction(), "vdkprobe-redaction")


def _become_child(config: pytest.Config, run: Run, child: Any) -> None:
    """Run a scenario of a watch, round after round; its supervisor reports."""
    config.option.dist, config.option.tx, config.option.maxfail = "no", [], 0
    config.option.xmlpath = None
    runner = StepRunner(run)
    try:
        child.bind(run, runner)
    except ProbeError as problem:
        raise pytest.UsageError(redact(str(problem))) from problem
    manager = config.pluginmanager
    manager.register(runner, "vdkprobe-steps")
    manager.register(Interruption(run.settings.grace_s), "vdkprobe-signals")
    manager.register(LogLines(), "vdkprobe-live")
    manager.register(Redaction(), "vdkprobe-redaction")


def _register_reporting(
    config: pytest.Config, run: Run, tables: dict[str, Any] | None, asked: Memory
) -> None:
    manager = config.pluginmanager
    results = Results(run, config)
    junit = config.getoption("xmlpath", None)
    report = path_option(config, "report")
    metrics_file = path_option(config, "metrics_file")
    push = pushing(config, run)
    ending = Ending(
        results,
        report=report,
        junit=Path(junit).absolute() if junit else None,
        metrics_file=metrics_file,
        config=config,
        push=push,
    )
    exporting = metrics_file is not None or push is not None
    if exporting or answers.implemented(config, "pytest_vdkprobe_metrics"):
        from pytest_vdkprobe.observe.rounds import RoundMetrics  # noqa: PLC0415 - if asked for

        ending.rounds = RoundMetrics(run.metrics)
        manager.register(ending.rounds, "vdkprobe-rounds")
    distributed = scheduling.is_distributed(config)
    manager.register(results, "vdkprobe-results")
    manager.register(ending, "vdkprobe-ending")
    known = None
    remembered = remember(asked, run, results)
    if remembered is not None:
        ending.history, consisting = remembered
        known = as_text(consisting)
        manager.register(ending.history, "vdkprobe-history")
        if not distributed:
            manager.register(consisting, "vdkprobe-models")
    if distributed:
        manager.register(scheduling.WorkersShare(tables, known=known), "vdkprobe-scheduling")
    ending.summary = Summary(config, results, options=given_options(config))
    manager.register(ending.summary, "vdkprobe-summary")
    live = None
    if not distributed and config.get_verbosity() >= 0 and config.getoption("capture") != "no":
        live = LiveLine.on_terminal(config)
    if not distributed:
        manager.register(live or LogLines(), "vdkprobe-live")


def _make_run(config: pytest.Config) -> tuple[Run, dict[str, Any] | None]:
    """The run, and the configuration's tables where workers could not load it by themselves."""
    report = path_option(config, "report")
    told: Mapping[str, Any] = {}
    child = config.pluginmanager.get_plugin(WATCH_CHILD)
    if scheduling.is_worker(config):
        told = scheduling.from_controller(config)
    elif child is not None:
        told = child.told
    configuration, tables = resolve_configuration(config, told.get("tables"))
    configuration.learn_secrets()
    if not scheduling.is_worker(config):
        _refuse_problems(config, configuration, tables)
    run = Run(
        told.get("run_id") or secrets.token_hex(4),
        configuration,
        quick=bool(option(config, "quick")),
        started_at=datetime.fromisoformat(told["started_at"]) if "started_at" in told else None,
        remaining_s=told.get("remaining_s"),
        report_folder=report.parent if report else None,
        before=path_option(config, "before"),
        after=path_option(config, "after"),
    )
    if not told:
        _refuse_snapshots(run)
    if tables is not None and ENGINES in tables:
        from pytest_vdkprobe.sandbox.engine_addresses import EngineAddresses  # noqa: PLC0415 - ditto

        run.placeholders = EngineAddresses.told(tables[ENGINES])
        run.sandbox = tables["control"]
    return run, tables


def _write_legacy_junit(config: pytest.Config, configuration: Configuration) -> None:
    """Write the JUnit file that vdk-heartbeat would, unless another one was asked for."""
    if "legacy" not in configuration or not hasattr(config.option, "xmlpath"):
        return
    from pytest_vdkprobe.config.legacy import LegacySettings  # noqa: PLC0415 - legacy only

    path = configuration.section("legacy", LegacySettings).junit_path
    if path is not None and config.option.xmlpath is None:
        # pytest's JUnit plugin is configured after us, and reads the option then.
        config.option.xmlpath = path


def _refuse_problems(
    config: pytest.Config, configuration: Configuration, tables: dict[str, Any] | None
) -> None:
    """Stop before anything is created; with every problem told, not only the first."""
    examples: Mapping[str, str] = {}
    if tables is not None:
        from pytest_vdkprobe.sandbox.engine_addresses import EXAMPLES as examples  # noqa: N811, PLC0415 - only for sandbox
    problems, _ = find_problems(configuration, need_control=False, placeholders=examples)
    _refuse(config, problems)


def _refuse(config: pytest.Config, problems: Sequence[ConfigError]) -> None:
    if problems:
        raise pytest.UsageError("\n\n".join(answers.in_full(config, one) for one in problems))


def _refuse_snapshots(run: Run) -> None:
    """Stop before anything is done when a snapshot could not be read, or written at the end."""
    if not run.upgrades:
        return
    from pytest_vdkprobe.journeys.upgrade_subject import check_files  # noqa: PLC0415 - when asked

    check_files(**run.upgrades)


def resolve_configuration(
    config: pytest.Config, tables: dict[str, Any] | None = None
) -> tuple[Configuration, dict[str, Any] | None]:
    """Load what `--vdk-config` names; for `sandbox`, start one, or take the controller's tables."""
    from pytest_vdkprobe.config import from_tables, load  # noqa: PLC0415 - the rest is checked first
    from pytest_vdkprobe.config.overrides import beneath_environment  # noqa: PLC0415 - as above

    spec = str(option(config, "config"))
    texts, source = option_with_source(config, "set")
    overrides = dict(_override(text) for text in texts or ())
    if source == "ini file":
        overrides = beneath_environment(overrides, os.environ)
    if spec == "sandbox":
        if tables is None:
            from pytest_vdkprobe.sandbox.session import start  # noqa: PLC0415 - only for sandbox

            own = {key: text for key, text in overrides.items() if key.startswith("sandbox.")}
            knobs = from_tables("sandbox", {}, overrides=own, environ={})
            tables = start(knobs, at_end=config.add_cleanup)
        known = {name: table for name, table in tables.items() if name != ENGINES}
        return from_tables("sandbox", known, overrides=overrides), tables
    if spec == "env":
        tables = tables or _local_services(config, overrides)
    else:
        path = path_option(config, "config") or Path()
        here = Path.cwd()
        spec = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return load(spec, overrides=overrides, local=tables), tables


def _local_services(config: pytest.Config, overrides: Mapping[str, str]) -> dict[str, Any] | None:
    """The tables of a sandbox, where the dataplatform-probe's environment asks for one."""
    from pytest_vdkprobe.config import from_tables  # noqa: PLC0415 - as above
    from pytest_vdkprobe.config.dataplatform_probe import is_local  # noqa: PLC0415 - as above

    if not is_local(os.environ):
        return None
    from pytest_vdkprobe.sandbox.session import start  # noqa: PLC0415 - only for sandbox

    own = {key: text for key, text in overrides.items() if key.startswith("sandbox.")}
    wanted = {"sandbox": {"executor": "instant", "faults": [{"name": "flaky"}]}}
    knobs = from_tables("sandbox", wanted, overrides=own, environ={})
    return start(knobs, at_end=config.add_cleanup)


def _override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            "--vdk-set wants a key and a value.",
            key="--vdk-set",
            value=text,
            to_try="write it like --vdk-set control.team=blue",
        )
    return key.strip(), value.strip()


def _choose(config: pytest.Config, known: Mapping[str, Source]) -> tuple[list[str], list[Pattern]]:
    """Which scenarios run, and which of the arguments name journeys instead of files."""
    asked = _asked(config, known)
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args, config.args_source = [], pytest.Config.ArgsSource.ARGS
        return asked or list(known), []
    folder = config.invocation_params.dir
    paths: list[str] = []
    patterns: list[Pattern] = []
    for argument in config.args:
        path = folder / argument.partition("::")[0]
        if config.option.pyargs:
            pattern = None
        elif not path.exists():
            pattern = _pattern(argument)
        else:
            pattern = _pattern_in_file(path, argument, known)
            if pattern is not None:
                argument = argument.partition("::")[0]  # noqa: PLW2901 - the pattern has the rest
        if pattern is None or path.exists():
            paths.append(argument)
        if pattern is not None:
            patterns.append(pattern)
    foreign = [pattern for pattern in patterns if pattern.title not in known]
    if foreign and not paths:
        # As printed, but not ours to find: a user's own, found where tests are looked for.
        paths = [str(folder)]
    config.args = paths
    by_path = {(folder / path).resolve() for path in paths}
    named = [
        name
        for name, source in known.items()
        if any(p.title == name for p in patterns) and source.path not in by_path
    ]
    return sorted({*asked, *named}), patterns


def _asked(config: pytest.Config, known: Mapping[str, Source]) -> list[str]:
    """What --vdk-scenarios names; the name of a folder means all that is in it."""
    text = str(option(config, "scenarios") or "")
    asked: list[str] = []
    for name in (part.strip() for part in text.split(",") if part.strip()):
        found = [one for one in known if one == name or one.startswith(name + "-")]
        if not found:
            raise ConfigError(
                f"There is no scenario {name!r}.",
                key="--vdk-scenarios",
                value=text,
                expected=", ".join(known) or "none is left",
                to_try=did_you_mean(name, known) + "; [scenarios] in the configuration adds others",
            )
        asked += [name] if name in found else found
    return sorted({*asked})


def _pattern_in_file(path: Path, argument: str, known: Mapping[str, Source]) -> Pattern | None:
    """A test of a journey as editors call it: `checks/test_mine.py::test_run`, without a subject.

    A parameter in brackets stays; what is no journey is left to pytest.
    """
    _, _, test = argument.partition("::")
    if not test or not path.is_file() or b"vdk_journey" not in path.read_bytes():
        return None
    titles = {source.path: name for name, source in known.items()}
    title = titles.get(path.resolve()) or path.stem.removeprefix(TEST_PREFIX)
    return _pattern(f"{title}::{test.removeprefix(TEST_PREFIX)}")


def _pattern(argument: str) -> Pattern | None:
    try:
        return Pattern(argument)
    except ValueError:
        return None


def _errand(config: pytest.Config, run: Run) -> errands.Errand | None:
    if option(config, "plan"):
        from pytest_vdkprobe.planning import plan  # noqa: PLC0415 - only for a plan

        return errands.Errand("vdkprobe plan", plan, run, collects=True)
    if option(config, "sweep"):
        return errands.Errand("vdkprobe sweep", errands.sweep, run, collects=False)
    return None
