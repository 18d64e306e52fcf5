"""What goes wrong first is the cause, whatever goes wrong after it, in every report.

Two faults at once, then a third in what a run does only because something failed: keeping what was
exchanged, and cleaning up.
"""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path

import pytest

from tests.integration.children import Ended, run_pytest
from tests.integration.fault_table import LIES, Planted
from tests.integration.heartbeats import configuration, leftovers, sandbox
from tests.integration.planted_causes import HEARTBEAT, up_to

SEED = 4
PAIRS = 5
JOURNEY = HEARTBEAT.removesuffix("::")
LIMITS = "step_timeout_s = 4\ncleanup_timeout_s = 2\nlimits = { log = 1, proof = 1 }"


def needs() -> dict[str, set[str]]:
    """All that each step of the heartbeat needs, in the steps' order, without the slow ones."""
    module = importlib.import_module("pytest_vdkprobe.scenarios.test_heartbeat")
    found: dict[str, set[str]] = {}
    for name, test in vars(module).items():
        for mark in getattr(test, "pytestmark", ()) if name.startswith("test_") else ():
            if not mark.kwargs.get("slow"):
                direct = mark.kwargs.get("needs", [])
                found[name.removeprefix("test_")] = set(direct).union(*(found[n] for n in direct))
    return found


NEEDS = needs()
ORDER = list(NEEDS)


def pairs() -> list[tuple[Planted, Planted]]:
    """Some pairs of lies whose steps differ, the earlier first; always the same ones."""
    plain = [r for r in LIES if r.step in NEEDS and not (r.job or r.knobs or r.for_good)]
    all_pairs = [
        (first, then)
        for first in plain
        for then in plain
        if ORDER.index(first.step) < ORDER.index(then.step)
    ]
    return random.Random(SEED).sample(all_pairs, PAIRS)


def pair_id(pair: tuple[Planted, Planted]) -> str:
    return f"{pair[0].name}-then-{pair[1].name}"


def require_cause(ended: Ended, step: str) -> str:
    """That step is the cause in summary, report and JUnit, and blocks what needs it."""
    assert ended.first_bad == (step, "fail"), ended.output
    assert ended.exit_code == 1
    what = str(ended.steps[step]["finding"]["what"]).partition("\n")[0]
    assert ended.cases[step].form == "failure"
    assert what in ended.cases[step].message + ended.cases[step].text
    told = [line for line in ended.output.splitlines() if line.startswith(HEARTBEAT)]
    assert told[0].startswith(f"{HEARTBEAT}{step}  step "), told
    assert what in ended.output
    for name, found in ended.steps.items():
        if step in NEEDS[name]:
            assert found["verdict"] == "blocked", name
            assert ended.cases[name].form == "skipped"
            assert ended.cases[name].message.startswith(f"blocked by {HEARTBEAT}{step} (fail)")
    return what


@pytest.mark.parametrize("pair", pairs(), ids=pair_id)
def test_earlier_of_two_faults_is_the_cause(pair: tuple[Planted, Planted], tmp_path: Path) -> None:
    first, then = pair
    with sandbox() as platform:
        for plant in (*then.plants, *first.plants):
            platform.plant(**plant)
        ended = run_pytest(configuration(platform, tmp_path, run=LIMITS), "--vdk-quick")
        require_cause(ended, first.step)
        assert ended.verdicts[then.step] in {"fail", "blocked"}
        platform.faults.clear()
        if leftovers(platform, tmp_path):
            run_pytest(tmp_path / "platform.toml", "--vdk-sweep")
        assert leftovers(platform, tmp_path) == []


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_faults_in_diagnostics_and_cleanup_stand_beside_the_cause(
    workers: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "failures").touch()  # where requests and answers would be kept
    with sandbox() as platform:
        platform.plant("success-as-user-error")
        platform.plant("status", status=500, path="/logs$")
        platform.plant("status", status=500, method="GET", path="/executions$")
        platform.plant("status", method="DELETE", path="/jobs/[^/]+$")
        path = configuration(platform, tmp_path, run="step_timeout_s = 4\ncleanup_timeout_s = 1")
        ended = run_pytest(path, *up_to("proof"), *up_to("log"), *workers)
        what = require_cause(ended, "run")
        assert "requests and answers could not be kept" in ended.output
        # The cleanup: in the report, in the terminal below the cause, and in JUnit beside it.
        (cleanup,) = ended.report["journeys"][0]["cleanup"]
        assert "503" in json.dumps(cleanup["finding"])
        assert "could not be removed" in ended.report["sweep"]["problem"]
        assert "cleanup after step" in ended.output
        assert "what is left behind" in ended.output
        assert ended.output.index(what) < ended.output.index("cleanup after step")
        (in_junit,) = [case for name, case in ended.cases.items() if name.endswith("(teardown)")]
        assert "503" in in_junit.message + in_junit.text
        platform.faults.clear()
        run_pytest(path, "--vdk-sweep")
        assert leftovers(platform, tmp_path) == []


def test_gets_that_fail_while_cleaning_up_hide_no_cause(tmp_path: Path) -> None:
    with sandbox() as platform:
        platform.plant("keytab-lost")
        # All reads after the first of the job itself: what a cleanup begins with.
        platform.plant("reset", method="GET", path="/jobs/[^/]+$")
        path = configuration(platform, tmp_path, run="step_timeout_s = 4\ncleanup_timeout_s = 1")
        ended = run_pytest(path, *up_to("keytab"))
        require_cause(ended, "keytab")
        (cleanup,) = ended.report["journeys"][0]["cleanup"]
        assert "cut before an answer" in json.dumps(cleanup["finding"])
        assert len(leftovers(platform, tmp_path)) == 2
        platform.faults.clear()
        run_pytest(path, "--vdk-sweep")
        assert leftovers(platform, tmp_path) == []


def test_cleanup_that_fails_for_our_reasons_does_not_make_a_failure_an_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text(
        "from pytest_vdkprobe.journeys import cleanup\ncleanup.wait_until = None\n"
    )
    with sandbox() as platform:
        platform.plant("keytab-lost")
        path = configuration(platform, tmp_path)
        ended = run_pytest(path, *up_to("keytab"))
        require_cause(ended, "keytab")
        assert "NoneType" in ended.output
        (tmp_path / "conftest.py").unlink()
        run_pytest(path, "--vdk-sweep")
        assert leftovers(platform, tmp_path) == []
