"""The ingestion scenario as its user runs it: a journey for each route, a step for each profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import LEAN

ROUTE = """
[run]
lease_folder = "leases"
report_folder = "failures"
[[routes]]
name = "Events 1"
target = {{ kind = "{target}", path = "in-{{run}}-{{profile}}.json", create = true }}
reader = {{ kind = "file", path = "in-{{run}}-{{profile}}.json" }}
profiles = ["small", "typed"]
records = 20
within_s = 20
late_s = 0.2
quiet_s = 0.05
"""

LOSSY = """
import msgspec
from pytest_vdkprobe.api import register_target
from pytest_vdkprobe.targets.file import FileTarget, FileTargetSettings

class LossySettings(FileTargetSettings, frozen=True, kw_only=True, tag_field="kind", tag="lossy"):
    pass

class LossyTarget(FileTarget):
    def send(self, records, *, deadline):
        results = super().send([r for r in records if r.seq != 7], deadline=deadline)
        return results + results[:1] * (len(records) - len(results))

register_target("lossy", LossySettings, LossyTarget)
"""


def run(pytester: pytest.Pytester, target: str, *options: str) -> pytest.RunResult:
    pytester.makefile(".toml", platform=ROUTE.format(target=target))
    report = "--vdk-report=report.json"
    return pytester.runpytest_subprocess("--vdk-config=platform.toml", report, *LEAN, *options)


def steps(pytester: pytest.Pytester) -> dict[str, dict[str, object]]:
    report = json.loads((pytester.path / "report.json").read_text())
    return {step["step"]: step for step in report["journeys"][0]["steps"]}


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_each_profile_is_a_step_with_an_account(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    result = run(pytester, "file", "-v", *workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*ingestion[[]Events 1]::direct[[]typed]*"])
    result.stdout.fnmatch_lines(
        ["*every record accounted for*", "route *sent*verdict", "Events 1 direct[[]small] *20*pass"]
    )
    found = steps(pytester)
    assert list(found) == ["direct[small]", "direct[typed]", "remove"]
    account = found["direct[typed]"]["account"]
    assert isinstance(account, dict)
    assert (account["sent"], account["delivered"]) == (20, 20)
    left = [path.name for path in pytester.path.rglob("*") if "in-" in path.name]
    assert left == []
    assert list((pytester.path / "leases").iterdir()) == []


def test_profile_is_chosen_by_its_name(pytester: pytest.Pytester) -> None:
    assert run(pytester, "file", "-k", "small").ret == 0
    assert list(steps(pytester)) == ["direct[small]"]
    assert not list(pytester.path.glob("in-*"))


def test_kind_of_a_users_own_that_loses_a_record_is_seen(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(LOSSY)
    result = run(pytester, "lossy", "--vdk-set", "routes.0.within_s=3")
    assert result.ret == 1
    found = steps(pytester)
    assert {name: step["verdict"] for name, step in found.items()} == {
        "direct[small]": "fail",
        "direct[typed]": "fail",
        "remove": "pass",
    }
    finding = found["direct[small]"]["finding"]
    assert isinstance(finding, dict)
    assert finding["what"] == "Of 20 records: 1 lost."
    assert "record 7" in finding["seen"]
    account = found["direct[small]"]["account"]
    assert isinstance(account, dict)
    assert Path(str(account["ledger"])).exists()


def test_unknown_kind_is_refused_before_anything_is_created(pytester: pytest.Pytester) -> None:
    result = run(pytester, "fiel")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*There is no kind of target called fiel*", "*did you mean*file*"])
    assert not (pytester.path / "leases").exists()


def test_plan_names_each_route_and_creates_nothing(pytester: pytest.Pytester) -> None:
    result = run(pytester, "file", "--vdk-plan")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*route Events 1*file -> file*", "*routes.0.target.path*"])
    assert not list(pytester.path.glob("in-*"))


BY_JOB = """
[control]
url = "http://127.0.0.1:9"
team = "platform"
"""


def test_steps_of_a_way_are_those_of_routes_that_go_it(pytester: pytest.Pytester) -> None:
    text = ROUTE.format(target="file")
    both = text.replace("records = 20", 'ways = ["direct", "job"]\nrecords = 20')
    job = both.replace('["direct", "job"]', '["job"]').replace("Events 1", "Events 2")
    pytester.makefile(".toml", platform=BY_JOB + both + job.partition("report_folder")[2][13:])
    result = pytester.runpytest_inprocess(
        "--vdk-config=platform.toml", *LEAN, "--collect-only", "-q"
    )
    assert [line for line in result.outlines if "::" in line] == [
        "ingestion[Events 1]::direct[small]",
        "ingestion[Events 1]::direct[typed]",
        "ingestion[Events 1]::prepare_job",
        "ingestion[Events 1]::by_job[small]",
        "ingestion[Events 1]::remove",
        "ingestion[Events 2]::prepare_job",
        "ingestion[Events 2]::by_job[small]",
        "ingestion[Events 2]::remove",
    ]


def test_job_that_can_not_be_made_blocks_what_it_would_send_and_nothing_else(
    pytester: pytest.Pytester,
) -> None:
    text = ROUTE.format(target="file").replace("records = 20", 'ways = ["direct", "job"]')
    pytester.makefile(".toml", platform=BY_JOB + text.replace('"small", "typed"', '"small"'))
    report = "--vdk-report=report.json"
    result = pytester.runpytest_subprocess("--vdk-config=platform.toml", report, *LEAN)
    assert result.ret == 6
    found = {name: step["verdict"] for name, step in steps(pytester).items()}
    assert found == {
        "direct[small]": "pass",
        "prepare_job": "error",
        "by_job[small]": "blocked",
        "remove": "pass",
    }


def test_plan_names_the_job_and_what_it_sends(pytester: pytest.Pytester) -> None:
    text = ROUTE.format(target="file").replace("records = 20", 'ways = ["job"]\nrecords = 20')
    pytester.makefile(".toml", platform=BY_JOB + text)
    result = pytester.runpytest_inprocess("--vdk-config=platform.toml", *LEAN, "--vdk-plan")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*data job ingest-events-1-*sends the records of route Events 1*",
            "*route Events 1*file -> file*: 20 small records, job*",
        ]
    )


def test_progress_of_a_route_is_told_while_it_runs(pytester: pytest.Pytester) -> None:
    text = ROUTE.format(target="file").replace("quiet_s = 0.05", "quiet_s = 0.3\nrate_per_s = 40")
    pytester.makefile(".toml", platform=text)
    result = pytester.runpytest_subprocess(
        "--vdk-config=platform.toml", *LEAN, "-k", "small", "--log-cli-level=info"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*waiting for records into Events 1 direct[[]small]: sent * of 20, acknowledged *",
            "*waiting for records out of Events 1*: sent 20, acknowledged 20, seen 20, *flight 0*",
        ]
    )


TWO = """
[run]
lease_folder = "leases"
report_folder = "failures"
{routes}
"""
ONE_OF_TWO = """
[[routes]]
name = "{name}"
target = {{ kind = "file", path = "{path}", create = true }}
reader = {{ kind = "file", path = "{path}" }}
records = 60
rate_per_s = 50
"""


@pytest.mark.parametrize("path", ["both.json", "{route}.json"])
def test_of_routes_that_come_out_in_one_place_none_takes_the_others_records_for_foreign(
    pytester: pytest.Pytester, path: str
) -> None:
    (pytester.path / "both.json").touch()
    both = "".join(ONE_OF_TWO.format(name=name, path=path) for name in ("first", "second"))
    pytester.makefile(".toml", platform=TWO.format(routes=both))
    result = pytester.runpytest_subprocess(
        *("--vdk-config=platform.toml", "--vdk-report=report.json", "-n2", *LEAN)
    )
    assert result.ret == 0, result.stdout.str()
    report = json.loads((pytester.path / "report.json").read_text())
    accounts = [s["account"] for j in report["journeys"] for s in j["steps"] if "account" in s]
    assert [account["foreign"] for account in accounts] == [0, 0]
