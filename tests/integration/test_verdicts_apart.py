"""Whose it is decides who gets up: each planted cause has the verdict that the documentation tells.

The tables of `docs/explanation/verdicts.md` are read here, and what a run makes of each cause must
be its row: what is documented can't drift from what happens.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.children import Ended, run_pytest, steps_of
from tests.integration.fault_table import TABLE, Planted
from tests.integration.planted_causes import CAUSES, NOBODY, PLATFORM, PROBE, Cause

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "verdicts.md"
FORMS = {
    "pass": "passed",
    "fail": "`<failure>`",
    "error": "`<error>`",
    "unknown": '`<error type="unknown">`',
}
VERDICTS = tuple(FORMS)

OURS_TO_CHECK = {
    # Before anything at that address has answered as a Control Service does, and accepted our
    # login, address and login are what to look at first.
    *("info 401", "info empty", "info not json", "token endpoint 401"),
    "name taken by a foreign job",
}
HARMLESS = {"token expires once, in the middle"}


def table(first_column: str) -> dict[str, list[str]]:
    """A table of the page by its rows' first cells."""
    rows: dict[str, list[str]] = {}
    for line in PAGE.read_text().partition(f"| {first_column} |")[2].splitlines()[2:]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = cells
    return rows


def row_of(ended: Ended) -> list[str]:
    """What a run came to, as the table tells it: verdict, step, exit code, JUnit form."""
    if not ended.report and ended.exit_code == pytest.ExitCode.USAGE_ERROR:
        return ["error", "", str(ended.exit_code), "no file"]
    steps = steps_of(ended.report)
    bad = [step for step in steps.values() if step["verdict"] not in ("pass", "skipped")]
    first = bad[0]["step"] if bad else ""
    verdict = ended.report.get("verdict") or {6: "error"}[ended.exit_code]
    return [verdict, first, str(ended.exit_code), _form(ended, first)]


def _form(ended: Ended, step: str) -> str:
    if not ended.cases:
        return "no file"
    if not step:
        assert {case.form for case in ended.cases.values()} <= {"passed", "skipped"}
        return "passed"
    form = ended.cases[step].form
    return f"`<{form.replace('error unknown', 'error type=' + chr(34) + 'unknown' + chr(34))}>`"


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name.replace(" ", "-"))
def test_cause_has_the_verdict_that_is_documented(
    cause: Cause, workers: tuple[str, ...], tmp_path: Path
) -> None:
    with contextmanager(cause.prepare)(tmp_path) as prepared:
        ended = run_pytest(
            prepared.path,
            *prepared.options,
            *workers,
            before=prepared.before,
            report=prepared.report,
            junit=prepared.junit,
        )
    assert row_of(ended) == table("planted cause")[cause.name], ended.output
    assert cause.says in " ".join(ended.output.split())
    _require_the_forms(ended)


def _require_the_forms(ended: Ended) -> None:
    """Every step's case has its verdict's form, and a blocked one names its cause."""
    for name, step in steps_of(ended.report).items():
        if name not in ended.cases:
            continue
        case = ended.cases[name]
        if step["verdict"] == "blocked":
            assert case.form == "skipped"
            assert case.message.startswith("blocked by ")
        elif step["verdict"] != "skipped":
            assert _form(ended, name) == FORMS[step["verdict"]].replace("passed", "`<passed>`")


def test_page_has_a_row_for_each_cause_and_no_other() -> None:
    assert list(table("planted cause")) == [cause.name for cause in CAUSES]


def whose(row: Planted) -> str:
    """At whose door a row of the fault table lies."""
    if row.name in HARMLESS:
        return NOBODY
    return PROBE if row.name in OURS_TO_CHECK else PLATFORM


def test_confusion_table_counts_what_is_planted() -> None:
    causes = table("planted cause")
    counted = Counter((cause.whose, causes[cause.name][0]) for cause in CAUSES)
    counted += Counter((whose(row), row.verdict) for row in TABLE)
    made = {
        who: [str(counted[who, verdict]) for verdict in VERDICTS]
        for who in (PLATFORM, PROBE, NOBODY)
    }
    rows = "\n".join(f"| {who} | {' | '.join(cells)} |" for who, cells in made.items())
    assert table("at fault") == made, f"the table is now\n{rows}"


def test_exit_codes_are_those_of_the_reference() -> None:
    text = (PAGE.parents[1] / "reference" / "exit-codes.md").read_text()
    reference = set(re.findall(r"^\| (\d) \|", text, re.MULTILINE))
    assert {cells[2] for cells in table("planted cause").values()} <= reference
