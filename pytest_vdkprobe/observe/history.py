"""A run remembered: each step is written down as it is reported, and the past is told at the end.

It is registered in the process that reports, so that of xdist's many processes one writes. Nothing
that goes wrong with the history changes a verdict: it is said in one line.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_vdkprobe.errors import Finding, ProbeError
from pytest_vdkprobe.history.files import of_text
from pytest_vdkprobe.history.recorder import PATIENCE_S, Recorder
from pytest_vdkprobe.history.settings import HistorySettings, pipeline_of
from pytest_vdkprobe.journeys.changed import (
    CHANGED_KEY,
    Choice,
    Consisting,
    as_models,
    choices_from,
)
from pytest_vdkprobe.journeys.models import own_version
from pytest_vdkprobe.journeys.results import Results, Step
from pytest_vdkprobe.processes import Process, host_name
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.verdicts import EXIT_CODES, Verdict
from pytest_vdkprobe.workers import Abandoned, Workers

if TYPE_CHECKING:
    from pytest_vdkprobe.history.comparison import Comparison
    from pytest_vdkprobe.history.looking_back import Known
    from pytest_vdkprobe.history.runs import PastJourney
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.database import Work

T = TypeVar("T")

PLATFORM = "platform/"
"""What the paths of models begin with that are versions of the platform."""
SECTION = "compared with the past"


class History:
    """What is remembered of this run, and what the runs before say of it."""

    def __init__(
        self,
        address: Address,
        results: Results,
        *,
        explicit: bool,
        compare: str | None,
        consisting: Consisting,
    ) -> None:
        self.address = address
        self.results = results
        self.explicit = explicit
        self.compare = compare
        self.comparison: Comparison | None = None
        self.problem: str | None = None
        self.choices: list[Choice] = []
        """What `--vdk-changed` has chosen."""
        self._told_choices = False
        self._consisting = consisting
        run = results.run
        self.pipeline = pipeline_of(run.configuration)
        self._recorder = Recorder(
            address,
            run_id=run.run_id,
            pipeline=self.pipeline,
            keep=run.configuration.section("history", HistorySettings).keep,
        )
        self._versions = {
            "pytest-vdkprobe": own_version(),
            "pytest": pytest.__version__,
            "python": platform.python_version(),
        }
        self._told_versions: dict[str, set[str]] = {}
        self._begun = False
        self._accounts: dict[str, dict[str, Any]] = {}

    def pytest_report_header(self) -> str:
        """Where the run is remembered, and as what."""
        return f"vdkprobe history: {self.pipeline} in {self.address.file or self.address.shown}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Open it before the first test: one that was asked for has to be usable."""
        if not session.config.getoption("collectonly"):
            self._recorder.start()
            if self.explicit:
                try:
                    self._recorder.wait_open()
                except Finding as finding:
                    raise pytest.UsageError(redact(str(finding))) from finding
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a step down."""
        data: Step | None = getattr(report, "vdkprobe", None)
        if data is not None and "journey" in data and data["phase"] != "teardown":
            self._guarded("not kept", lambda: self._add(data))

    def _guarded(self, what: str, act: Callable[[], None]) -> None:
        """Nothing about the history may break a run: a bug of ours is said in one line."""
        try:
            act()
        except Finding as finding:
            self.problem = f"{what}: {_one_line(finding)}"
        except Exception as exc:  # noqa: BLE001 - as above
            self.problem = f"{what}: this is a bug of pytest-vdkprobe: {exc!r}"

    def _add(self, data: Step) -> None:
        if not self._begun:
            self._begun = True
            self._recorder.write(
                "begin",
                holder=json.dumps(_holder()),
                abandon_after_s=self.results.run.settings.lease_ttl_s,
                versions=self._versions,
            )
        attached = data.get("attached", {})
        if "account" in attached:
            accounts = self._accounts.setdefault(data["journey"], {})
            accounts[data["step"]] = attached["account"]
        self._learn(attached.get("versions", {}))
        self._recorder.write(
            "add",
            journey=data["journey"],
            name=data["step"],
            verdict=data["verdict"],
            duration_s=data.get("duration_s", 0.0),
            evidence=_words(data),
            consists_of=as_models(data.get("models", ())),
        )

    def _learn(self, versions: Mapping[str, str]) -> None:
        """Servers of one kind may be of several."""
        for name, told in versions.items():
            known = self._told_versions.setdefault(name, set())
            known.add(told)
            self._versions[name] = ", ".join(sorted(known))

    def pytest_report_collectionfinish(self) -> list[str]:
        """Why each journey runs or does not."""
        if self._consisting.known is not None:
            self._take(self._consisting.choices)
            self._told_choices = True
        return self._lines_of_choices()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """xdist's workers have chosen, all alike."""
        told = getattr(node, "workeroutput", {}).get(CHANGED_KEY)
        if told and self._consisting.known is not None:
            self._take(choices_from(told))

    def _take(self, choices: list[Choice]) -> None:
        self.choices = choices
        self.results.nothing_to_do = bool(choices) and not any(one.runs for one in choices)

    def _lines_of_choices(self) -> list[str]:
        return [f"vdkprobe changed: {choice}" for choice in self.choices]

    def finish(self, exit_code: int) -> None:
        """The run has ended: write that down, and look back."""
        self._guarded("not kept", lambda: self._finish(exit_code))
        self._recorder.close()
        if self._recorder.trouble is not None:
            self.problem = f"not kept: {_one_line(self._recorder.trouble)}"
        elif self.compare is not None and self._begun and self.problem is None:
            self._guarded("not compared", self._compare)
        self.results.history = self._as_data()

    def _compare(self) -> None:
        self.comparison = apart(self.address, self._look_back).compare()

    def _finish(self, exit_code: int) -> None:
        results = self.results
        if self._begun:
            # A run that was cut short has found nothing wrong, and has not seen all.
            cut_short = exit_code not in EXIT_CODES.values()

            def told(verdict: Verdict) -> str:
                return str(Verdict.UNKNOWN if cut_short and verdict == Verdict.PASS else verdict)

            consists_of = {
                path: of_text(path, text) for path, text in _platforms(self._versions).items()
            }
            if self._consisting.known is not None:
                # What was asked for before; none of the journeys that ran need have asked again.
                for model in as_models(
                    [path, digest, digest, 0]
                    for path, digest in self._consisting.known.versions.items()
                ):
                    consists_of.setdefault(model.path, model)
            self._recorder.write(
                "finish",
                good=exit_code == 0 and results.verdict == Verdict.PASS,
                verdict=told(results.verdict),
                note=self._note(exit_code),
                verdicts={j: told(results.verdict_of(j)) for j in results.journeys},
                accounts=self._accounts,
                versions=self._versions,
                consists_of=list(consists_of.values()),
            )

    def tell(self, terminal: Any) -> None:
        """Between the journeys' tables and pytest's short summary."""
        if not self._told_choices:
            for line in self._lines_of_choices():
                terminal.write_line(redact(line))
        if self.comparison is not None:
            base = self.comparison.base
            against = "no good run yet to compare with" if base is None else f"run {base.name}"
            plural = "" if self.comparison.runs == 1 else "s"
            runs = f"{self.comparison.runs} run{plural} of {self.pipeline} known"
            terminal.section(f"{SECTION}: {against}; {runs}", sep="=")
            for line in self.comparison.lines() or ["nothing has changed"]:
                terminal.write_line(redact(line))
        if self.problem is not None:
            terminal.write_line(f"vdkprobe history: {redact(self.problem)}", yellow=True)

    def _as_data(self) -> dict[str, Any]:
        return {
            "execution": self._recorder.execution_id if self._begun else None,
            "pipeline": self.pipeline,
            "problem": self.problem,
            "comparison": None if self.comparison is None else self.comparison.as_data(),
            "changed": [
                {"journey": choice.journey, "runs": choice.runs, "why": choice.why}
                for choice in self.choices
            ],
        }

    def _look_back(self, work: Work) -> Known:
        from pytest_vdkprobe.history.looking_back import look_back  # noqa: PLC0415 - when asked for

        return look_back(
            work,
            self._recorder.execution_id,
            pipeline=self.pipeline,
            wanted=self.compare or "",
            first_words={
                (journey, step["step"]): _words(step)
                for journey, steps in self.results.journeys.items()
                for step in steps
            },
        )

    def _note(self, exit_code: int) -> str:
        run = self.results.run
        quick = ", quick" if run.quick else ""
        cut = f", interrupted in {run.interrupted}" if run.interrupted else ""
        return f"{run.configuration.name}{quick}, exit code {exit_code}{cut}"


def apart(address: Address, act: Callable[[Work], T]) -> T:
    """What `act` reads, in a thread that is left behind when the database does not answer.

    Raises a ProbeError.
    """
    from pytest_vdkprobe.history.schema import open_history  # noqa: PLC0415 - loads sqlite3

    def read() -> T:
        database = open_history(address, migrate=True)
        try:
            with database.begin() as work:
                return act(work)
        finally:
            database.close()

    workers = Workers()
    try:
        return workers.run(lambda _job: read(), timeout_s=PATIENCE_S)
    except Abandoned as exc:
        raise ProbeError(
            f"The history in {address.shown} did not answer within {PATIENCE_S:g} s.",
            to_try="see who else is writing there, or whether the database is reachable",
        ) from exc
    finally:
        workers.close()


def good_journeys(address: Address, run: Run) -> Mapping[str, PastJourney]:
    """Of each journey the last run in which it was good. Raises a ProbeError."""
    from pytest_vdkprobe.history.runs import read_good_journeys  # noqa: PLC0415 - when asked for

    pipeline = pipeline_of(run.configuration)
    return apart(address, lambda work: read_good_journeys(work, pipeline))


def versions_now(run: Run) -> dict[str, str]:
    """The platform's versions as models, asked for now. Raises a Finding."""
    with run.open_control() as client:
        client.deadline = run.deadline.within(PATIENCE_S * 6, "time to ask for versions")
        return {
            path: of_text(path, text).digest.hex()
            for path, text in _platforms({"control-service": client.info().api_version}).items()
        }


def _platforms(versions: Mapping[str, str]) -> dict[str, str]:
    """The versions that can be asked for before a run; the others are only told."""
    return {PLATFORM + name: text for name, text in versions.items() if name == "control-service"}


def _holder() -> dict[str, Any]:
    me = Process.current()
    return {"place": me.place, "pid": me.pid, "started": me.started, "host": host_name()}


def _words(step: Step) -> str:
    """The evidence of a step that passed, or the first words of what was found."""
    if step["verdict"] == Verdict.PASS:
        return "; ".join(step.get("evidence", ()))
    return str(step["what"]).partition("\n")[0]


def _one_line(finding: Finding) -> str:
    to_try = f" To try: {finding.to_try}" if finding.to_try else ""
    return " ".join(f"{finding.what}{to_try}".split())
