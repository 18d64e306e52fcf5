"""A secret that a run knows stands in nothing that it writes."""

from __future__ import annotations

import logging

import pytest

from tests.plugin.conftest import Probe

CANARY = "c4n4ry-s3cr3t-value"

LEAKS = """
import logging
from pytest_vdkprobe.secrets import Secret
KEY = Secret("c4n4ry-" + "s3cr3t-value", "a test").reveal()
@step
def test_log(vdk_step):
    logging.getLogger("x").warning("token %s", KEY)
    print("printed", KEY)
    vdk_step.evidence("seen " + KEY)
    raise PlatformFailure("refused " + KEY, seen=KEY, checked="http://u:" + KEY + "@host")
@step
def test_bug(vdk_step):
    local = KEY
    try:
        raise ValueError(KEY)
    except ValueError:
        logging.exception("caught")
    raise KeyError(local)
@step
def test_assert(vdk_step):
    assert KEY == "x"
@step
def test_skip(vdk_step): pytest.skip(KEY)
def test_ordinary(record_property):
    record_property("key", KEY)
    assert not KEY
@pytest.fixture
def late():
    yield
    raise RuntimeError(KEY)
@step
def test_teardown(late, vdk_step): vdk_step.evidence("x")
"""


@pytest.mark.parametrize("args", [[], ["--tb=long", "-l", "-rA", "-vv"], ["-n1", "-v", "-l"]])
def test_no_output_holds_it(probe: Probe, args: list[str]) -> None:
    probe.scenario(LEAKS)
    result = probe.run_apart(
        "test_mine.py",
        "--junitxml=tests.xml",
        "-o",
        "junit_logging=all",
        "--vdk-report=r.json",
        "--log-file=run.log",
        "-o",
        "log_cli=true",
        *args,
    )
    assert result.ret == 1
    written = [
        p.read_text() for p in probe.pytester.path.iterdir() if p.suffix in (".xml", ".json")
    ]
    written.append((probe.pytester.path / "run.log").read_text())
    everything = "\n".join([*written, result.stdout.str(), result.stderr.str()])
    assert CANARY not in everything
    assert "[redacted]" in everything


def test_a_secret_in_a_module_that_cannot_be_imported_is_masked(probe: Probe) -> None:
    probe.scenario(
        "from pytest_vdkprobe.secrets import Secret\n"
        "KEY = Secret('c4n4ry-' + 's3cr3t-value', 'a test').reveal()\n"
        "raise RuntimeError(KEY)\n"
    )
    assert CANARY not in probe.run_apart("test_mine.py").stdout.str()


def test_a_traceback_without_secrets_keeps_its_structure(probe: Probe) -> None:
    probe.write("test_plain.py", "def test_x():\n    assert 1 == 2\n")
    probe.run("test_plain.py").stdout.fnmatch_lines(
        [">*assert 1 == 2", "E*assert 1 == 2", "FAILED test_plain.py::test_x - assert 1 == 2"]
    )


def test_log_records_keep_their_arguments_unless_a_secret_stands_in_them() -> None:
    from pytest_vdkprobe.observe.redaction import redacting_factory
    from pytest_vdkprobe.secrets import Secret

    Secret("another-canary-0815", "a test")
    make = redacting_factory(logging.LogRecord)
    clean = make("n", logging.INFO, "p", 1, "%s is fine", ("all",), None)
    dirty = make("n", logging.INFO, "p", 1, "%s leaks", ("another-canary-0815",), None)
    wrong = make("n", logging.INFO, "p", 1, "%d", ("no number",), None)
    assert clean.args == ("all",)
    assert dirty.getMessage() == "[redacted] leaks"
    assert wrong.args == ("no number",)


def test_logging_is_given_back_after_the_run(probe: Probe) -> None:
    before = logging.getLogRecordFactory()
    probe.scenario(LEAKS)
    probe.run("test_mine.py")
    assert logging.getLogRecordFactory() is before
