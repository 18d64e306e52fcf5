"""`vdkprobe check` tells everything that is wrong, and tries what a configuration points to."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_vdkprobe.cli.check import add_parser

INFO = {"api_version": "PipelinesControlService/1", "supported_python_versions": ["3.11"]}
EMPTY_LIST = {"data": {"content": [], "totalItems": 0, "totalPages": 0}, "errors": []}


class Service(ThreadingHTTPServer):
    """Answers `info` and the list of jobs with what it is told."""

    status = 200
    info: object = INFO
    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        body = json.dumps(self.server.info if self.path.endswith("/info") else EMPTY_LIST).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Checked(NamedTuple):
    code: int
    text: str


class Checker:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, text: str, *options: str) -> Checked:
        path = self.folder / "platform.toml"
        path.write_text(text, "utf-8")
        parser = argparse.ArgumentParser(prog="vdkprobe")
        add_parser(parser.add_subparsers(required=True))
        arguments = parser.parse_args(["check", str(path), *options])
        code = arguments.run(arguments)
        return Checked(code, self._capsys.readouterr().out)


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, capsys)


def control(url: str, more: str = "") -> str:
    return f'[control]\nurl = "{url}"\nteam = "blue"\nretries = 0\n{more}\n'


JOB = '[[jobs]]\nname = "hello-platform"\n'


def test_a_good_configuration_is_listed_with_its_sources(check: Checker) -> None:
    done = check(control("https://c") + JOB, "--vdk-set", "control.team=red")
    assert done.code == 0
    lines = {line.split()[0]: line.split()[1:] for line in done.text.splitlines() if line}
    assert lines["control.url"] == ["https://c", str(check.folder / "platform.toml")]
    assert lines["control.team"] == ["red", "--vdk-set"]
    assert lines["jobs.0.template"] == ["proof", "default"]
    assert "usable" in done.text


def test_everything_wrong_is_told_at_once(check: Checker) -> None:
    (check.folder / "empty").mkdir()
    done = check(
        control("c.example.org")
        + '[run]\ntimeout = 5\n[[jobs]]\nname = "X"\nschedule = "* *"\n'
        + '[[jobs]]\nname = "second-job"\npath = "missing"\n'
        + '[[jobs]]\nname = "third-job"\npath = "empty"\n'
    )
    assert done.code == 4
    for said in (
        "has no http:// or https:// in front",
        "did you mean timeout_s?",
        "refuse this name",
        "schedule",
        "does not exist",
        "no steps",
    ):
        assert said in done.text
    assert "6 problems: not usable." in done.text


def test_a_missing_secret_is_a_problem_before_anything_is_tried(check: Checker) -> None:
    auth = 'auth = { kind = "bearer", token = { env = "NOT_SET_ANYWHERE" } }'
    done = check(control("https://c", auth), "--connect")
    assert done.code == 4
    assert "NOT_SET_ANYWHERE, which should hold a secret, is not set" in done.text
    assert "Trying" not in done.text


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("[control\n", (), "is not TOML"),
        ("", ("--set", "control.team"), "wants a key and a value"),
        ("", ("--set", "contrl.team=x"), "did you mean control.team?"),
    ],
)
def test_what_can_not_be_loaded_is_said_alone(
    check: Checker, text: str, options: tuple[str, ...], said: str
) -> None:
    done = check(text, *options)
    assert done.code == 4
    assert said in done.text


def test_a_secret_is_never_printed(check: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSH", "hush-hush-hush")
    auth = 'auth = { kind = "bearer", token = { env = "HUSH" } }'
    done = check(control("https://c/hush-hush-hush", auth))
    assert "secret from environment HUSH" in done.text
    assert "hush-hush-hush" not in done.text


def test_a_service_that_answers_is_described(check: Checker, service: Service) -> None:
    done = check(control(service.url), "--connect")
    assert done.code == 0
    assert "ok     connect" in done.text
    assert "without TLS" in done.text
    assert "PipelinesControlService/1; Python 3.11" in done.text
    assert "list of team blue is empty" in done.text


def test_a_refused_connection_is_an_error_of_ours(check: Checker, service: Service) -> None:
    url = service.url
    service.server_close()
    done = check(control(url), "--connect")
    assert done.code == 6
    assert "error  connect" in done.text
    assert "To try:" in done.text


def test_a_refused_login_is_an_error_of_ours(check: Checker, service: Service) -> None:
    service.status = 401
    done = check(control(service.url), "--connect")
    assert done.code == 6
    assert "error  login" in done.text


def test_what_is_no_control_service_is_an_error_of_ours(check: Checker, service: Service) -> None:
    service.status = 404
    service.info = "nothing here"
    done = check(control(service.url), "--connect")
    assert done.code == 6
    assert "does not behave like a Control Service" in done.text


def test_a_service_that_fails_is_the_platforms(check: Checker, service: Service) -> None:
    service.status = 500
    done = check(control(service.url), "--connect")
    assert done.code == 1
    assert "fail   service" in done.text


def test_two_entries_of_one_name_are_refused_as_a_run_does(check: Checker) -> None:
    route = '[[routes]]\nname = "{}"\n' + "".join(
        f'{side} = {{ kind = "file", path = "{{route}}.json" }}\n' for side in ("target", "reader")
    )
    code, text = check(route.replace("{}", "orders") * 2)
    assert code == 4
    assert "Two entries in [[routes]] have the same name." in text
    assert "key routes.1.name" in text


def test_jobs_without_a_control_service_are_refused_though_routes_do_without(
    check: Checker,
) -> None:
    end = '{ kind = "file", path = "x.json" }'
    route = f'[[routes]]\nname = "orders"\ntarget = {end}\nreader = {end}\n'
    assert check(route).code == 0
    code, text = check('[[jobs]]\nname = "hello-platform"\n' + route)
    assert code == 4
    assert "The setting control.url is missing." in text


def test_a_section_that_a_file_has_in_vain_is_told(check: Checker) -> None:
    code, text = check('[control]\nurl = "http://127.0.0.1:9"\nteam = "t"\n[sandbox]\ntick_s = 1\n')
    assert code == 0
    assert "warning: [sandbox] has no effect in a file" in text


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[sandbox]\ntik_s = 5", ["[sandbox] has no setting tik_s", "did you mean tick_s?"]),
        ('[sandbox]\nexecutor = "real"', ["is none of the words", "sandbox.executor"]),
        ('[sandbox]\nfaults = [{ name = "log-empty" }]', ["sandbox.faults.0", "logs-empty"]),
        ("[watch]\nintervall_s = 1", ["has no setting intervall_s", "did you mean interval_s?"]),
        ("[[endpoints]]\nname = 'x'", ["endpoints.0.url is missing"]),
        ("[history]\nkep = 1", ["[history] has no setting kep", "did you mean keep?"]),
        ("[upgrade]\nignor = []", ["[upgrade] has no setting ignor", "did you mean ignore?"]),
    ],
)
def test_every_section_is_validated(check: Checker, section: str, said: list[str]) -> None:
    code, text = check(f'[control]\nurl = "http://127.0.0.1:9"\nteam = "t"\n{section}\n')
    assert code == 4
    assert [one for one in said if one not in text] == [], text
    assert "line " in text
