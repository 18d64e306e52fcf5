"""The official vdk-heartbeat finds the sandbox in good health: its simple run, with the real vdk.

It sleeps for twenty seconds whatever happens, and starts eighteen processes, so this is the slowest
test of all; it is also the one that shows that the sandbox may stand for a platform.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.conformance.conftest import Client

TICK_S = 1.0
"""A cron minute, so short that the first scheduled run has ended when vdk-heartbeat first looks for
it: it looks again only after 30 s."""

INI = """[DEFAULT]
CONTROL_API_URL = {url}
VDKCLI_OAUTH2_URI = {token_url}
JOB_TEAM = taurus
DATAJOB_DIRECTORY_NAME = simple
JOB_RUN_TEST_MODULE_NAME = vdk.internal.heartbeat.simple_run_test
JOB_RUN_TEST_CLASS_NAME = SimpleRunTest
RUN_TEST_TIMEOUT_SECONDS = 120
REPORT_JUNIT_XML_FILE_PATH = tests.xml
VDK_HEARTBEAT_OP_ID = 1
"""


@pytest.mark.timeout(300)
def test_its_simple_run_is_green(client_of: Callable[[Sandbox], Client]) -> None:
    with Sandbox(executor="vdk", auth=True, tick_s=TICK_S, team="taurus") as sandbox:
        client = client_of(sandbox)
        ini = client.work / "heartbeat.ini"
        ini.write_text(INI.format(url=sandbox.url, token_url=sandbox.token_url))
        token = {"VDK_HEARTBEAT_API_TOKEN": sandbox.tokens.api_token}
        done = client.call("-f", str(ini), program="vdk-heartbeat", more=token)
        assert done.returncode == 0, done.stderr
        assert "Heartbeat has finished successfully" in done.stdout + done.stderr
        assert counts(client.work / "tests.xml") == {"tests": 1, "failures": 0, "errors": 0}
        assert client.json("list", "-t", "taurus") == []
        assert sandbox.bugs == []


def counts(report: Path) -> dict[str, int]:
    """What a JUnit file tells in its suites."""
    suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314, RUF100 - our own file
    kinds = ("tests", "failures", "errors")
    return {kind: sum(int(suite.get(kind, 0)) for suite in suites) for kind in kinds}
