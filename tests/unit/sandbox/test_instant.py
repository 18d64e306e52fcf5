"""The in-process executor: what a step sees, how it can end, and that it can be stopped."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from tests.unit.sandbox.conftest import Client, until


def step(*lines: str) -> str:
    return "\n".join(["import logging, time", "def run(job_input):", *(f"    {x}" for x in lines)])


def test_a_step_reads_arguments_and_writes_properties(client: Client, job: str) -> None:
    client.deploy(
        job, a=step("job_input.set_all_properties({'seen': job_input.get_arguments()['x']})")
    )
    assert client.run(job, x=7)["status"] == "succeeded"
    assert client.get(f"{job}/deployments/any/properties") == {"seen": 7}


def test_steps_run_in_the_order_of_their_names(client: Client, job: str) -> None:
    client.deploy(job, b=step("print('second')"), a=step("print('first')"))
    execution = client.start(job)
    client.ended(execution)
    log = client.log(execution)
    assert log.index("first") < log.index("second")


def test_its_log_takes_logging_and_print_and_leaves_the_process_its_own(
    client: Client, job: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.deploy(
        job,
        a=step(
            "logging.getLogger('mine').info('one %s', 1); logging.warning('two'); print('three', 3)"
        ),
    )
    execution = client.start(job)
    client.ended(execution)
    log = client.log(execution)
    assert [text in log for text in ("mine - one 1", "root - two", "three 3")] == [True] * 3
    assert not [record for record in caplog.records if "one" in record.getMessage()]
    assert "mine" not in logging.root.manager.loggerDict


def test_an_exception_of_the_step_is_a_user_error_with_its_traceback(
    client: Client, job: str
) -> None:
    client.deploy(job, a=step("raise ValueError('on purpose')"))
    execution = client.start(job)
    body = client.ended(execution)
    assert (body["status"], body["message"]) == ("user_error", "User error")
    assert "10_a.py" in client.log(execution)
    assert "ValueError: on purpose" in client.log(execution)


@pytest.mark.parametrize(
    "code",
    ["raise SystemExit(1)", "import no_such_module", "job_input.set_all_properties({'a': True})"],
)
def test_what_user_code_does_wrong_is_a_user_error(client: Client, job: str, code: str) -> None:
    client.deploy(job, a=step(code))
    assert client.run(job)["status"] == "user_error"


def test_a_module_that_does_not_compile_is_a_user_error(client: Client, job: str) -> None:
    client.deploy(job, a="def run(job_input)\n")
    assert client.run(job)["status"] == "user_error"


@pytest.mark.parametrize(
    "code",
    [
        "job_input.execute_query('select 1')",
        "job_input.get_managed_connection()",
        "job_input.send_object_for_ingestion(payload={}, destination_table='t')",
        "job_input.execute_template('x', {})",
    ],
)
def test_what_only_the_real_vdk_does_is_a_platform_error_that_says_so(
    client: Client, job: str, code: str
) -> None:
    client.deploy(job, a=step("try:", f"    {code}", "except Exception:", "    pass"))
    execution = client.start(job)
    assert client.ended(execution)["status"] == "platform_error"
    assert "use the real vdk" in client.log(execution)


def test_a_property_service_that_fails_is_a_platform_error(client: Client, job: str) -> None:
    client.deploy(job, a=step("job_input.get_all_properties()"))
    client.sandbox.plant("status", path="/properties$", status=500)
    assert client.run(job)["status"] == "platform_error"


def test_skipping_the_rest_is_a_success(client: Client, job: str) -> None:
    client.deploy(job, a=step("job_input.skip_remaining_steps()"), b=step("raise ValueError"))
    assert client.run(job)["status"] == "succeeded"


def test_a_module_without_run_is_passed_over(client: Client, job: str) -> None:
    client.deploy(job, a="VALUE = 1\n")
    assert client.run(job)["status"] == "succeeded"


def test_a_step_imports_its_neighbours(client: Client, job: str) -> None:
    client.deploy(job, a=step("import helper; print('helped by', helper.X)"), helper="X = 5\n")
    execution = client.start(job)
    client.ended(execution)
    assert "helped by 5" in client.log(execution)


@pytest.mark.parametrize(
    "wait",
    [
        "time.sleep(600)",
        "from time import sleep; sleep(600)",
        "while True: pass",
        "import threading\n    while True: threading.Event().wait(0.05)",
    ],
    ids=["sleep", "imported sleep", "busy", "naps"],
)
def test_a_hanging_job_can_be_cancelled_and_its_thread_ends(
    client: Client, job: str, wait: str
) -> None:
    client.deploy(job, a=step(wait))
    execution = client.start(job)
    client.running(execution)
    assert client.call("DELETE", execution).status_code == 200
    body = client.get(execution)
    assert (body["status"], body["message"]) == ("cancelled", "Job execution cancelled by user.")
    assert client.log(execution) == ""
    name = execution.rpartition("/")[2]
    until("thread's end", lambda: [t for t in threading.enumerate() if t.name == name], [])


def test_a_run_is_over_in_milliseconds(client: Client, job: str) -> None:
    client.deploy(job, a=step("print('hello')"))
    took_s = []
    for _ in range(4):
        started = time.perf_counter()
        client.run(job)
        took_s.append(time.perf_counter() - started)
    assert min(took_s) < 1.0
