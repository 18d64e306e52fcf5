"""What a person reads: a word for each step while it runs, and at the end one table per journey.

The text of a red run is for somebody who was asleep a minute ago: which step, what was seen, what
was expected, where to look, what to try. It is printed once, at the end, and pytest's own section
of failures keeps what is not ours to tell: tracebacks of ordinary tests and of our own bugs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from pytest_vdkprobe.journeys.judging import SKIPPED
from pytest_vdkprobe.journeys.results import Results, Step
from pytest_vdkprobe.journeys.session import BAD, wants_traceback
from pytest_vdkprobe.observe import pipelines
from pytest_vdkprobe.observe.accounts import table
from pytest_vdkprobe.verdicts import Verdict

Status = tuple[str, str, tuple[str, Mapping[str, bool]]]

WORDS: dict[str, tuple[str, str, str, dict[str, bool]]] = {
    Verdict.PASS: ("passed", ".", "PASS", {"green": True}),
    Verdict.FAIL: ("failed", "F", "FAIL", {"red": True}),
    Verdict.ERROR: ("error", "E", "ERROR", {"red": True}),
    Verdict.UNKNOWN: ("unknown", "?", "UNKNOWN", {"yellow": True}),
    Verdict.BLOCKED: ("blocked", "b", "BLOCKED", {"yellow": True}),
    SKIPPED: ("skipped", "s", "SKIPPED", {"yellow": True}),
}
"""For each verdict: pytest's category, the letter, the word, the colour."""

EVIDENCE_WIDTH = 40
"""Evidence has what is left of the line, but never less than this: rather let the terminal wrap."""


class Summary:
    """Words, tables and findings on pytest's terminal."""

    def __init__(
        self, config: pytest.Config, results: Results, *, options: list[tuple[str, str, str]]
    ) -> None:
        self.config = config
        self.results = results
        self.options = options
        self._summarising = False
        self._told: dict[str, list[Any]] = {}
        self._prefix: str | None = None

    @property
    def _terminal(self) -> Any:
        return self.config.pluginmanager.get_plugin("terminalreporter")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """A journey's id is no path: below a parent rootdir pytest would print `../heartbeat`."""
        relative = getattr(self.config, "cwd_relative_nodeid", None)
        if relative is None:
            return

        def as_printed(nodeid: Any) -> Any:
            return nodeid if _is_journey(str(nodeid)) else relative(nodeid)

        self.config.cwd_relative_nodeid = as_printed  # type: ignore[method-assign]

    def pytest_report_header(self) -> list[str]:
        """Which configuration, which run, and where each setting came from."""
        run = self.results.run
        configuration = run.configuration
        quick = ", quick" if run.quick else ""
        head = f"vdkprobe: {configuration.name} ({configuration.kind}), run {run.run_id}{quick}"
        rows = [*self.options, *configuration.settings(defaults=False)]
        width = max((len(key) for key, _, _ in rows), default=0)
        lines = [head, *(f"  {key:<{width}} = {value}  ({source})" for key, value, source in rows)]
        return lines + [f"  note: {warning}" for warning in configuration.warnings]

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Status | None:
        """The verdict's word, with time and evidence where there is room for them."""
        data: Step | None = getattr(report, "vdkprobe", None)
        if data is None or "journey" not in data or data["phase"] == "teardown":
            return None
        category, letter, word, markup = WORDS[data["verdict"]]
        if not self._summarising and data["verdict"] not in (Verdict.BLOCKED, SKIPPED):
            word = f"{word}  {data.get('duration_s', 0):.2f} s"
            # Under xdist the test's id stands after the word, and evidence would hide it.
            if not hasattr(report, "node"):
                word = self._fit(f"{word}  {_short(data)}")
        return category, letter, (word, markup)

    def _fit(self, text: str) -> str:
        writer = self.config.get_terminal_writer()
        room = writer.fullwidth - writer.width_of_current_line - len(" [100%]") - 1
        return _cut(text, max(room, 20))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """The same for the lines of letters, which pytest begins with a path."""
        terminal = self._terminal
        journey, _, _ = nodeid.partition("::")
        if terminal is None or self.config.invocation_params.dir == self.config.rootpath:
            return
        is_journey = _is_journey(journey)
        if is_journey and self.config.get_verbosity() == 0 and journey != self._prefix:
            terminal.showfspath = False
            terminal.write_ensure_prefix(journey + " ", "")
        if not is_journey and self._prefix is not None:
            terminal.showfspath = None
        self._prefix = journey if is_journey else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self) -> Generator[None, None, None]:
        """Keep from pytest's section of failures what is told below, once and in full."""
        self._summarising = True
        stats = self._terminal.stats
        if not wants_traceback(self.config):
            for category in ("failed", "error"):
                reports = stats.get(category, [])
                self._told[category] = list(reports)
                stats[category] = [r for r in reports if not _is_finding(r)]
        yield

    def tell(self) -> None:
        """Print the tables, and each finding below its journey's."""
        terminal = self._terminal
        terminal.ensure_newline()
        for category, reports in self._told.items():
            terminal.stats[category] = reports
            if not reports:
                del terminal.stats[category]
        for journey in self.results.journeys:
            self._tell_journey(journey)
        self._tell_unexpected()
        accounts = table(step for steps in self.results.journeys.values() for step in steps)
        if accounts:
            terminal.section("every record accounted for", sep="=")
            for line in accounts:
                terminal.write_line(line)
        checks = pipelines.tables(s for steps in self.results.journeys.values() for s in steps)
        if checks:
            terminal.section("every check of a pipeline accounted for", sep="=")
            for line in checks:
                terminal.write_line(line)
        interrupted = self.results.run.interrupted
        if interrupted is not None:
            terminal.section(f"interrupted in {interrupted}", sep="=", bold=True, red=True)
        problem = self.results.sweep_problem
        if problem is not None:
            terminal.section("what is left behind", sep="-", red=True)
            terminal.write_line(str(problem))
        elif self.results.swept:
            terminal.section("removed after the run", sep="-")
            for line in self.results.swept:
                terminal.write_line(line)

    def _tell_unexpected(self) -> None:
        """Known failures that are none: whoever wrote them down wants to know."""
        steps = [step for steps in self.results.journeys.values() for step in steps]
        unexpected = [
            f"{step['journey']}::{step['step']} passed unexpectedly: {_remedy(known)}"
            for step in steps
            if step["verdict"] == Verdict.PASS
            and (known := step.get("attached", {}).get("expected")) is not None
        ]
        if unexpected:
            self._terminal.section("expected to fail, and does not", sep="-", yellow=True)
            for line in unexpected:
                self._terminal.write_line(line)

    def _tell_journey(self, journey: str) -> None:
        terminal = self._terminal
        steps = self.results.journeys[journey]
        skipped = all(step["verdict"] == SKIPPED for step in steps)
        _, _, word, markup = WORDS[SKIPPED if skipped else self.results.verdict_of(journey)]
        took_s = sum(step.get("duration_s", 0) for step in steps)
        passed = sum(step["verdict"] == Verdict.PASS for step in steps)
        title = f"{journey}  {word}  {passed} of {len(steps)} steps passed, {took_s:.1f} s"
        terminal.section(title, sep="=", bold=True, **markup)
        width = max(len(step["step"]) for step in steps)
        for step in steps:
            self._tell_step(step, width)
        for step in steps:
            if step["verdict"] in BAD:
                terminal.write_line("")
                self._tell_finding(step, steps)
        for step in self.results.cleanup:
            if step["journey"] == journey:
                terminal.write_line("")
                self._tell_cleanup(step)

    def _tell_step(self, step: Step, width: int) -> None:
        terminal = self._terminal
        _, _, word, markup = WORDS[step["verdict"]]
        quiet = step["verdict"] in (Verdict.BLOCKED, SKIPPED)
        seconds = "" if quiet else f"{step.get('duration_s', 0):.2f} s"
        terminal.write(f"  {step['number']:>2}  {step['step']:<{width}}  ")
        terminal.write(f"{word:<7}", **markup)
        terminal.write(f"  {seconds:>9}  ")
        room = max(self.config.get_terminal_writer().fullwidth - width - 26, EVIDENCE_WIDTH)
        if step["verdict"] != Verdict.PASS:
            terminal.write_line(_cut(_short(step), room).rstrip())
            return
        # Evidence is what a pass rests on: it is never cut, rather goes on below.
        for number, line in enumerate(
            textwrap.wrap(_short(step), room, break_on_hyphens=False) or [""]
        ):
            terminal.write_line((" " * (width + 26) if number else "") + line)

    def _tell_finding(self, step: Step, steps: list[Step]) -> None:
        terminal = self._terminal
        _, _, word, markup = WORDS[step["verdict"]]
        where = f"step {step['number']} of {step['of']}" if step.get("of") else "step unknown"
        name = f"{step['journey']}::{step['step']}"
        terminal.write(f"{name}  {where}  ", bold=True)
        terminal.write_line(f"{word} after {step.get('duration_s', 0):.1f} s", bold=True, **markup)
        for line in lines_of(step):
            terminal.write_line(f"  {line}")
        if "exchanges_file" in step:
            terminal.write_line(f"  {'Attach:':<10} {step['exchanges_file']}")
        if "exchanges_problem" in step:
            terminal.write_line(f"  {'Note:':<10} {step['exchanges_problem']}")
        ending = self._ending(step, steps)
        if ending:
            terminal.write_line(f"  {ending}")

    def _ending(self, step: Step, steps: list[Step]) -> str:
        """Who was blocked by this, which cleanup ran, and whether anything is left."""
        cause = f"blocked by {step['journey']}::{step['step']} ("
        blocked = [s["number"] for s in steps if s["what"].startswith(cause)]
        parts = []
        if blocked:
            plural = "s" if len(blocked) > 1 else ""
            parts.append(f"Step{plural} {ranges(blocked)} blocked by this")
        ran = [s["step"] for s in steps if s.get("cleanup") and s["verdict"] == Verdict.PASS]
        if ran:
            parts.append(f"{' and '.join(ran)} ran")
        sentence = "; ".join(parts)
        clean = self.results.swept is not None and not any(
            s["journey"] == step["journey"] for s in self.results.cleanup
        )
        if clean:
            sentence += ", nothing is left behind" if sentence else "Nothing is left behind"
        return sentence + "." if sentence else ""

    def _tell_cleanup(self, step: Step) -> None:
        terminal = self._terminal
        _, _, word, markup = WORDS[step["verdict"]]
        terminal.write(f"{step['journey']}  cleanup after step {step['step']}  ", bold=True)
        terminal.write_line(word, bold=True, **markup)
        for line in lines_of(step):
            terminal.write_line(f"  {line}")


def _is_journey(nodeid: str) -> bool:
    journey = nodeid.partition("::")[0]
    return journey.endswith("]") and ".py" not in journey


def _is_finding(report: Any) -> bool:
    data = getattr(report, "vdkprobe", None)
    return data is not None and data["ours"] and "journey" in data


def _remedy(known: Mapping[str, str]) -> str:
    """How to have a step no longer expected to fail."""
    if "until" in known:
        return f"take it out of `expected` (until {known['until']}: {known['because']})"
    return f"take its mark xfail off ({known['because']})"


def _short(step: Step) -> str:
    """What a table says of a step: its evidence, or the first line of what was found."""
    if step["verdict"] == Verdict.PASS:
        return "; ".join(text.replace("\n", " ") for text in step.get("evidence", ()))
    return str(step["what"]).partition("\n")[0]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def lines_of(step: Step) -> list[str]:
    """A finding as DESIGN's sample shows it: what, then Seen, Expected, Checked, To try."""
    lines = str(step["what"]).splitlines()
    for label, text in step["lines"]:
        first, *rest = str(text).splitlines() or [""]
        lines += [f"{label + ':':<10} {first}", *rest]
    return lines


def ranges(numbers: list[int]) -> str:
    """`[10, 11, 12, 15]` as `10-12, 15`."""
    parts: list[str] = []
    start = previous = None
    for number in [*sorted(numbers), None]:
        if start is None:
            start = previous = number
        elif previous is not None and number == previous + 1:
            previous = number
        else:
            parts.append(str(start) if start == previous else f"{start}-{previous}")
            start = previous = number
    return ", ".join(parts)
