"""The table of faults: what is planted, and at which step, with which verdict, a heartbeat sees it.

One table as data, because several want the same answer: the test that plants each, the soak that
measures them, the demonstration that shows ten, and the documentation. The step is the first that
can know. A fault that no heartbeat can see stands here too, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Plant = Mapping[str, Any]
"""One planted fault: the fields of `pytest_vdkprobe.sandbox.faults.Fault`."""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A row: what is wrong with the platform, and what a heartbeat must say of it."""

    name: str
    """Of the row; a lie's own name where it is planted plainly."""
    plants: tuple[Plant, ...]
    step: str
    """The first step that does not pass; empty where all must pass."""
    verdict: str = "fail"
    says: str = ""
    """A text that the finding must hold, where its step and verdict could have another cause."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the sandbox without which the fault could not show."""
    job: str = ""
    """Lines of the configuration's `[[jobs]]`, likewise."""
    foreign_job: str = ""
    """A job of this name is somebody else's, and there before the run."""
    quick: bool = False
    """Whether `--vdk-quick` is enough to see it."""
    unseen: str = ""
    """Why a heartbeat passes with it, where it does."""
    for_good: bool = False
    """Whether the lie outlasts its fault, so that what is left behind can't be asked."""

    @property
    def expected(self) -> tuple[str, str]:
        """The first bad step and its verdict, as `Heard.first_bad` tells them."""
        return self.step, self.verdict


def _lie(name: str, step: str, **more: Any) -> Planted:
    """A lie by its own name, told of every job from the beginning."""
    return Planted(name=name, plants=({"name": name},), step=step, **more)


def _call(row: str, plant: Plant, step: str, **more: Any) -> Planted:
    """A fault of certain calls; what comes late enough for the schedule is not quick."""
    return Planted(name=row, plants=(plant,), step=step, **{"quick": True, **more})


AUTH = {"auth": True}
API = r"^/data-jobs/for-team/"

LIES: tuple[Planted, ...] = (
    _lie("create-lost", "read"),
    _lie("read-other-job", "read"),
    _lie("team-ignored", "read"),
    _lie("list-empty", "list"),
    _lie("list-foreign", "list"),
    _lie("list-null", "list"),
    _lie("list-omits-job", "list"),
    _lie("keytab-lost", "keytab"),
    _lie("keytab-empty", "keytab", knobs={"keytab": "bytes"}),
    _lie("properties-foreign", "properties"),
    _lie("properties-dropped", "properties"),
    _lie("properties-stale", "properties"),
    _lie("properties-merged", "properties", says="instead of replacing"),
    _lie("secrets-dropped", "secrets"),
    _lie("upload-new-version", "upload"),
    _lie("build-fails", "deploy", says="the build may have failed"),
    _lie("deploy-never", "deploy"),
    _lie("deploy-wrong-version", "deploy"),
    # A version that nobody asked for can't be wrong.
    _lie("deploy-wrong-python", "deploy", job='python_version = "3.11"'),
    _lie("deploy-wrong-vdk", "deploy", job='vdk_version = "1.2.3"'),
    _lie("cluster-down", "deploy"),
    _lie("start-lost", "run"),
    _lie("start-refused", "run"),
    _lie("op-id-lost", "run"),
    _lie("run-read-other", "run"),
    _lie("run-end-missing", "run", says="end time"),
    _lie("run-stuck-submitted", "run"),
    _lie("run-stuck-running", "run"),
    _lie("run-cancelled", "run"),
    _lie("run-unlisted", "run", says="not in the list"),
    _lie("success-as-user-error", "run"),
    _lie("success-as-platform-error", "run"),
    _lie("logs-empty", "log"),
    _lie("logs-foreign", "log"),
    _lie("run-vanished", "log"),
    _lie("arguments-dropped", "log"),
    _lie("start-not-exclusive", "refuse"),
    _lie("cancel-ignored", "cancel"),
    _lie("cancel-as-success", "cancel"),
    _lie("failure-as-success", "fail"),
    _lie("user-error-as-platform-error", "fail"),
    _lie("upload-lost", "redeploy"),
    _lie("deploy-old-code", "redeploy"),
    _lie("update-dropped", "schedule"),
    _lie("schedule-never", "schedule"),
    _lie("enable-ineffective", "schedule"),
    _lie("schedule-fails", "schedule"),
    _lie("disable-dropped", "disable"),
    _lie("disable-ineffective", "disable"),
    _lie("enable-dropped", "enable"),
    _lie("undeploy-ignored", "undeploy"),
    _lie("delete-ignored", "delete"),
    _lie("delete-stays-listed", "delete", for_good=True),
)

CALLS: tuple[Planted, ...] = (
    _call("info 500", {"name": "status", "status": 500, "path": "/info"}, "reach"),
    _call("info empty", {"name": "empty-body", "path": "/info"}, "reach", verdict="error"),
    _call("info not json", {"name": "not-json", "path": "/info"}, "reach", verdict="error"),
    _call("info 401", {"name": "status", "status": 401, "path": "/info"}, "reach", verdict="error"),
    _call("list 500", {"name": "status", "status": 500, "method": "GET", "path": "/jobs$"}, "list"),
    _call("keytab 500", {"name": "status", "status": 500, "path": "/keytab"}, "keytab"),
    _call("keytab 404", {"name": "status", "status": 404, "path": "/keytab"}, "keytab"),
    _call("keytab a login page", {"name": "not-json", "path": "/keytab"}, "keytab"),
    _call(
        "create a login page", {"name": "not-json", "method": "POST", "path": "/jobs$"}, "create"
    ),
    _call(
        "undeploy a login page",
        {"name": "not-json", "method": "DELETE", "path": "/deployments/[^/]+$"},
        "undeploy",
        says="text/html",
    ),
    _call("keytab reset", {"name": "reset", "path": "/keytab"}, "keytab"),
    _call("properties 500", {"name": "status", "status": 500, "path": "/properties"}, "properties"),
    _call("properties hang", {"name": "hang", "path": "/properties"}, "properties"),
    _call("sources 500", {"name": "status", "status": 500, "path": "/sources"}, "upload"),
    _call(
        "deployments not a list",
        {"name": "wrong-body", "path": "/deployments$", "method": "GET"},
        "deploy",
    ),
    _call("executions 500", {"name": "status", "status": 500, "path": "/executions/"}, "run"),
    _call("execution 404", {"name": "status", "status": 404, "path": "/executions/"}, "run"),
    _call(
        "start 409",
        {"name": "status", "status": 409, "method": "POST", "path": "/executions$"},
        "run",
    ),
    _call("logs 500", {"name": "status", "status": 500, "path": "/logs"}, "log"),
    _call("logs 404", {"name": "status", "status": 404, "path": "/logs"}, "log"),
    _call(
        "delete 500",
        {"name": "status", "status": 500, "method": "DELETE", "path": "/jobs/[^/]+$"},
        "delete",
    ),
    _call(
        "create 409",
        {"name": "status", "status": 409, "method": "POST", "path": "/jobs$"},
        "create",
        says="no such job can be read",
    ),
    Planted(
        name="name taken by a foreign job",
        plants=(),
        step="create",
        verdict="error",
        job="exact_name = true",
        foreign_job="hello-platform",
        quick=True,
        says="is not ours",
    ),
    # Logging in
    _call(
        "token endpoint 401",
        {"name": "status", "status": 401, "path": "/oauth/token"},
        "reach",
        verdict="error",
        knobs=AUTH,
    ),
    _call(
        "token expires once, in the middle",
        {"name": "status", "status": 401, "path": API, "skip": 8, "times": 1},
        "",
        verdict="pass",
        knobs=AUTH,
        unseen="the client logs in again, as it must: an expired token is no fault",
    ),
    _call(
        "every token expires at once",
        {"name": "status", "status": 401, "path": API, "skip": 8},
        "properties",
        knobs=AUTH,
    ),
)

OUTAGES: tuple[Planted, ...] = (
    _call(
        "four calls in a row 503",
        {"name": "status", "path": API, "skip": 4, "times": 4},
        "",
        verdict="pass",
        unseen="a service that restarts: calls are repeated, POSTs after reading back",
    ),
    _call(
        "two calls in a row 429",
        {"name": "status", "status": 429, "path": API, "skip": 4, "times": 2},
        "",
        verdict="pass",
        unseen="a gateway that counts calls: what it did not pass on is called again",
    ),
    _call("every call 503", {"name": "status", "path": API}, "reach"),
    _call(
        "one call in ten slow",
        {"name": "slow", "share": 0.1, "delay_s": 0.2},
        "",
        verdict="pass",
        unseen="slow is not wrong, until a step's limit",
    ),
    _call("properties cut in the middle", {"name": "cut", "path": "/properties"}, "properties"),
)

PAIRS: tuple[Planted, ...] = tuple(
    Planted(name=f"{first} and {then}", plants=({"name": first}, {"name": then}), step=step)
    for first, then, step in (
        ("list-omits-job", "run-cancelled", "list"),
        ("logs-empty", "failure-as-success", "log"),
        # The second in the cleanup: it is told beside the first cause, and never instead.
        ("keytab-lost", "delete-ignored", "keytab"),
    )
)
"""The earlier of two is the cause."""

TABLE: tuple[Planted, ...] = LIES + CALLS + OUTAGES + PAIRS


def named(*names: str) -> list[Planted]:
    """The rows of these names, in their order."""
    rows = {row.name: row for row in TABLE}
    return [rows[name] for name in names]
