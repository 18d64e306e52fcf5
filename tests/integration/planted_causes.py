"""What can be wrong around a run, whoever's it is: one thing each, as a run meets it.

The fault table knows the platform's own faults. Here stand, beside one of each of their kinds, the
causes that lie with the probe, and those that leave too little to judge by.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.integration.children import OBEYS_PERMISSIONS, on_a_full_disk
from tests.integration.crooked import crooked, gone_after, lead, passed_on, way_through
from tests.integration.faulted import create_foreign_job
from tests.integration.heartbeats import IMPATIENT, configuration, sandbox

PLATFORM, PROBE, NOBODY = "the platform", "the probe", "nobody"
HEARTBEAT = "heartbeat[hello-platform]::"


@dataclass(frozen=True)
class Prepared:
    """How pytest is to be called."""

    path: Path
    options: Sequence[str] = ("--vdk-quick",)
    before: Sequence[str] = ()
    report: Path | None = None
    junit: Path | None = None


Prepare = Callable[[Path], Iterator[Prepared]]


@dataclass(frozen=True)
class Cause:
    """One planted cause, whose it is, and the text that must be told."""

    name: str
    whose: str
    prepare: Prepare
    says: str


def up_to(step: str) -> tuple[str, ...]:
    """That step and what it needs."""
    return (HEARTBEAT + step,)


def limited(step: str, *, cleanup_s: float = 20.0) -> str:
    """Little time for that step alone: those before it may need more on a loaded machine."""
    return f"step_timeout_s = 30\ncleanup_timeout_s = {cleanup_s}\nlimits = {{ {step} = 1 }}"


def planted(
    *plants: dict[str, Any], step: str, job: str = "", run: str = "", **knobs: Any
) -> Prepare:
    """The heartbeat up to a step, on a sandbox with these faults."""

    def prepare(folder: Path) -> Iterator[Prepared]:
        with sandbox(**knobs) as platform:
            for plant in plants:
                platform.plant(**plant)
            yield Prepared(configuration(platform, folder, run=run, job=job), up_to(step))

    return prepare


def changed(
    change: Callable[[Path, Sandbox], Prepared | None],
    *,
    step: str = "reach",
    run: str = "",
    **knobs: Any,
) -> Prepare:
    """The heartbeat up to a step, after `change` to the configuration, the folder or the login."""

    def prepare(folder: Path) -> Iterator[Prepared]:
        with sandbox(**knobs) as platform:
            path = configuration(platform, folder, run=run)
            yield change(path, platform) or Prepared(path, up_to(step))

    return prepare


def _replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _unknown_name(path: Path, _: Sandbox) -> None:
    # "invalid" is reserved for names that don't resolve (RFC 6761, section 6.4).
    lead(path, "http://no-such-host.invalid:8080")


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of loopback that is taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _closed(folder: Path) -> Iterator[Prepared]:
    with sandbox() as platform, closed_port() as port:
        path = configuration(platform, folder, run=IMPATIENT)
        lead(path, f"http://127.0.0.1:{port}")
        yield Prepared(path, up_to("reach"))


def _no_lease_fits(path: Path, _: Sandbox) -> Prepared:
    return Prepared(path, up_to("create"), before=on_a_full_disk(path.parent / "leases"))


def _no_lease_allowed(path: Path, _: Sandbox) -> Prepared:
    (path.parent / "leases").mkdir(mode=0o500)
    return Prepared(path, up_to("create"), before=OBEYS_PERMISSIONS)


def _no_report_fits(path: Path, _: Sandbox) -> Prepared:
    return Prepared(path, up_to("reach"), report=Path("/dev/full"))


def _no_junit_fits(path: Path, _: Sandbox) -> Prepared:
    return Prepared(path, up_to("create"), junit=Path("/dev/full"))


def _misspelt(path: Path, _: Sandbox) -> None:
    _replaced(path, "team =", "taem =")


def _secret_missing(path: Path, _: Sandbox) -> None:
    _replaced(path, 'kind = "none"', 'kind = "bearer", token = { env = "NOBODY_SET_THIS" }')


def _token_refused(_: Path, platform: Sandbox) -> None:
    platform.tokens.api_token = "another"


def _certificate_untrusted(path: Path, platform: Sandbox) -> None:
    _replaced(path, f'ca_file = "{platform.ca_file}"', "")


def _name_taken(path: Path, platform: Sandbox) -> Prepared:
    create_foreign_job(platform, "hello-platform")
    path.write_text(path.read_text() + "exact_name = true\n")
    return Prepared(path, up_to("create"))


def _conftest(text: str) -> Callable[[Path, Sandbox], None]:
    def write(path: Path, _: Sandbox) -> None:
        (path.parent / "conftest.py").write_text(text)

    return write


BUG = """
from pytest_vdkprobe.journeys import belongings
belongings.leaves = None
"""
FIXTURE = """
import pytest
@pytest.fixture(scope="session")
def vdk_http():
    raise KeyError("a user's fixture")
"""
NO_PROOF = "def run(job_input):\n    print('ran')\n"
NO_EVIDENCE = """
import pytest
pytestmark = pytest.mark.vdk_journey("jobs")
@pytest.mark.vdk_step
def test_look(vdk_control):
    vdk_control.info()
"""


def _job_without_proof(path: Path, _: Sandbox) -> Prepared:
    job = path.parent / "mine"
    job.mkdir()
    (job / "10_hello.py").write_text(NO_PROOF)
    (job / "config.ini").write_text("[owner]\nteam = somebody\n")
    path.write_text(path.read_text() + 'path = "mine"\n')
    return Prepared(path, up_to("proof"))


def _step_without_evidence(path: Path, _: Sandbox) -> Prepared:
    (path.parent / "test_mine.py").write_text(NO_EVIDENCE)
    return Prepared(path, ("test_mine.py",))


def _no_time(path: Path, _: Sandbox) -> None:
    _replaced(path, "[run]", "[run]\ntimeout_s = 0.001")


def _gone_later(folder: Path) -> Iterator[Prepared]:
    with (
        sandbox() as platform,
        crooked(
            platform,
            "POST .*/jobs$",
            lambda asked, line: gone_after(asked, line, lambda a: passed_on(platform, a)),
        ) as fake,
    ):
        run = limited("read", cleanup_s=1)
        yield Prepared(way_through(fake, platform, folder, run=run), up_to("read"))


AUTH: dict[str, Any] = {"auth": True}
EXPIRED = {"name": "status", "status": 401, "path": "^/data-jobs/", "skip": 4}

CAUSES = (
    Cause("nothing is wrong", NOBODY, changed(lambda *_: None, step="read"), ""),
    Cause(
        "a token expires, once",
        NOBODY,
        planted({**EXPIRED, "times": 1}, step="properties", **AUTH),
        "",
    ),
    Cause(
        "the host's name does not resolve",
        PROBE,
        changed(_unknown_name, run=IMPATIENT),
        "is not known",
    ),
    Cause("the port is closed", PROBE, _closed, "the connection was refused"),
    Cause("the login is refused", PROBE, changed(_token_refused, **AUTH), "refused the login"),
    Cause(
        "the certificate is not trusted",
        PROBE,
        changed(_certificate_untrusted, tls=True),
        "not trusted",
    ),
    Cause(
        "what answers is no Control Service",
        PROBE,
        planted({"name": "not-json"}, step="reach"),
        "does not behave like a Control Service",
    ),
    Cause(
        "the job's name is another's",
        PROBE,
        changed(_name_taken),
        "is not ours",
    ),
    Cause("the disk of the leases is full", PROBE, changed(_no_lease_fits), "No lease could be"),
    Cause(
        "the leases' folder is read-only", PROBE, changed(_no_lease_allowed), "Permission denied"
    ),
    Cause("the disk of the report is full", PROBE, changed(_no_report_fits), "No space left"),
    Cause("the disk of the JUnit file is full", PROBE, changed(_no_junit_fits), "No space left"),
    Cause("a key of the configuration is misspelt", PROBE, changed(_misspelt), "team"),
    Cause("a secret is not there", PROBE, changed(_secret_missing), "NOBODY_SET_THIS"),
    Cause("a bug of the probe", PROBE, changed(_conftest(BUG), step="read"), "please report it"),
    Cause(
        "a bug of a user's fixture",
        PROBE,
        changed(_conftest(FIXTURE)),
        "a bug of the scenario or of a fixture",
    ),
    Cause(
        "the service answers 500",
        PLATFORM,
        planted({"name": "status", "status": 500, "path": "/info"}, step="reach"),
        "answered 500",
    ),
    Cause(
        "the service hangs",
        PLATFORM,
        planted({"name": "hang", "path": "/keytab"}, step="keytab", run=limited("keytab")),
        "the service hangs or is overloaded",  # by the call's own limit or the step's
    ),
    Cause(
        "the service cuts the connection",
        PLATFORM,
        planted({"name": "reset", "path": "/keytab"}, step="keytab"),
        "cut before an answer",
    ),
    Cause("the port closes after it had answered", PLATFORM, _gone_later, "refused"),
    Cause(
        "the login is refused after it had worked",
        PLATFORM,
        planted(EXPIRED, step="properties", **AUTH),
        "answered 401",
    ),
    Cause(
        "a step's time passes",
        PLATFORM,
        planted({"name": "deploy-never"}, step="deploy", run=limited("deploy")),
        "",
    ),
    Cause(
        "a success of which nothing shows",
        PLATFORM,
        planted({"name": "run-vanished"}, step="log", run=limited("log")),
        "log empty",
    ),
    Cause(
        "a delete that is answered and not done",
        PLATFORM,
        planted({"name": "delete-ignored"}, step="delete", run=limited("delete", cleanup_s=1)),
        "answered but not done",
    ),
    Cause(
        "a user's job that leaves no proof",
        NOBODY,
        changed(_job_without_proof),
        "leaves no proof of its own",
    ),
    Cause(
        "a user's step that shows no evidence",
        NOBODY,
        changed(_step_without_evidence),
        "without evidence",
    ),
    Cause("the run's time is over", NOBODY, changed(_no_time), "the run's limit"),
)
