"""The YAML configuration of the pipeline that this one replaces, as tables of a native one.

Its keys are what users' files hold; where its program fetched secrets from the Kubernetes API, ours
reads them from the folder in which Kubernetes mounts them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.config.origin import Origin
from pytest_vdkprobe.config.schema import Fitting
from pytest_vdkprobe.errors import ConfigError

LARGEST_BYTES = 1024 * 1024
SHORT_PERIOD_S = 40
"""Below this the pipeline before warned, and so does this one."""


class Monitor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How websites are checked."""

    websites_per_container: int
    timeout: float
    check_periodicity: float


class Kafka(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The broker. `security_protocol` is ours: the pipeline before spoke SSL only."""

    service_uri: str
    topic_name: str
    credentials_secret: str = ""
    credentials_namespace: str = ""
    secrets_storage_folder: FilePath | None = None
    security_protocol: Literal["SSL", "PLAINTEXT"] = "SSL"


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The database. `sslmode` is ours: the pipeline before had `require` only."""

    host: str
    port: int
    database: str
    credentials_secret: str = ""
    credentials_namespace: str = ""
    sslmode: Literal["disable", "require", "verify-full"] = "require"


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "monitor": Monitor,
    "kafka": Kafka,
    "database": Database,
}


class SeedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What such a file comes to."""

    pipeline: dict[str, Any]
    """The section [pipeline], credentials left out."""
    secrets: str | None
    """The folder that the file names for secrets."""
    secret_names: dict[str, str]
    """What the secrets of `kafka` and `database` are called."""
    warnings: tuple[str, ...]


def read_seed_yaml(path: Path, name: str) -> SeedFile:
    """The file's settings. Raises ConfigError for whatever in it can't be used."""
    raw = _parsed(path, name)
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{name} holds no settings.",
            file=name,
            expected="the sections monitor, kafka and database",
        )
    for section in raw:
        if section not in SECTIONS:
            raise ConfigError(
                f"There is no section {section}.",
                file=name,
                key=str(section),
                to_try=did_you_mean(str(section), SECTIONS),
            )
    fitting = Fitting(lambda _key: Origin(name, "file"), path.parent)
    found = {
        section: fitting.convert(raw.get(section) or {}, kind, (section,))
        for section, kind in SECTIONS.items()
    }
    monitor, kafka, database = (found[section] for section in SECTIONS)
    assert isinstance(monitor, Monitor)  # noqa: S101 - as SECTIONS says
    assert isinstance(kafka, Kafka)  # noqa: S101 - as above
    assert isinstance(database, Database)  # noqa: S101 - as above
    warnings = []
    if monitor.check_periodicity < SHORT_PERIOD_S:
        warnings.append(
            f"{name}: monitor.check_periodicity is {monitor.check_periodicity:g} s: websites may "
            f"not like to be asked more often than every {SHORT_PERIOD_S} s."
        )
    return SeedFile(
        pipeline=_native(monitor, kafka, database),
        secrets=kafka.secrets_storage_folder,
        secret_names={"kafka": kafka.credentials_secret, "database": database.credentials_secret},
        warnings=tuple(warnings),
    )


def _native(monitor: Monitor, kafka: Kafka, database: Database) -> dict[str, Any]:
    server: dict[str, Any] = {
        "host": database.host,
        "port": database.port,
        "database": database.database,
    }
    if database.sslmode != "disable":
        server["tls"] = {} if database.sslmode == "verify-full" else {"verify": False}
    brokers: dict[str, Any] = {
        "servers": [part.strip() for part in kafka.service_uri.split(",")],
        "topic": kafka.topic_name,
    }
    if kafka.security_protocol == "SSL":
        brokers["tls"] = {}
    return {
        "sites_per_producer": monitor.websites_per_container,
        "timeout_s": monitor.timeout,
        "check_every_s": monitor.check_periodicity,
        "kafka": brokers,
        "database": server,
    }


def _parsed(path: Path, name: str) -> object:
    import yaml  # noqa: PLC0415 - 20 ms, for files of this kind only

    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
        if len(text) > LARGEST_BYTES:
            raise ConfigError(f"{name} is no configuration: it is too large.", file=name)
        return yaml.safe_load(text)
    except OSError as exc:
        raise ConfigError(
            f"The configuration {name} can't be read: {exc.strerror or exc}.",
            file=name,
            to_try="check the path",
        ) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        # The text of the cause quotes the line, and that may hold what is secret.
        mark = getattr(exc, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or type(exc).__name__
        raise ConfigError(
            f"{name} is no YAML{where}: {problem}.",
            file=name,
            to_try="lines of one level start in the same column; texts with : or # need quotes",
        ) from None
