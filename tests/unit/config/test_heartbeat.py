"""vdk-heartbeat's configurations work as they are, without the traps of its reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_vdkprobe.config import Configuration, load
from pytest_vdkprobe.config.heartbeat import job_name
from pytest_vdkprobe.config.heartbeat_keys import KEYS
from pytest_vdkprobe.config.legacy import LegacySettings
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.control.settings import ApiTokenSettings, ControlSettings, NoAuthSettings
from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.settings import Contacts, JobSettings, RunTestSettings
from pytest_vdkprobe.journeys.settings import RunSettings
from pytest_vdkprobe.legacy.config_object import ATTRIBUTES, HeartbeatConfig
from pytest_vdkprobe.problems import find_problems
from pytest_vdkprobe.routes.settings import RouteSettings
from tests.unit.config.conftest import Loader

URL = "CONTROL_API_URL=https://control\nJOB_RUN_TEST_CLASS_NAME=SimpleRunTest\n"
NAME_RULE = re.compile("[a-z][a-z0-9-]{5,44}")


def control_of(configuration: Configuration) -> ControlSettings:
    return configuration.section("control", ControlSettings)


def job_of(configuration: Configuration) -> JobSettings:
    (job,) = configuration.sections("jobs", JobSettings)
    return job


def legacy_of(configuration: Configuration) -> LegacySettings:
    return configuration.section("legacy", LegacySettings)


def test_the_defaults_are_its_own(legacy: Loader, tmp_path: Path) -> None:
    configuration = legacy(URL)
    control, settings = control_of(configuration), legacy_of(configuration)
    assert configuration.kind == "heartbeat"
    assert (control.url, control.team, control.auth) == (
        "https://control",
        "taurus",
        NoAuthSettings(),
    )
    assert job_of(configuration) == JobSettings(name="vdk-heartbeat-data-job", template="proof")
    assert configuration.section("run", RunSettings).step_timeout_s == 1200
    assert Path(str(settings.junit_path)) == Path.cwd() / "tests.xml"
    assert (settings.database.port, settings.database.timeout_s) == (8080, 180)
    assert settings.database.verify_ssl
    assert settings.ingestion.method == "http"
    assert settings.database.table("source", "Me_1.2") == "vdk_heartbeat_source_me_1_2"
    assert configuration.source("control.team") == "default of vdk-heartbeat"
    assert configuration.source("control.url") == f"{tmp_path}/heartbeat.ini key CONTROL_API_URL"
    assert configuration.warnings == ()


def test_every_key_of_it_arrives(legacy: Loader, tmp_path: Path) -> None:
    configuration = legacy(
        f"""CONTROL_API_URL=https://control
VDKCLI_OAUTH2_URI=https://login
VDK_HEARTBEAT_OP_ID=Build_7
JOB_NAME=my-heartbeat
JOB_TEAM=blue
JOB_NOTIFICATION_MAIL=a@b.c; d@e.f
DATAJOB_DIRECTORY_PARENT={tmp_path}
DATAJOB_DIRECTORY_NAME=own
JOB_RUN_TEST_MODULE_NAME=taurus.vdk.heartbeat.simple_run_test
JOB_RUN_TEST_CLASS_NAME=SimpleRunTest
RUN_TEST_TIMEOUT_SECONDS=60
CHECK_MANUAL_JOB_EXECUTION=no
CHECK_TEMPLATE_EXECUTION=false
CLEAN_UP_ON_FAILURE=0
REPORT_JUNIT_XML_FILE_PATH={tmp_path}/out.xml
VDK_HEARTBEAT_DEPLOY_JOB_VDK_VERSION=1.2
DATAJOB_DEPLOYMENT_PYTHON_VERSION=3.11
DB_DEFAULT_TYPE=TRINO
DATABASE_HOST=trino
DATABASE_PORT=8443
DATABASE_USER=me
DATABASE_USE_SSL=y
DATABASE_VERIFY_SSL=n
DATABASE_AUTHENTICATION_MECHANISM=PLAIN
DATABASE_TEST_DB=memory.default
DATABASE_TEST_TABLE_SOURCE=src
DATABASE_TEST_TABLE_DESTINATION=dst
DATABASE_TEST_TABLE_LOAD_DESTINATION=load
DATABASE_CONNECTION_TIMEOUT_SECONDS=5
VDK_HEARTBEAT_INGEST_METHOD=file
VDK_HEARTBEAT_INGEST_TARGET=t
VDK_HEARTBEAT_INGEST_DESTINATION_TABLE=d
VDK_HEARTBEAT_INGEST_TIMEOUT=9
""",
        {"VDKCLI_OAUTH2_REFRESH_TOKEN": "open-sesame", "DATABASE_PASS": "hush-hush"},
    )
    control, job, settings = (
        control_of(configuration),
        job_of(configuration),
        legacy_of(configuration),
    )
    assert control.auth == ApiTokenSettings(
        url="https://login", token=SecretRef(env="VDKCLI_OAUTH2_REFRESH_TOKEN")
    )
    assert control.team == "blue"
    everybody = ("a@b.c", "d@e.f")
    assert job == JobSettings(
        name="my-heartbeat",
        exact_name=True,
        path=f"{tmp_path}/own",
        vdk_version="1.2",
        python_version="3.11",
        db_default_type="TRINO",
        contacts=Contacts(
            notified_on_job_failure_user_error=everybody,
            notified_on_job_failure_platform_error=everybody,
            notified_on_job_success=everybody,
            notified_on_job_deploy=everybody,
        ),
    )
    assert settings.op_id == "Build_7"
    assert settings.junit_path == f"{tmp_path}/out.xml"
    assert settings.run_test_timeout_s == 60
    assert not settings.check_manual_job_execution
    assert not settings.check_template_execution
    assert not settings.clean_up_on_failure
    assert settings.database.password == SecretRef(env="DATABASE_PASS")
    assert (settings.database.host, settings.database.port) == ("trino", 8443)
    assert (settings.database.use_ssl, settings.database.verify_ssl) == (True, False)
    assert settings.database.table("destination", "x") == "dst"
    assert (settings.ingestion.target, settings.ingestion.timeout_s) == ("t", 9)
    without_effect = [warning.partition("=")[0] for warning in configuration.warnings]
    assert without_effect == ["CHECK_MANUAL_JOB_EXECUTION", "CLEAN_UP_ON_FAILURE"]


def test_every_place_that_a_key_stands_for_exists(legacy: Loader) -> None:
    names = {name for struct in (LegacySettings,) for name in struct.__struct_fields__}
    for place in KEYS.values():
        section, _, rest = place.partition(".")
        assert section in {"control", "jobs", "run", "legacy", ""}
        if section == "legacy":
            assert rest.split(".")[0] in names


def test_the_environment_beats_the_ini_unless_it_is_empty(legacy: Loader) -> None:
    environ = {"JOB_TEAM": "red", "CONTROL_API_URL": ""}
    control = control_of(legacy(f"{URL}JOB_TEAM=blue\n", environ))
    assert (control.team, control.url) == ("red", "https://control")


def test_our_own_twins_and_overrides_beat_both(tmp_path: Path) -> None:
    path = tmp_path / "h.ini"
    path.write_text("[DEFAULT]\nJOB_TEAM=blue\n")
    environ = {"JOB_TEAM": "red", "VDKPROBE_CONTROL__TEAM": "green"}
    configuration = load(str(path), overrides={"control.url": "https://line"}, environ=environ)
    assert control_of(configuration).team == "green"
    assert control_of(configuration).url == "https://line"


def test_the_environment_alone_is_a_configuration() -> None:
    environ = {
        "VDK_HEARTBEAT_CONTROL_SERVICE_URL": "https://control",
        "VDK_HEARTBEAT_API_TOKEN": "open-sesame",
        "VDK_HEARTBEAT_API_TOKEN_AUTH_URL": "https://login",
    }
    configuration = load("env", environ=environ)
    assert configuration.kind == "env"
    auth = control_of(configuration).auth
    assert auth == ApiTokenSettings(
        url="https://login", token=SecretRef(env="VDK_HEARTBEAT_API_TOKEN")
    )
    source = configuration.source("control.url")
    assert source == "environment VDK_HEARTBEAT_CONTROL_SERVICE_URL"


def test_what_vdkcli_takes_from_the_environment_counts_last() -> None:
    environ = {
        "VDK_CONTROL_SERVICE_REST_API_URL": "https://cli",
        "VDK_API_TOKEN": "open-sesame",
        "VDK_API_TOKEN_AUTHORIZATION_URL": "https://login",
        "VDK_CONTROL_HTTP_VERIFY_SSL": "False",
    }
    control = control_of(load("env", environ=environ))
    assert (control.url, control.verify_tls) == ("https://cli", False)
    assert control.auth == ApiTokenSettings(
        url="https://login", token=SecretRef(env="VDK_API_TOKEN")
    )
    environ["CONTROL_API_URL"] = "https://own"
    assert control_of(load("env", environ=environ)).url == "https://own"


def test_no_address_is_told_in_the_keys_of_its_users(legacy: Loader) -> None:
    for configuration in (legacy("JOB_TEAM=x\n"), load("env", environ={"JOB_TEAM": "x"})):
        with pytest.raises(ConfigError, match=r"control\.url is missing") as caught:
            control_of(configuration)
        assert "set CONTROL_API_URL" in str(caught.value.to_try)


def test_a_token_without_an_endpoint_is_refused_and_the_reverse_warned_about(
    legacy: Loader,
) -> None:
    with pytest.raises(ConfigError, match=r"control\.auth\.url is missing") as caught:
        control_of(legacy(URL, {"VDKCLI_OAUTH2_REFRESH_TOKEN": "open-sesame"}))
    assert "VDKCLI_OAUTH2_URI" in str(caught.value.to_try)
    (warning,) = legacy(f"{URL}VDKCLI_OAUTH2_URI=https://login\n").warnings
    assert "does not log in" in warning


def test_a_token_in_the_ini_works_is_warned_about_and_never_shown(legacy: Loader) -> None:
    configuration = legacy(
        f"{URL}VDKCLI_OAUTH2_URI=https://l\nVDKCLI_OAUTH2_REFRESH_TOKEN=se%%same-open\n"
    )
    auth = control_of(configuration).auth
    assert isinstance(auth, ApiTokenSettings)
    assert auth.token.resolve({}, configuration.base_dir).reveal() == "se%same-open"
    (warning,) = configuration.warnings
    assert "in plain" in warning
    shown = f"{configuration.settings()}{configuration.redacted_tables()}{auth}{warning}"
    assert "same-open" not in shown


def test_an_empty_key_does_not_hide_its_fallback(legacy: Loader) -> None:
    control = control_of(
        legacy("CONTROL_API_URL=\nVDK_HEARTBEAT_CONTROL_SERVICE_URL=https://b\nJOB_TEAM=\n")
    )
    assert (control.url, control.team) == ("https://b", "taurus")


def test_an_empty_report_path_means_no_report(legacy: Loader) -> None:
    assert legacy_of(legacy(f"{URL}REPORT_JUNIT_XML_FILE_PATH=\n")).junit_path is None


@pytest.mark.parametrize("word", ["1", "yes", "Y", "true", "T", "on"])
def test_every_word_for_yes_is_yes(legacy: Loader, word: str) -> None:
    settings = legacy_of(legacy(f"{URL}DATABASE_VERIFY_SSL={word}\nCLEAN_UP_ON_FAILURE={word}\n"))
    assert settings.database.verify_ssl
    assert settings.clean_up_on_failure


@pytest.mark.parametrize("key", ["DATABASE_VERIFY_SSL", "CLEAN_UP_ON_FAILURE"])
def test_what_is_neither_yes_nor_no_is_refused(legacy: Loader, key: str) -> None:
    with pytest.raises(ConfigError, match="neither yes nor no") as caught:
        legacy(f"{URL}{key}=maybe\n")
    assert caught.value.key == key


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf", "1.5"])
def test_a_limit_that_is_no_number_of_seconds_is_refused(legacy: Loader, value: str) -> None:
    with pytest.raises(ConfigError, match="not a whole number above zero"):
        legacy(f"{URL}RUN_TEST_TIMEOUT_SECONDS={value}\n")


def test_a_percent_sign_that_breaks_interpolation_says_to_double_it(legacy: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        legacy(f"{URL}DATABASE_PASS=hush%hush\n")
    assert caught.value.key == "DATABASE_PASS"
    assert "twice" in str(caught.value.to_try)
    assert "hush" not in str(caught.value)


def test_interpolation_works_and_its_helper_keys_are_not_unknown(legacy: Loader) -> None:
    configuration = legacy(
        "host=control\nCONTROL_API_URL=https://%(host)s\nJOB_RUN_TEST_CLASS_NAME=EmptyRunTest\n"
    )
    assert control_of(configuration).url == "https://control"
    assert configuration.warnings == ()


def test_unknown_keys_and_sections_are_told(legacy: Loader) -> None:
    warnings = legacy(f"{URL}JOB_TAEM=x\nZZZZ=1\nVDK_COMMAND_NAME=vdk\n[default]\na=1\n").warnings
    assert "did you mean JOB_TEAM?" in warnings[1]
    assert "ZZZZ means nothing here" in warnings[2]
    assert "section [default] is not read" in warnings[0]
    assert "VDK_COMMAND_NAME has no effect" in warnings[3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("JOB_TEAM=x\n", "line 1 is not an ini: a key stands before any section"),
        ("[DEFAULT]\nA=1\na=2\n", "line 3 is not an ini: the key A stands there twice"),
        ("[DEFAULT]\n[a]\n[a]\n", "line 3 is not an ini: the section [a] stands there twice"),
        ("[DEFAULT]\nhush\n", "line 2 is not an ini: a line is neither a key nor a section"),
    ],
)
def test_what_is_no_ini_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "h.ini"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ={})
    assert said in caught.value.what
    assert "hush" not in str(caught.value)


def test_a_missing_ini_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no configuration"):
        load(str(tmp_path / "none.ini"), environ={})


def test_no_run_test_named_gets_the_whole_heartbeat_and_says_so(legacy: Loader) -> None:
    (warning,) = legacy("CONTROL_API_URL=https://control\n").warnings
    assert "the whole heartbeat of pytest-vdkprobe runs" in warning


@pytest.mark.parametrize("name", ["EmptyRunTest", "SimpleRunTest", "SuccessfulRunTest"])
def test_its_own_run_tests_are_the_heartbeat(legacy: Loader, name: str) -> None:
    environ = {"JOB_RUN_TEST_CLASS_NAME": name}
    assert legacy("CONTROL_API_URL=https://control\n", environ).warnings == ()


def test_its_impala_test_is_named_as_not_run(legacy: Loader) -> None:
    environ = {
        "JOB_RUN_TEST_CLASS_NAME": "ImpalaDatabaseRunTest",
        "DATAJOB_DIRECTORY_NAME": "impala",
    }
    warnings = legacy("CONTROL_API_URL=https://control\n", environ).warnings
    assert any("ImpalaDatabaseRunTest is not run" in warning for warning in warnings)
    assert any("DATAJOB_DIRECTORY_NAME=impala" in warning for warning in warnings)


TRINO_TEST = """CONTROL_API_URL=https://control
JOB_RUN_TEST_CLASS_NAME=TrinoDatabaseRunTest
DATAJOB_DIRECTORY_NAME=trino
"""


def test_its_trino_test_becomes_an_entry_of_tables(legacy: Loader) -> None:
    configuration = legacy(
        f"""{TRINO_TEST}
DB_DEFAULT_TYPE=TRINO
DATABASE_HOST=trino
DATABASE_PORT=8443
DATABASE_USER=me
DATABASE_VERIFY_SSL=n
DATABASE_TEST_DB=memory.default
DATABASE_TEST_TABLE_SOURCE=src
DATABASE_TEST_TABLE_LOAD_DESTINATION=load
DATABASE_CONNECTION_TIMEOUT_SECONDS=5
CHECK_TEMPLATE_EXECUTION=no
DATAJOB_DEPLOYMENT_PYTHON_VERSION=3.11
""",
        {"DATABASE_PASS": "hush-hush"},
    )
    assert configuration.warnings == ()
    (entry,) = configuration.sections("tables", dict[str, object])
    called = dict.fromkeys(("source", "view"), "src")
    called |= dict.fromkeys(("insert", "periodic_snapshot", "scd1", "scd1_upsert"), "load")
    assert entry == {
        "name": "heartbeat",
        "database": {
            "kind": "trino",
            "host": "trino",
            "port": 8443,
            "user": "me",
            "catalog": "memory",
            "schema": "default",
            "request_timeout_s": 5.0,
            "password": {"env": "DATABASE_PASS"},
            "tls": {"verify": False},
        },
        "called": called,
        "moves": ["python", "sql"],
        "db_default_type": "TRINO",
        "python_version": "3.11",
    }
    assert configuration.source("tables.0.database.host").endswith("key DATABASE_HOST")


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ("DATABASE_TEST_DB=memory.default\n", "DATABASE_HOST"),
        ("DATABASE_HOST=trino\n", "DATABASE_TEST_DB"),
        ("DATABASE_HOST=trino\nDATABASE_TEST_DB=default\n", "DATABASE_TEST_DB"),
        ("DATABASE_HOST=trino\nDB_DEFAULT_TYPE=IMPALA\n", "DB_DEFAULT_TYPE"),
    ],
)
def test_trino_test_that_cannot_run_is_refused_with_its_key(
    legacy: Loader, keys: str, key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        legacy(TRINO_TEST + keys)
    assert str(caught.value.key).startswith(key)


@pytest.mark.parametrize(
    ("module", "name", "remedy"),
    [
        ("", "SimpelRunTest", "did you mean SimpleRunTest?"),
        ("vdk.internal.heartbeat.ping_frontend_test", "PingFrontTest", "did you mean PingFront"),
    ],
)
def test_a_run_test_that_nobody_here_can_run_is_refused(
    legacy: Loader, module: str, name: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        legacy(
            f"CONTROL_API_URL=https://control\nJOB_RUN_TEST_MODULE_NAME={module}\n"
            f"JOB_RUN_TEST_CLASS_NAME={name}\n"
        )
    assert name in caught.value.what
    assert remedy in str(caught.value.to_try)


def test_a_run_test_of_the_users_own_is_kept_with_the_keys_that_only_it_reads(
    legacy: Loader,
) -> None:
    configuration = legacy(
        "CONTROL_API_URL=https://control\nJOB_RUN_TEST_MODULE_NAME=acme.tests\n"
        "JOB_RUN_TEST_CLASS_NAME=AcmeRunTest\nACME_COLOUR=blue\nACME_PASSWORD=%%x\n"
    )
    (job,) = configuration.sections("jobs", JobSettings)
    assert job.run_test == RunTestSettings(module="acme.tests", class_name="AcmeRunTest")
    kept = configuration.section("legacy", LegacySettings).keys
    assert kept["ACME_COLOUR"] == "blue"
    assert isinstance(kept["ACME_PASSWORD"], SecretRef)
    assert ["ACME_PASSWORD" in warning for warning in configuration.warnings] == [True]


def test_a_run_test_asks_for_any_key_of_the_ini_as_it_ever_did(legacy: Loader) -> None:
    configuration = legacy(
        "CONTROL_API_URL=https://control\nJOB_RUN_TEST_MODULE_NAME=acme.tests\n"
        "JOB_RUN_TEST_CLASS_NAME=AcmeRunTest\nacme_colour=blue\nDATABASE_HOST=db.example.org\n"
        "DATABASE_PORT=5432\nDATABASE_USE_SSL=no\nJOB_TEAM=blue\nDATABASE_PASS=open-sesame\n"
    )
    (job,) = configuration.sections("jobs", JobSettings)
    config = HeartbeatConfig(configuration, job, run_id="0123abcd", job_name="job-0123abcd")
    asked = ["acme_colour", "ACME_COLOUR", "DATABASE_HOST", "DATABASE_PORT", "DATABASE_USE_SSL"]
    asked += ["JOB_TEAM", "DATABASE_PASS", "JOB_RUN_TEST_CLASS_NAME", "CONTROL_API_URL"]
    assert [config.get_value(key) for key in asked] == [
        *("blue", "blue", "db.example.org", "5432", "false"),
        *("blue", "open-sesame", "AcmeRunTest", "https://control"),
    ]
    assert config.get_value("DATABASE_TEST_DB", "mine.own") == "mine.own"
    assert config.get_value("RUN_TEST_TIMEOUT_SECONDS", "7") == "7"
    assert config.get_value("JOB_NAME", is_required=False) is None
    assert [key for key in KEYS if key not in ATTRIBUTES] == ["VDK_COMMAND_NAME"]


def test_the_look_at_a_frontend_is_an_endpoint_and_no_job(legacy: Loader) -> None:
    configuration = legacy(
        "CONTROL_API_URL=https://control\nJOB_RUN_TEST_CLASS_NAME=PingFrontendTest\n"
    )
    (endpoint,) = configuration.sections("endpoints", EndpointTasksSettings)
    assert (endpoint.url, endpoint.tasks) == ("https://control", 1)
    assert endpoint.expect.status == (200, 202, 204)
    assert "jobs" not in configuration


def test_a_job_folder_that_it_does_not_ship_needs_a_parent(legacy: Loader) -> None:
    with pytest.raises(ConfigError, match="ships no job simpel") as caught:
        legacy(f"{URL}DATAJOB_DIRECTORY_NAME=simpel\n")
    assert caught.value.to_try == "did you mean simple?"


def test_names_keep_telling_op_ids_apart_when_they_are_cut(legacy: Loader) -> None:
    long = [f"a_very_long_user_name_170000000{second}" for second in range(3)]
    names = [job_name(op_id) for op_id in [*long, "Me_1", "x" * 200, "ÄÖ"]]
    assert len(set(names)) == len(names)
    assert all(NAME_RULE.fullmatch(name) for name in names)
    assert names[3] == "vdk-heartbeat-data-job-me-1"
    job = job_of(legacy(f"{URL}VDK_HEARTBEAT_OP_ID=Me_1\n"))
    assert (job.name, job.exact_name) == (names[3], True)


def test_without_an_op_id_the_run_makes_the_name_unique(legacy: Loader) -> None:
    job = job_of(legacy(URL))
    assert job.remote_name("7f3a90c2") == "vdk-heartbeat-data-job-7f3a90c2"


INGESTION = f"""{URL}DATAJOB_DIRECTORY_NAME=database_ingestion
VDK_HEARTBEAT_INGEST_TARGET=https://ingest/events
VDK_HEARTBEAT_INGEST_DESTINATION_TABLE=d
VDK_HEARTBEAT_INGEST_TIMEOUT=9
DATABASE_HOST=trino
DATABASE_USE_SSL=n
DATABASE_TEST_DB=memory.default
"""


def ends_of(configuration: Configuration) -> tuple[dict[str, object], dict[str, object]]:
    """Target and reader of the one route."""
    found = [
        configuration.table(("routes", "0", side), dict[str, object])
        for side in ("target", "reader")
    ]
    return found[0], found[1]


def test_its_ingestion_job_becomes_a_route_by_a_job(legacy: Loader) -> None:
    configuration = legacy(INGESTION)
    assert configuration.warnings == ()
    assert find_problems(configuration, need_control=True)[0] == []
    (route,) = configuration.sections("routes", RouteSettings)
    assert (route.ways, route.within_s, route.late_s) == (("job",), 9.0, 0.0)
    target, reader = ends_of(configuration)
    assert target == {"kind": "http", "url": "https://ingest/events", "table": "d_{run}"}
    assert reader == {
        "kind": "trino",
        "host": "trino",
        "port": 8080,
        "table": "memory.default.d_{run}",
        "create": True,
    }
    assert configuration.source("routes.0.reader.table").endswith(
        "key VDK_HEARTBEAT_INGEST_DESTINATION_TABLE"
    )


@pytest.mark.parametrize(
    ("more", "target", "reader"),
    [
        (
            "VDK_HEARTBEAT_INGEST_METHOD=POSTGRES\nDB_DEFAULT_TYPE=POSTGRES\nDATABASE_USER=me\n",
            {"kind": "postgres", "port": 5432, "database": "memory", "table": "default.d_{run}"},
            {"kind": "postgres", "create": True},
        ),
        ("VDK_HEARTBEAT_INGEST_METHOD=trino\n", {"kind": "trino", "create": True}, {}),
        (
            "VDK_HEARTBEAT_INGEST_METHOD=kafka\nVDK_HEARTBEAT_INGEST_TARGET=a:1, b:2\n",
            {"kind": "kafka", "servers": ["a:1", "b:2"], "topic": "d"},
            {"kind": "trino", "table": "memory.default.d"},
        ),
        ("VDK_HEARTBEAT_INGEST_METHOD=file\n", {"kind": "file"}, {"kind": "file"}),
    ],
    ids=["postgres", "trino", "kafka", "file"],
)
def test_every_ingestion_method_has_a_target(
    more: str, target: dict[str, object], reader: dict[str, object], legacy: Loader
) -> None:
    text = INGESTION
    if "INGEST_TARGET" in more:
        text = text.replace("VDK_HEARTBEAT_INGEST_TARGET=https://ingest/events\n", "")
    configuration = legacy(text + more)
    assert find_problems(configuration, need_control=True)[0] == []
    ends = ends_of(configuration)
    assert ends[0].items() >= target.items()
    assert ends[1].items() >= reader.items()


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("VDK_HEARTBEAT_INGEST_METHOD=pigeon", "VDK_HEARTBEAT_INGEST_METHOD"),
        ("VDK_HEARTBEAT_INGEST_TARGET=datasource", "VDK_HEARTBEAT_INGEST_TARGET"),
        ("DATABASE_HOST=", "DATABASE_HOST"),
        ("DATABASE_TEST_DB=", "DATABASE_TEST_DB"),
        ("DB_DEFAULT_TYPE=IMPALA", "DB_DEFAULT_TYPE"),
    ],
)
def test_ingestion_that_can_not_be_checked_is_refused_where_it_is_meant_and_told_elsewhere(
    line: str, key: str, legacy: Loader
) -> None:
    name = line.partition("=")[0]
    kept = "".join(f"{each}\n" for each in INGESTION.splitlines() if not each.startswith(name))
    with pytest.raises(ConfigError) as caught:
        legacy(kept + line + "\n")
    assert key in str(caught.value)
    configuration = legacy(kept.replace("database_ingestion", "simple") + line + "\n")
    assert "routes" not in configuration
    assert any("ingestion is not checked" in warning for warning in configuration.warnings)
