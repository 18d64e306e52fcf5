"""Hooks that users may implement in a `conftest.py` or a plugin of their own.

They are registered whether or not the plugin is active: a `conftest.py` that implements one must
not break a bare `pytest`, which calls hooks that nobody specified unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.errors import ConfigError, Finding
    from pytest_vdkprobe.journeys.steps import StepRecord
    from pytest_vdkprobe.kinds import Kinds


def pytest_vdkprobe_register(config: pytest.Config, kinds: Kinds) -> None:
    """Bring targets, readers, logins, job templates and sections of your own.

    Called once in each process, before the configuration is read, with the object that takes them
    in. Each is checked at once; what it lacks, or a name that another plugin offers too, ends the
    run with exit code 4. What is returned is ignored.

    In a `conftest.py`::

        def pytest_vdkprobe_register(config, kinds):
            kinds.target("sqlite", SqliteTarget)
    """


def pytest_vdkprobe_configured(
    config: pytest.Config, configuration: Configuration
) -> ConfigError | Sequence[ConfigError] | None:
    """The configuration is loaded, and everything that we know of it is right.

    Called once in each process, before tests are collected and before anything is created. Return
    the ConfigErrors that you object with, all of every implementation are told, or None. Raising
    one has the same effect.

    In a `conftest.py`::

        def pytest_vdkprobe_configured(config, configuration):
            if "prod" in configuration.name and "jobs" not in configuration:
                return ConfigError("Production is never checked without a job.", key="jobs")
    """


@pytest.hookspec(firstresult=True)
def pytest_vdkprobe_subjects(
    config: pytest.Config, configuration: Configuration, kind: str
) -> Sequence[str] | None:
    """Name the subjects that a scenario marked `vdk_journey(kind)` is run for.

    Called once per scenario while tests are collected, in every xdist worker: the names must come
    out the same, in the same order, each time. The first implementation that returns a list wins;
    None leaves it to the next, and at last to the `name` of each `[[kind]]` table.

    In a `conftest.py`::

        def pytest_vdkprobe_subjects(config, configuration, kind):
            return ["blue", "green"] if kind == "tenants" else None
    """


def pytest_vdkprobe_step_finished(config: pytest.Config, step: Mapping[str, object]) -> None:
    """A step has its verdict.

    Called for each step once, in the process that reports (under xdist: the controller), with the
    entry that the step has in `--vdk-report`: journey, step, verdict, duration_s, evidence ... All
    texts are redacted. What is returned is ignored.

    In a `conftest.py`::

        def pytest_vdkprobe_step_finished(config, step):
            print(step["journey"], step["step"], step["verdict"])
    """


def pytest_vdkprobe_step_starting(config: pytest.Config, step: StepRecord) -> None:
    """A step begins: it is neither blocked nor skipped, and no fixture is set up for it yet.

    Called in the process that runs it, with its record: `step.id`, `step.subject`, `step.kind`,
    `step.deadline`, `step.evidence(text)`. What is returned is ignored; what is raised becomes the
    step's verdict, as if its first fixture had raised it.

    In a `conftest.py`::

        def pytest_vdkprobe_step_starting(config, step):
            logging.getLogger("checks").info("begin %s", step.id)
    """


def pytest_vdkprobe_verdict(
    config: pytest.Config, step: Mapping[str, object], finding: Finding | None
) -> Mapping[str, object] | None:
    """A verdict is about to be given: pass, fail, error or unknown.

    Called in the process that runs the step, before cleanup, with a copy of what is known (journey,
    step, verdict, evidence, what, lines) and the finding, if there is one. Return None, or a
    mapping: `evidence`, a text or several, is added to the step's; `verdict` with `because` gives
    another verdict, which the step's evidence and `changed` in the report then show. All
    implementations count, in pluggy's order. An answer of another form, or an exception, makes a
    pass an error, and is a note beside every other verdict.

    In a `conftest.py`::

        def pytest_vdkprobe_verdict(config, step, finding):
            if step["step"] == "deploy" and step["verdict"] == "fail":
                return {"evidence": f"build cluster says {cluster_state()}"}
    """


def pytest_vdkprobe_report(
    config: pytest.Config, report: Mapping[str, object]
) -> Mapping[str, object] | None:
    """The run is over and its report made: what `--vdk-report` writes, whether it is asked for.

    Called once, in the process that reports (under xdist: the controller), after the final sweep.
    The report is a copy, redacted. Return None, or plain data by name, which the file then holds
    below `added`. An answer of another form, or an exception, is told at the end and makes a green
    run an error.

    In a `conftest.py`::

        def pytest_vdkprobe_report(config, report):
            requests.post(CHAT, json={"text": report["verdict"]}, timeout=10)
    """


def pytest_vdkprobe_metrics(config: pytest.Config, text: str) -> None:
    """The metrics of a run or of a watch, as Prometheus reads them, have been exported.

    Called once at the end of a run, in the process that reports, after `--vdk-metrics-file` is
    written, or without it. What is returned is ignored; an exception is told at the end and makes a
    green run an error.

    In a watch it is called every `metrics.every_s` and at the end, in the supervisor's process, by
    a thread of its own: one that hangs delays nothing else. An exception is told once and counted
    (`vdkprobe_notices_failed_total`, `to="hook"`); it changes no verdict. A `conftest.py` that is
    changed counts there after a restart.

    In a `conftest.py`::

        def pytest_vdkprobe_metrics(config, text):
            requests.post(PUSHGATEWAY, data=text.encode(), timeout=10)
    """
