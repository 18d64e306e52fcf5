"""The dataplatform-probe's environment, of each of its ages, amounts to what it did there."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.config import Configuration, load
from pytest_vdkprobe.config.dataplatform_probe import is_local
from pytest_vdkprobe.control.settings import ClientCredentialsSettings, ControlSettings
from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.events.find import Pipeline
from pytest_vdkprobe.problems import find_problems
from pytest_vdkprobe.watch.settings import WatchSettings

TASKS = {
    "DATASET_ID": "my-data",
    "OKDATA_CLIENT_ID": "probe",
    "OKDATA_CLIENT_SECRET": "hush-hush-hush",
    "OKDATA_ENVIRONMENT": "dev",
    "TASK_INTERVAL_SECONDS": "30",
    "DISMISS_TASK_SECONDS": "600",
    "CLEAN_TASKS_INTERVAL_SECONDS": "60",
}
EVENTS = {
    "DATASET_ID": "my-data",
    "AUTHORIZER_API": "https://authorizer.example.org/",
    "KEYCLOAK_SERVER": "https://login.example.org",
    "KEYCLOAK_REALM": "realm",
    "WEBSOCKET_URL": "wss://ws.example.org/events",
    "WEBHOOK_TOKEN": "token-token-token",
    "ORIGO_CLIENT_ID": "probe",
    "ORIGO_CLIENT_SECRET": "hush-hush-hush",
    "ORIGO_ENVIRONMENT": "dev",
    "AWS_XRAY_SDK_ENABLED": "false",
    "EVENT_INTERVAL_SECONDS": "15",
    "MAX_CONSECUTIVE_ERRORS": "5",
}


def usable(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Configuration:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    configuration = load("env", environ=environ)
    problems, _ = find_problems(configuration, need_control=False)
    assert problems == []
    return configuration


def test_the_first_seeds_variables_are_endpoint_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = usable(TASKS, monkeypatch)
    assert "events" not in configuration
    assert "control" not in configuration
    (task,) = configuration.sections("endpoints", EndpointTasksSettings)
    assert task.url.endswith(".oslo.systems/metadata/datasets/my-data")
    assert (task.interval_s, task.dismiss_s, task.clean_s) == (30, 600, 60)
    assert isinstance(task.auth, ClientCredentialsSettings)
    assert task.auth.url.endswith("/auth/realms/api-catalog/protocol/openid-connect/token")
    assert "login-test" in task.auth.url
    assert configuration.source("endpoints.0.interval_s") == "environment TASK_INTERVAL_SECONDS"


def test_the_second_seeds_variables_are_an_event_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = usable(EVENTS, monkeypatch)
    assert "endpoints" not in configuration
    pipeline = Pipeline(configuration, 0)
    settings = pipeline.settings
    assert (settings.interval_s, settings.max_consecutive_errors) == (15, 5)
    assert settings.within_s + settings.late_s == 86400
    target = pipeline.end_settings("target", "01234567")
    assert target.url.endswith("/event-collector/event/my-data/1")
    assert (target.layout, target.record) == ("event", False)
    assert target.auth.url == (
        "https://login.example.org/auth/realms/realm/protocol/openid-connect/token"
    )
    reader = pipeline.end_settings("reader", "01234567")
    assert (reader.url, reader.query) == (EVENTS["WEBSOCKET_URL"], {"dataset_id": "my-data"})
    assert (reader.token.env, reader.authorizer, reader.listeners) == ("WEBHOOK_TOKEN", None, 2)
    (warning,) = configuration.warnings
    assert "AWS_XRAY_SDK_ENABLED" in warning
    assert "traceparent" in warning


def test_a_dismissal_before_the_sla_is_when_an_event_is_lost() -> None:
    environ = {**EVENTS, "DISMISS_EVENT_TIMEOUT_SECONDS": "10"}
    (entry,) = load("env", environ=environ).raw_tables()["events"]
    assert (entry["within_s"], entry["late_s"]) == (10.0, 0.0)


def test_without_a_webhook_token_the_authorizer_gives_one(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {name: text for name, text in EVENTS.items() if name != "WEBHOOK_TOKEN"}
    reader = Pipeline(usable(environ, monkeypatch), 0).end_settings("reader", "01234567")
    assert reader.token is None
    assert reader.authorizer.url == "https://authorizer.example.org/my-data/webhook"
    assert reader.authorizer.json == {"service": "probe"}


def test_the_outside_monitor_becomes_a_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = {"BETTERUPTIME_HEARTBEAT_URL": "https://monitor.example.org/x"}
    configuration = usable({**TASKS, **monitor}, monkeypatch)
    ping = configuration.section("watch", WatchSettings).ping
    assert ping is not None
    assert ping.method == "HEAD"


def test_both_probes_may_be_meant_at_once() -> None:
    configuration = load("env", environ={**TASKS, "CONTROL_API_URL": "https://control"})
    assert configuration.section("control", ControlSettings).url == "https://control"
    assert configuration.sections("endpoints", EndpointTasksSettings)


def test_local_services_are_the_sandboxs(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"LOCAL_SERVICES_ONLY": "true", "LOCAL_RUN": "true", "DATASET_ID": "mine"}
    assert is_local(environ)
    assert not is_local({**environ, "LOCAL_SERVICES_ONLY": "false"})
    local = {"endpoints": [{"name": "local", "url": "http://127.0.0.1:1/metadata/x", "tasks": 3}]}
    configuration = load("env", environ=environ, local=local)
    (task,) = configuration.sections("endpoints", EndpointTasksSettings)
    assert task.url == "http://127.0.0.1:1/metadata/mine"
    assert task.table_s == 30
    assert task.allow.failed > 0


def test_local_services_alone_are_never_taken_for_the_platforms() -> None:
    # What is checked or migrated without a run has no sandbox to speak to.
    environ = {"LOCAL_SERVICES_ONLY": "true", "DATASET_ID": "mine"}
    with pytest.raises(ConfigError, match="only a run starts"):
        load("env", environ=environ)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, ["no setting of vdk-heartbeat or of the dataplatform-probe", "DATASET_ID for"]),
        ({"DATASET_IDD": "x"}, ["DATASET_IDD is set: did you mean DATASET_ID?"]),
        ({"TASK_INTERVAL_SECONDS": "5"}, ["DATASET_ID is not set"]),
        (
            {"TASK_INTERVAL_SECONDS": "5", "DATASETID": "x"},
            ["DATASETID is set: did you mean DATASET_ID?"],
        ),
        ({"DATASET_ID": "x", "WEBHOOK_TOKEN": "t"}, ["WEBSOCKET_URL is not set", "wss://"]),
        ({**TASKS, "TASK_INTERVAL_SECONDS": "0"}, ["TASK_INTERVAL_SECONDS is no number", "'0'"]),
        ({**TASKS, "TASK_INTERVAL_SECONDS": "-1"}, ["TASK_INTERVAL_SECONDS is no number"]),
        ({**EVENTS, "MAX_CONSECUTIVE_ERRORS": "1.5"}, ["no whole number"]),
        ({**TASKS, "OKDATA_ENVIRONMENT": "test"}, ["OKDATA_ENVIRONMENT", "dev or prod"]),
        (
            {"DATASET_ID": "x", "OKDATA_CLIENT_ID": "x"},
            ["only one of them", "export OKDATA_CLIENT_SECRET"],
        ),
        ({"LOCAL_RUN": "perhaps", "DATASET_ID": "x"}, ["LOCAL_RUN is neither yes nor no"]),
    ],
    ids=str,
)
def test_what_is_missing_or_wrong_is_told_with_its_variable(
    environ: dict[str, str], said: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load("env", environ=environ)
    for text in said:
        assert text in str(caught.value)


def test_misspelt_variable_beside_good_ones_is_warned_about() -> None:
    configuration = load("env", environ={**TASKS, "WEBSOCKET_LISTENER": "2", "PATH": "/bin"})
    assert configuration.warnings == (
        "WEBSOCKET_LISTENER means nothing here; did you mean WEBSOCKET_LISTENERS?",
    )
