"""What a pipeline is configured by, and what is said of what it can't use."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipeline.configuration import load_pipeline
from pytest_vdkprobe.pipeline.schema import address_of
from pytest_vdkprobe.pipeline.settings import PipelineDatabase
from pytest_vdkprobe.pipelines.workload import toml

SEED = Path(__file__).parents[2] / "data" / "pipeline" / "seed.yaml"
NATIVE = """
[pipeline]
kafka = { servers = ["kafka.example.org:9092"] }
database = { host = "postgres.example.org", user = "pipeline", database = "monitoring" }
"""


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Secrets as Kubernetes mounts them, each in a folder of its name."""
    folder = tmp_path / "secrets"
    for name, keys in {
        "kafka-credentials": ("ca_certificate", "access_certificate", "access_key"),
        "postgres-credentials": ("username", "password"),
    }.items():
        (folder / name).mkdir(parents=True)
        for key in keys:
            (folder / name / key).write_text(f"the {key}\n")
    return folder


def test_the_yaml_of_the_pipeline_before_is_read(secrets: Path) -> None:
    settings = load_pipeline(str(SEED), secrets=str(secrets), environ={}).settings
    assert settings.sites_per_producer == 3
    assert (settings.timeout_s, settings.check_every_s) == (10, 60)
    assert settings.kafka.servers == ("kafka.example.org:12835",)
    assert (settings.kafka.topic, settings.kafka.protocol) == ("website_availability", "SSL")
    assert settings.kafka.group == "website_monitoring_consumer"
    assert settings.kafka.tls is not None
    assert settings.kafka.tls.key is not None
    assert settings.kafka.tls.key.file == str(secrets / "kafka-credentials" / "access_key")
    database = settings.database
    assert (database.place, database.schema) == (
        "postgres.example.org:12833/monitoring",
        "website_availability",
    )
    assert database.user == "the username"
    assert database.password is not None
    assert database.password.resolve().reveal() == "the password"
    assert database.tls is not None
    assert not database.tls.verify, "sslmode=require, as it was"


def test_secrets_may_lie_in_one_folder(secrets: Path) -> None:
    for path in [*secrets.glob("*/*")]:
        path.rename(secrets / path.name)
    settings = load_pipeline(str(SEED), secrets=str(secrets), environ={}).settings
    assert settings.database.user == "the username"


def test_credentials_come_from_the_environment_too(secrets: Path) -> None:
    environ = {
        "VDKPROBE_PIPELINE__DATABASE__USER": "somebody",
        "VDKPROBE_PIPELINE__DATABASE__PASSWORD": "from the environment",
    }
    settings = load_pipeline(str(SEED), secrets=str(secrets), environ=environ).settings
    assert settings.database.user == "somebody"
    assert settings.database.password is not None
    assert settings.database.password.resolve(environ).reveal() == "from the environment"


def test_native_configuration_needs_two_places_only(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(NATIVE)
    settings = load_pipeline(str(file), environ={}).settings
    assert settings.kafka.dead_letters == "website_availability.dead"
    assert settings.database.table("t") == '"website_availability"."t"'


def yaml_of(tmp_path: Path, old: str, new: str) -> str:
    text = SEED.read_text()
    assert old in text
    file = tmp_path / "config.yaml"
    file.write_text(text.replace(old, new))
    return str(file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("websites_per_container", "websites_per_contaner", "did you mean websites_per_container?"),
        ("monitor:", "monitoring:", "did you mean monitor?"),
        ("  timeout: 10\n", "", "monitor.timeout is missing"),
        ("timeout: 10", "timeout: soon", "is text, not a finite number"),
        ("  timeout: 10", " timeout: 10", "no YAML in line"),
        ("timeout: 10", "timeout: !!python/object:os.system 1", "no YAML in line 4"),
        ("timeout: 10", "timeout: 0", "must be more than 0"),
        ("websites_per_container: 3", "websites_per_container: 0", "must be more than 0"),
        ("kafka.example.org:12835", "https://kafka.example.org", "is no HOST:PORT"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, secrets: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load_pipeline(yaml_of(tmp_path, old, new), secrets=str(secrets), environ={})
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("missing.yaml", None, "can't be read"),
        ("empty.yaml", "", "holds no settings"),
        ("pipeline.toml", "[control]\n", "has no section [pipeline]"),
        ("pipeline.json", "{}", "is not a configuration"),
        ("p.toml", NATIVE.replace("servers", "server"), "did you mean servers?"),
        ("p.toml", NATIVE.replace('user = "pipeline", ', ""), "database.user is missing"),
        ("p.toml", NATIVE.replace("user", 'password = "x", user'), "is written out"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_pipeline(str(tmp_path / name), environ={})
    assert said in str(raised.value)


def test_missing_folder_of_secrets_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        load_pipeline(str(SEED), secrets=str(tmp_path / "nowhere"), environ={})


def test_short_periods_are_warned_of(tmp_path: Path, secrets: Path) -> None:
    spec = yaml_of(tmp_path, "check_periodicity: 60", "check_periodicity: 39")
    loaded = load_pipeline(spec, secrets=str(secrets), environ={})
    assert "monitor.check_periodicity is 39 s" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("schema", "pg_mine", "keeps 'pg_mine' for itself"),
        ("schema", "é" * 32, "must be a name of 1 to 63 bytes"),
        ("schema", "a\nb", "without control characters"),
        ("role", "public", "keeps 'public' for itself"),
        ("role", "x\0", "without control characters"),
        ("role", "x" * 64, "must be a name of 1 to 63 bytes"),
    ],
)
def test_what_postgresql_takes_for_no_name_is_told_before_anything_is_done(
    tmp_path: Path, place: str, value: str, said: str
) -> None:
    values = {"schema": "mine", "role": "mine", place: value}
    file = tmp_path / "pipeline.toml"
    file.write_text(
        '[pipeline]\nkafka = { servers = ["k:1"] }\ndatabase = { host = "h", user = "u",'
        f' database = "d", schema = {toml(values["schema"])} }}\n'
        f"role = {{ name = {toml(values['role'])} }}\n"
    )
    with pytest.raises(ConfigError, match=said) as raised:
        load_pipeline(str(file), environ={})
    key = "pipeline.role.name" if place == "role" else "pipeline.database.schema"
    assert raised.value.key == key
    assert raised.value.file == str(file)
    assert "Seen:" in str(raised.value)


@pytest.mark.parametrize("host", ["::1", "/var/run/postgresql", "db.example.org"])
def test_a_host_of_any_kind_can_be_migrated(host: str) -> None:
    from sqlalchemy import make_url
    from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

    database = PipelineDatabase(host=host, user="m@e", database="d/?#")
    address = address_of(PostgresDatabase(database), base_dir=Path())
    _, found = PGDialect_psycopg2().create_connect_args(make_url(address.url))  # type: ignore[no-untyped-call]
    assert (found["host"], found["port"]) == (host, "5432")
    assert (found["user"], found["dbname"]) == ("m@e", "d/?#")
