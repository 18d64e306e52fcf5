"""No secret is written anywhere, in whole or in part, however a run ends and however much it tells.

The secrets are long and hold what URLs, JSON, XML and shells escape. They are looked for in every
file that a run made, in all that it printed, and in the command lines of its processes while it
ran; plain, in the encodings in which secrets usually escape, and cut to pieces.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import pause
from tests.integration.heartbeats import MINUTE_S
from tests.integration.running import Running

PIECE = 16
"""Characters of a form that must not stand anywhere: less can't be told from chance."""

LOUD = (
    *("-vv", "--showlocals", "--tb=long", "-rA", "--log-level=DEBUG", "-o", "log_cli=true"),
    *("--log-file=run.log", "-o", "junit_logging=all", "--junitxml=tests.xml"),
    *("--vdk-report=report.json", "-p", "no:cacheprovider"),
)
SHORT = (*LOUD[1:], "--tb=auto", "--color=yes")
"""Without -vv pytest cuts what it shows of a local variable, and may cut a secret in two."""

WAITED_FOR_S = 4.0
"""For what never comes."""

KAFKA = (
    'kind = "kafka", topic = "events", servers = ["127.0.0.1:1"], '
    'login = { user = "me", password = { env = "KAFKA_PASSWORD" } }'
)

CONFTEST = """
import logging
import os
import pytest

logging.basicConfig(filename="everything.log", level=1)

@pytest.fixture(scope="session")
def vdk_http(vdk_http):
    vdk_http.headers["X-Tenant-Key"] = os.environ["TENANT_KEY"]
    return vdk_http
"""

CARELESS = """
import logging, os, warnings

def test_careless(vdk_control, vdk_auth, vdk_http, vdk_run):
    info = vdk_control.info()
    headers = dict(vdk_http.headers)
    key = headers["X-Tenant-Key"]
    token = os.environ["API_TOKEN"]
    environment = dict(os.environ)
    exchanges = list(vdk_control.exchanges)
    print(headers, token)
    logging.getLogger("mine").debug("headers %r", headers)
    warnings.warn(f"token {token}, key {key}")
    assert (headers, token) == ({}, ""), token
"""


def canary(specials: str) -> str:
    """A secret that is nobody's."""
    return f"{secrets.token_urlsafe(18)}{specials}{secrets.token_urlsafe(18)}"


@dataclass
class Secrets:
    """What a run is given to keep, and the search for it."""

    api_token: str = field(default_factory=lambda: canary("%&+/=\"'<> \\") * 6)
    client_secret: str = field(default_factory=lambda: canary("%&+/=\"'<> \\:"))
    tenant_key: str = field(default_factory=lambda: canary("%&+/=\"'<> \\"))
    job_password: str = field(default_factory=lambda: canary("%&+/=\"'<> \\"))
    database_password: str = field(default_factory=lambda: canary("%&+/=\"'<> \\"))
    kafka_password: str = field(default_factory=lambda: canary("%&+/=\"'<> \\"))
    granted: list[str] = field(default_factory=list)
    """The access tokens that the sandbox gave out."""

    @property
    def environment(self) -> dict[str, str]:
        """All of them, by the variables in which a run gets them."""
        return {
            "API_TOKEN": self.api_token,
            "CLIENT_SECRET": self.client_secret,
            "TENANT_KEY": self.tenant_key,
            "JOB_PASSWORD": self.job_password,
            "DATABASE_PASSWORD": self.database_password,
            "KAFKA_PASSWORD": self.kafka_password,
        }

    def given(self, auth: str) -> dict[str, str]:
        """Those that a run needs: what nobody tells it is a secret it can't keep."""
        unused = {"api-token": "CLIENT_SECRET", "client-credentials": "API_TOKEN"}[auth]
        return {name: value for name, value in self.environment.items() if name != unused}

    def found_in(self, texts: Mapping[str, str]) -> list[str]:
        """Where something of them stands, and what; must be empty."""
        named = {**self.environment, **{f"granted {n}": t for n, t in enumerate(self.granted)}}
        found = []
        for name, value in named.items():
            for form, text in forms(value).items():
                pieces = {text[at : at + PIECE] for at in range(len(text) - PIECE + 1)}
                found += [
                    f"{name}, {form}, in {where}: {hit}"
                    for where, content in texts.items()
                    if (hit := next((piece for piece in pieces if piece in content), None))
                ]
        return found


def forms(value: str) -> dict[str, str]:
    """A text in the encodings in which it may have been written."""
    raw = value.encode()
    found = {
        "plain": value,
        "in a URL": quote(value, safe=""),
        "in a form": quote_plus(value),
        "in JSON": json.dumps(value)[1:-1],
        "in JSON in JSON": json.dumps(json.dumps(value))[3:-3],
        "in XML": escape(value),
        "as Python shows it": repr(value)[1:-1],
        "in hex": raw.hex(),
    }
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")[4:-2]
        found[f"in base64, shifted by {shift}"] = text
        found[f"in base64 for URLs, shifted by {shift}"] = text.translate({43: 45, 47: 95})
    return found


@dataclass
class Place:
    """A folder for a run and its temporary files, and a platform with a login."""

    folder: Path
    platform: Sandbox
    kept: Secrets

    def __post_init__(self) -> None:
        (self.folder / "tmp").mkdir()
        (self.folder / "conftest.py").write_text(CONFTEST)
        self.platform.tokens.api_token = self.kept.api_token
        self.platform.tokens.client_secret = self.kept.client_secret

    def run(
        self,
        *options: str,
        auth: str = "api-token",
        url: str = "",
        job: str = "",
        scenarios: str = "heartbeat",
        limit_s: float = 30.0,
    ) -> Running:
        """Start a run of what its folder configures."""
        text = self.configuration(auth, url, limit_s)
        text = text.replace('name = "hello-platform"\n', f'name = "hello-platform"\n{job}\n')
        (self.folder / "platform.toml").write_text(text)
        options = (*options, f"--vdk-scenarios={scenarios}")
        variables = {**self.kept.given(auth), "TMPDIR": str(self.folder / "tmp")}
        return Running(self.folder / "platform.toml", *options, env=variables)

    def configuration(self, auth: str, url: str, limit_s: float) -> str:
        """A native configuration; the secrets stay in the environment."""
        credentials = {
            "api-token": '{ kind = "api-token", url = "%s", token = { env = "API_TOKEN" } }',
            "client-credentials": '{ kind = "client-credentials", url = "%s", client_id = '
            '"sandbox-client", client_secret = { env = "CLIENT_SECRET" } }',
        }
        return f"""
[control]
url = "{url or self.platform.url}"
team = "sandbox"
secrets_enabled = true
cron_minute_s = {MINUTE_S}
auth = {credentials[auth] % self.platform.token_url}
[run]
step_timeout_s = {limit_s}
cleanup_timeout_s = 4
lease_folder = "{self.folder / "leases"}"
report_folder = "{self.folder / "failures"}"
[legacy.database]
password = {{ env = "DATABASE_PASSWORD" }}
[[jobs]]
name = "hello-platform"
arguments = {{ password = {{ env = "JOB_PASSWORD" }}, deeper = [{{ env = "JOB_PASSWORD" }}] }}
[[routes]]
name = "events"
target = {{ {KAFKA} }}
reader = {{ {KAFKA} }}
profiles = ["small"]
"""

    def written(self) -> dict[str, str]:
        """All that stands in the run's folders, its output included."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.folder)): path.read_bytes().decode("utf-8", "replace")
            for path in files
        }

    def leaks(self, **more: str) -> list[str]:
        """What of the secrets got out."""
        self.kept.granted = list(self.platform.tokens._good)
        return self.kept.found_in(self.written() | more)


def command_lines(running: Running) -> str:
    """Those of the run and of all that it started."""
    found = []
    for pid in running.alive():
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace"))
        except OSError:
            continue
    assert found
    return "\n".join(found)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Sandbox(auth=True, secrets=True, tick_s=MINUTE_S) as platform:
        yield Place(tmp_path, platform, Secrets())


def test_search_finds_each_form_whole_and_in_part() -> None:
    kept = Secrets()
    for form, text in forms(kept.client_secret).items():
        for part in (text, text[5:25], text[-20:]):
            assert kept.found_in({"file": f"before {part} after"}), form
    assert kept.found_in({"file": "nothing of it"}) == []


@pytest.mark.parametrize(
    ("auth", "workers"),
    [("api-token", ()), ("client-credentials", ()), ("client-credentials", ("-n2",))],
    ids=str,
)
def test_green_run_writes_none(place: Place, auth: str, workers: tuple[str, ...]) -> None:
    # With pytest's cache, which keeps what failed and what it was called.
    options = (*LOUD, "-p", "cacheprovider", *workers)
    with place.run("--vdk-quick", *options, auth=auth) as running:
        assert running.end() == 0, running.output
    written = set(place.written())
    assert {"tests.xml", "report.json", "output.txt", "everything.log"} <= written
    assert any(name.startswith(".pytest_cache") for name in written)
    assert place.leaks() == []


@pytest.mark.parametrize("options", [LOUD, SHORT, (*LOUD, "-n2")], ids=["loud", "short", "workers"])
def test_failing_run_writes_none(place: Place, options: tuple[str, ...]) -> None:
    echo = json.dumps({"you sent": place.kept.given("api-token")})
    place.platform.plant("status", status=500, path="/keytab", body=echo)
    place.platform.plant("wrong-body", times=1, path="/properties", body=echo)
    place.platform.plant("failure-as-success")
    with place.run("--vdk-quick", *options, limit_s=WAITED_FOR_S) as running:
        assert running.end() == 1, running.output
    assert len(list((place.folder / "failures").iterdir())) >= 3
    assert place.leaks() == []


@pytest.mark.parametrize("options", [LOUD, SHORT, (*LOUD, "-n2")], ids=["loud", "short", "workers"])
def test_careless_test_of_a_user_writes_none(place: Place, options: tuple[str, ...]) -> None:
    (place.folder / "test_careless.py").write_text(CARELESS)
    with place.run("test_careless.py", "-k", "careless", *options) as running:
        assert running.end() == 1, running.output
    assert "[redacted]" in running.output
    assert place.leaks() == []


@pytest.mark.parametrize("auth", ["api-token", "client-credentials"])
def test_wrong_credentials_are_an_error_that_does_not_show_them(place: Place, auth: str) -> None:
    place.platform.tokens.api_token = place.platform.tokens.client_secret = "another"
    with place.run(*LOUD, auth=auth) as running:
        assert running.end() == 6, running.output
    assert "refused the login" in running.output
    assert place.leaks() == []


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid:8080", "http://127.0.0.1:9"], ids=["name", "port"]
)
def test_run_that_reaches_nobody_writes_none(
    place: Place, url: str, workers: tuple[str, ...]
) -> None:
    with place.run(*LOUD, *workers, url=url, limit_s=WAITED_FOR_S) as running:
        assert running.end() == 6, running.output
    assert place.leaks() == []


def test_route_that_is_refused_writes_none(place: Place) -> None:
    with place.run(*LOUD, scenarios="ingestion") as running:
        assert running.end() == 6, running.output
    assert "127.0.0.1:1" in running.output
    assert place.leaks() == []


def test_property_that_is_a_secret_and_is_not_written_stays_secret(place: Place) -> None:
    job = place.folder / "mine"
    job.mkdir()
    (job / "10_hello.py").write_text(
        "def run(job_input):\n"
        "    got = job_input.get_arguments()['password']\n"
        "    print('log', got)\n"
        "    job_input.set_all_properties({'given': got, 'wrong': got + 'x'})\n"
    )
    (job / "config.ini").write_text("[owner]\nteam = somebody\n")
    more = 'path = "mine"\nexpect_log = ["never said"]\nexpect_properties = { '
    more += 'given = { env = "JOB_PASSWORD" }, wrong = { env = "JOB_PASSWORD" } }'
    steps = ("heartbeat[hello-platform]::proof", "heartbeat[hello-platform]::log")
    with place.run(*steps, *LOUD, job=more, limit_s=WAITED_FOR_S) as running:
        assert running.end() == 1, running.output
    assert '"wrong": "[redacted]x"' in running.output
    assert place.leaks() == []


@pytest.mark.parametrize("key", ["frontend_url", "auth.url"])
def test_other_address_with_credentials_is_refused_without_showing_them(
    place: Place, key: str
) -> None:
    url = f"https://user:{quote(place.kept.client_secret, safe='')}@127.0.0.1"
    place.run().__exit__(None, None, None)
    path = place.folder / "platform.toml"
    line = {"frontend_url": r"(?m)^team =", "auth.url": r'(?<=kind = "api-token", )url = "[^"]*"'}
    said = {"frontend_url": f'frontend_url = "{url}"\nteam =', "auth.url": f'url = "{url}"'}
    path.write_text(re.sub(line[key], lambda _: said[key], path.read_text()))
    with Running(path, *LOUD, env=place.kept.environment) as running:
        assert running.end() == pytest.ExitCode.USAGE_ERROR, running.output
    assert "credentials don't belong in an address" in running.output
    path.unlink()
    assert place.leaks() == []


@pytest.mark.parametrize(
    ("number", "options"),
    [
        (signal.SIGINT, ("--full-trace",)),
        (signal.SIGTERM, ("--full-trace",)),
        (signal.SIGTERM, ("-n2",)),
        (signal.SIGKILL, ()),
        (signal.SIGABRT, ()),
    ],
    ids=str,
)
def test_stopped_run_writes_none(
    place: Place, number: signal.Signals, options: tuple[str, ...]
) -> None:
    place.platform.plant("hang", times=1, path="/executions$")
    with place.run(*LOUD, *options) as running:
        running.until_hit(place.platform, "hang")
        lines = command_lines(running)
        running.signal(number)
        assert running.end() != 0
    assert place.leaks(command_lines=lines) == []


def test_step_that_pytest_timeout_ends_writes_none(place: Place) -> None:
    place.platform.plant("hang", times=1, path="/executions$")
    # Of the step alone: an alarm between two hooks would be an internal error of pytest.
    limit = ("--timeout=1", "-o", "timeout_func_only=true")
    with place.run("--vdk-quick", *LOUD, *limit) as running:
        assert running.end() == 1, running.output
    assert "pytest-timeout" in running.output
    assert place.leaks() == []


def test_address_with_credentials_is_refused_without_showing_them(place: Place) -> None:
    password = quote(place.kept.client_secret, safe="")
    url = place.platform.url.replace("://", f"://user:{password}@")
    with place.run(*LOUD, url=url) as running:
        assert running.end() == pytest.ExitCode.USAGE_ERROR
    assert "credentials don't belong in an address" in running.output
    (place.folder / "platform.toml").unlink()
    assert place.leaks() == []


def test_secret_written_into_the_configuration_is_refused_without_showing_it(place: Place) -> None:
    place.run().__exit__(None, None, None)
    path = place.folder / "platform.toml"
    plain = json.dumps(place.kept.api_token)
    path.write_text(
        re.sub(r"token = \{ env = \S+ \}", lambda _: f"token = {plain}", path.read_text())
    )
    with Running(path, *LOUD, env=place.kept.environment) as running:
        assert running.end() == pytest.ExitCode.USAGE_ERROR
    assert "{ env =" in running.output
    path.unlink()
    assert place.leaks() == []


ENVIRONMENT_RUN = "heartbeat[hello-platform]::run"


PF_FORKNOEXEC = 0x40
"""Of a process that was forked and is still its parent: proc(5), flags; include/linux/sched.h."""


def environments() -> dict[str, str]:
    """The environment of every process that we may read, by its id and command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            flags = (path.parent / "stat").read_text().rpartition(")")[2].split()[6]
            if int(flags) & PF_FORKNOEXEC:
                continue
            command = (
                (path.parent / "cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode("utf-8", "replace")
            )
            found[f"{path.parent.name} {command}"] = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
    return found


def test_processes_that_we_start_get_none(tmp_path: Path) -> None:
    """The sandbox's jobs run with the real vdk, in processes of their own."""
    kept = Secrets()
    path = tmp_path / "sandbox"  # only its folder counts: --vdk-config is given again
    seen: dict[str, str] = {}
    env = {**kept.environment, "VDKPROBE_STATE": str(tmp_path / "state")}
    options = ("--vdk-config=sandbox", ENVIRONMENT_RUN, "-n1")
    with Running(path, *options, env=env) as running:
        ours = set()
        while running.process.poll() is None:
            ours |= {str(pid) for pid in running.alive()}
            seen |= environments()
            pause(0.02)
        assert running.end() == 0, running.output
    assert any("job_process.py" in command for command in seen), "no job was seen"
    # The pytest that was started with them, and its worker.
    others = {command: text for command, text in seen.items() if not _is_pytest(command, ours)}
    assert kept.found_in(others) == []
    assert kept.found_in({"command lines": "\n".join(seen)}) == []


def test_keeper_of_a_standing_sandbox_gets_none(tmp_path: Path) -> None:
    kept = Secrets()
    command = [sys.executable, "-m", "pytest_vdkprobe.cli.main", "sandbox"]
    env = {**os.environ, **kept.environment, "VDKPROBE_STATE": str(tmp_path)}

    def call(*words: str) -> str:
        done = subprocess.run(
            [*command, *words], env=env, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout + done.stderr

    said = call("up", "--executor=instant")
    try:
        seen = environments()
    finally:
        said += call("down")
    assert any("pytest_vdkprobe.sandbox.keeper" in command for command in seen), said
    ours = {str(os.getpid())}
    others = {command: text for command, text in seen.items() if not _is_pytest(command, ours)}
    assert kept.found_in(others | {"said": said}) == []


def _is_pytest(command: str, ours: set[str]) -> bool:
    pid, _, words = command.partition(" ")
    return pid in ours and ("-m pytest" in words or "execnet" in words or "sys.stdin" in words)
