"""Jobs run with the real vdk: what they see, how they end, and that they never outlive us."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from pytest_vdkprobe.sandbox.executor import BuildError, JobRun, Outcome, RunningJob
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.sandbox.vdk_executor import VdkExecutor
from pytest_vdkprobe.waiting import Deadline, wait_until

CONFIG = "[owner]\nteam = a-team\n"
HANG = """
import subprocess, threading
def run(job_input):
    child = subprocess.Popen(["sleep", "600"])
    print("child", child.pid, "parent", __import__("os").getpid(), flush=True)
    threading.Event().wait(600)
"""


@pytest.fixture(scope="module")
def executor() -> Iterator[VdkExecutor]:
    """One executor for the module: the environment is shared by every test of this machine."""
    made = VdkExecutor(settings={"VDK_SOME_SETTING": "set"})
    yield made
    made.close()


class Properties(BaseHTTPRequestHandler):
    """As much of a Control Service as a job talks to."""

    stored: dict[str, object]
    asked: list[tuple[str, str, str | None]]

    def do_GET(self) -> None:
        """Properties, or no other execution."""
        self.asked.append(("GET", self.path, self.headers.get("Authorization")))
        document: object = self.stored if "/properties" in self.path else []
        self._answer(200, json.dumps(document).encode())

    def do_PUT(self) -> None:
        """Take the properties."""
        self.asked.append(("PUT", self.path, self.headers.get("Authorization")))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stored.update(json.loads(body))
        self._answer(204, b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url(service: tuple[str, type[Properties]]) -> str:
    """The address of the small service: vdk asks it for other executions before each run."""
    return service[0]


@pytest.fixture
def service() -> Iterator[tuple[str, type[Properties]]]:
    """The address of a small service, and what it was asked."""
    handler = type("Handler", (Properties,), {"stored": {"before": 1}, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
        server.shutdown()


def job(tmp_path: Path, code: str, name: str = "a-small-job", **files: str) -> Path:
    """A job's folder with one step."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "10_step.py").write_text(code)
    (folder / "config.ini").write_text(CONFIG)
    for path, text in files.items():
        (folder / path).write_text(text)
    return folder


def run_of(sources: Path, url: str, *, token: str | None = None, **arguments: object) -> JobRun:
    """A run of `sources`."""
    return JobRun(
        execution_id=f"{sources.name}-1",
        job_name=sources.name,
        team="a-team",
        op_id="op-1",
        sources=sources,
        arguments=arguments,
        control_service_url=url,
        python_version="3.11",
        vdk_version="release",
        token=token,
    )


def outcome_of(running: RunningJob) -> Outcome:
    """Wait for the end."""
    end = wait_until(
        "the job's end",
        running.poll,
        done=lambda outcome: outcome is not None,
        deadline=Deadline.after(60),
        longest_pause_s=0.05,
    ).value
    assert end is not None
    return end


def logged(running: RunningJob, marker: str) -> str:
    """The line of the log that begins with `marker`, once there is one."""
    return (
        wait_until(
            f"{marker} in the log",
            lambda: [line for line in running.log().splitlines(keepends=True) if _is(line, marker)],
            done=bool,
            deadline=Deadline.after(60),
            longest_pause_s=0.05,
        )
        .value[0]
        .rstrip("\n")
    )


def _is(line: str, marker: str) -> bool:
    """Whether the line begins so, and has been written to its end."""
    return line.startswith(marker) and line.endswith("\n")


def gone(pid: int) -> bool:
    """Whether a process ended (a zombie that nobody waits for has, too)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path("/proc/self").exists()


def wait_gone(*pids: int) -> None:
    """Until all of them ended."""
    deadline = Deadline.after(20)
    for pid in pids:
        wait_until(f"the end of process {pid}", partial(gone, pid), done=bool, deadline=deadline)


def test_a_job_reads_its_arguments_and_writes_its_properties(
    executor: VdkExecutor, tmp_path: Path, service: tuple[str, type[Properties]]
) -> None:
    url, asked = service
    code = """
def run(job_input):
    found = dict(job_input.get_all_properties())
    found["seen"] = [found.pop("before"), job_input.get_arguments()["n"], job_input.get_name()]
    job_input.set_all_properties(found)
    print("marker", job_input.get_arguments())
"""
    running = executor.start(run_of(job(tmp_path, code), url, token="tok-1", n=7))
    end = outcome_of(running)
    assert end.status == "succeeded", running.log()
    assert end.vdk_version.startswith("0.3.")
    assert asked.stored["seen"] == [1, 7, "a-small-job"]
    assert {header for _, _, header in asked.asked} == {"Bearer tok-1"}
    assert all("/for-team/a-team/jobs/a-small-job/" in path for _, path, _ in asked.asked)
    assert "marker {'n': 7}" in running.log()


def test_an_error_in_the_users_code_is_a_user_error(
    executor: VdkExecutor, tmp_path: Path, url: str
) -> None:
    sources = job(tmp_path, "def run(job_input):\n    raise ValueError('on purpose')\n")
    running = executor.start(run_of(sources, url))
    assert outcome_of(running).status == "user_error"
    assert "on purpose" in running.log()


def test_a_process_that_ends_without_a_word_is_a_platform_error(
    executor: VdkExecutor, tmp_path: Path, url: str
) -> None:
    sources = job(tmp_path, "import os\ndef run(job_input):\n    os._exit(3)\n")
    assert outcome_of(executor.start(run_of(sources, url))) == Outcome("platform_error")


def test_a_run_leaves_the_shared_sources_as_they_were(
    executor: VdkExecutor, tmp_path: Path, url: str
) -> None:
    code = "import helper\ndef run(job_input):\n    open('made-here', 'w').close()\n"
    sources = job(tmp_path, code, **{"helper.py": "A = 1\n"})
    before = sorted(sources.rglob("*"))
    assert outcome_of(executor.start(run_of(sources, url))).status == "succeeded"
    assert sorted(sources.rglob("*")) == before


def test_a_job_sees_an_environment_that_was_built_for_it(
    executor: VdkExecutor, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_PASSWORD", "hidden-value")
    code = """
import json, os, sys
def run(job_input):
    print("sees " + json.dumps(dict(os.environ)))
    print("argv " + json.dumps(sys.argv))
    print("cwd " + os.getcwd() + " " + str(sys.stdin.read()))
"""
    running = VdkExecutor(keep_ready=False, settings={"VDK_SOME_SETTING": "set"})
    try:
        started = running.start(run_of(job(tmp_path, code), url))
        assert outcome_of(started).status == "succeeded", started.log()
    finally:
        running.close()
    seen = json.loads(logged(started, "sees ").removeprefix("sees "))
    assert "hidden-value" not in started.log()
    assert seen["VDK_SOME_SETTING"] == "set"
    assert seen["VDK_EXECUTION_ID"] == "a-small-job-1"
    assert seen["HOME"] != os.environ.get("HOME")
    assert not Path(seen["HOME"]).exists()
    assert logged(started, "cwd ").startswith(f"cwd {Path(seen['HOME']).parent}/work")


def test_cancel_ends_the_job_and_what_it_started(
    executor: VdkExecutor, tmp_path: Path, url: str
) -> None:
    running = executor.start(run_of(job(tmp_path, HANG), url))
    _, child, _, parent = logged(running, "child").split()
    assert running.poll() is None
    running.cancel()
    running.cancel()
    wait_gone(int(child), int(parent))
    assert running.poll() is not None


def test_what_a_job_leaves_running_ends_with_it(
    executor: VdkExecutor, tmp_path: Path, url: str
) -> None:
    code = HANG.replace("    threading.Event().wait(600)\n", "")
    running = executor.start(run_of(job(tmp_path, code), url))
    assert outcome_of(running).status == "succeeded"
    wait_gone(int(logged(running, "child").split()[1]))


def test_close_ends_every_job(tmp_path: Path, url: str) -> None:
    executor = VdkExecutor()
    running = executor.start(run_of(job(tmp_path, HANG), url))
    _, child, _, parent = logged(running, "child").split()
    executor.close()
    executor.close()
    wait_gone(int(child), int(parent))
    with pytest.raises(OSError, match="closed"):
        executor.start(run_of(tmp_path / "a-small-job", url))


def test_jobs_run_side_by_side(executor: VdkExecutor, tmp_path: Path, url: str) -> None:
    hanging = executor.start(run_of(job(tmp_path, HANG), url))
    quick = job(tmp_path, "def run(job_input):\n    print('quick')\n", name="a-quick-job")
    running = executor.start(run_of(quick, url))
    assert outcome_of(running).status == "succeeded"
    assert hanging.poll() is None
    hanging.cancel()


def test_jobs_die_with_a_killed_sandbox(tmp_path: Path, url: str) -> None:
    sources = job(tmp_path, HANG)
    code = f"""
import sys, threading
from pathlib import Path
from pytest_vdkprobe.sandbox.vdk_executor import VdkExecutor
from tests.integration.test_vdk_executor import logged, run_of
running = VdkExecutor().start(run_of(Path({str(sources)!r}), {url!r}))
print(logged(running, "child"), running._folder, flush=True)
threading.Event().wait(600)
"""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(tmp_path))}
    environ |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if "VDKPROBE_CACHE" in os.environ:
        environ["VDKPROBE_CACHE"] = os.environ["VDKPROBE_CACHE"]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdout is not None
        _, child, _, parent, folder = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    wait_gone(int(child), int(parent))
    wait_until(
        "the job's folder to go",
        Path(folder).exists,
        done=lambda there: not there,
        deadline=Deadline.after(20),
    )


def test_a_jobs_requirements_are_installed_when_it_is_prepared(
    executor: VdkExecutor, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    code = "import tiny_proof\ndef run(job_input):\n    print('answer', tiny_proof.ANSWER)\n"
    wheel = "tiny_proof-1.0-py3-none-any.whl"
    sources = job(tmp_path, code, **{"requirements.txt": f"./{wheel}\n"})
    write_wheel(sources / wheel)
    executor.prepare(sources)
    running = executor.start(run_of(sources, url))
    assert outcome_of(running).status == "succeeded", running.log()
    assert logged(running, "answer") == "answer 42"


def test_requirements_that_cannot_be_met_fail_the_build(
    executor: VdkExecutor, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    sources = job(tmp_path, "", **{"requirements.txt": "no-such-thing-of-ours==1\n"})
    with pytest.raises(BuildError, match="no-such-thing-of-ours"):
        executor.prepare(sources)


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "login-and-tls"])
def test_a_deployed_job_reaches_its_sandbox(guarded: bool, tmp_path: Path) -> None:
    code = """
def run(job_input):
    job_input.set_all_properties({"proof": job_input.get_arguments()["nonce"]})
"""
    sources = job(tmp_path, code)
    with Sandbox(executor="vdk", auth=guarded, tls=guarded) as sandbox:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(sandbox.ca_file) if sandbox.ca_file else True
        if guarded:
            form = {"grant_type": "refresh_token", "refresh_token": sandbox.tokens.api_token}
            token = session.post(sandbox.token_url, data=form).json()["access_token"]
            session.headers["Authorization"] = f"Bearer {token}"
        jobs = f"{sandbox.url}/data-jobs/for-team/a-team/jobs"
        here = f"{jobs}/a-small-job"
        body = {"job_name": "a-small-job", "description": "", "config": {}, "team": "a-team"}
        assert session.post(jobs, params={"name": "a-small-job"}, json=body).status_code == 201
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path in sources.iterdir():
                archive.write(path, f"a-small-job/{path.name}")
        headers = {"Content-Type": "application/octet-stream"}
        upload = session.post(f"{here}/sources", data=buffer.getvalue(), headers=headers)
        session.post(f"{here}/deployments", json={"job_version": upload.json()["version_sha"]})
        wait_until(
            "the deployment",
            lambda: session.get(f"{here}/deployments").json(),
            done=bool,
            deadline=Deadline.after(20),
        )
        started = session.post(
            f"{here}/deployments/production/executions", json={"args": {"nonce": "n-1"}}
        )
        assert started.status_code == 202
        execution = started.headers["Location"]
        end = wait_until(
            "the execution's end",
            lambda: session.get(execution).json(),
            done=lambda seen: seen["status"] not in {"submitted", "running"},
            deadline=Deadline.after(60),
            longest_pause_s=0.05,
        ).value
        assert end["status"] == "succeeded", session.get(f"{execution}/logs").json()["logs"]
        assert end["deployment"]["vdk_version"].startswith("0.3.")
        properties = session.get(f"{here}/deployments/production/properties").json()
        assert properties == {"proof": "n-1"}


def write_wheel(path: Path) -> None:
    """A wheel of one module, so that no index is asked."""
    info = "tiny_proof-1.0.dist-info"
    about = "Metadata-Version: 2.1\nName: tiny-proof\nVersion: 1.0\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as wheel:
        # ZipInfo for its fixed date: the layer is cached by content, and should be met again.
        wheel.writestr(zipfile.ZipInfo("tiny_proof.py"), "ANSWER = 42\n")
        wheel.writestr(zipfile.ZipInfo(f"{info}/METADATA"), about)
        wheel.writestr(zipfile.ZipInfo(f"{info}/WHEEL"), kind)
        wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "")
