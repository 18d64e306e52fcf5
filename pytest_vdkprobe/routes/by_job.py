"""What a data job has to be told so that it sends into a route's target with VDK's ingestion.

Most of it follows from the target: its kind is the method, its address and table are what VDK is
given with each record, and where VDK's plugin takes the address from vdk's own settings, these are
written into the job's config.ini. Secrets are not: that file is uploaded. The platform has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pytest_vdkprobe.config.entry_names import plain
from pytest_vdkprobe.connections.kafka_topics import LARGEST_BYTES
from pytest_vdkprobe.connections.vdk_settings import of_postgres, of_trino
from pytest_vdkprobe.control.settings import NoAuthSettings
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.names import check_name
from pytest_vdkprobe.jobs.settings import refuse_secrets
from pytest_vdkprobe.routes.settings import JOB, ByJob, RouteSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_vdkprobe.accounting.outcomes import SendResult
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.records import ColumnType, Record
    from pytest_vdkprobe.targets.target import Target
    from pytest_vdkprobe.waiting import Deadline

PLUGINS = {
    "file": "vdk-ingest-file",
    "http": "vdk-ingest-http",
    "kafka": "the job's own kafka_ingestion.py",
    "postgres": "vdk-postgres",
    "trino": "vdk-trino",
}
"""Whose ingestion each kind of target is sent to with."""
MADE_HERE = ("kafka", "postgres", "trino")
"""Targets of which the probe makes the place itself, if it is to be made, before the job sends."""
FLAT_ONLY = {
    "trino": "vdk-trino inserts every value as a number, a truth value or a text, and decimals as "
    "floats; Trino refuses such texts for dates and times"
}
"""Methods that can't send the profile `typed`, and why."""


LARGE = {"max_request_size": LARGEST_BYTES}
"""As our own target: the longest records are larger than Kafka's usual megabyte."""


class Instructions(NamedTuple):
    """What the job is told."""

    method: str
    target: str | None
    table: str | None
    vdk: Mapping[str, Any]
    read_back: bool
    """Whether the job reads the file itself that it has written: nobody else can."""
    kafka: Mapping[str, Any]
    """Options of the job's Kafka producer."""
    requirements: tuple[str, ...]
    """Packages that the job installs."""


def instructions(settings: RouteSettings, target: Any, job: ByJob) -> Instructions:
    """For a route with this typed `target`; `job` has its placeholders filled in."""
    kind = settings.target.kind
    place, table, vdk = _SENDING.get(kind, _of_nobody)(target)
    method = (job.method or kind).lower()
    return Instructions(
        method,
        job.target or place,
        job.table or table,
        {**vdk, **job.vdk},
        kind == settings.reader.kind == "file",
        {**(LARGE if kind == "kafka" else {}), **job.kafka},
        ("kafka-python",) if method == "kafka" else (),
    )


def job_name(settings: RouteSettings) -> str:
    """What the job of a route is called, before the run's id is put behind it."""
    if settings.job.name is not None:
        return settings.job.name
    return "ingest-" + plain(settings.name).replace("_", "-")


def job_names(configuration: Configuration) -> list[tuple[str, str]]:
    """What each route's job is called, and the key that says so."""
    return [
        (job_name(route), f"routes.{index}.{'name' if route.job.name is None else 'job.name'}")
        for index, route in enumerate(configuration.sections("routes", RouteSettings))
        if JOB in route.ways
    ]


def _of_file(target: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    # vdk-ingest-file puts the ending behind whatever it is given.
    return str(target.path).removesuffix(".json"), "records", {}


def _of_http(target: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    return target.url, target.table, {}


def _of_kafka(target: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    return ",".join(target.servers), target.topic, {}


def _of_trino(target: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    return None, target.table, of_trino(target)


def _of_postgres(target: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    return None, target.table, of_postgres(target)


def _of_nobody(_target: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    """A kind of a user's own: what the job is told is what the route says of it."""
    return None, None, {}


_SENDING = {
    "file": _of_file,
    "http": _of_http,
    "kafka": _of_kafka,
    "trino": _of_trino,
    "postgres": _of_postgres,
}


def problems(
    settings: RouteSettings, target: Any, *, file: str | None, key: str
) -> list[ConfigError]:
    """What keeps a job from sending into this target with VDK's ingestion."""
    found: list[ConfigError] = []

    def wrong(what: str, field: str, value: object, to_try: str) -> None:
        found.append(ConfigError(what, file=file, key=f"{key}.{field}", value=value, to_try=to_try))

    kind, job = settings.target.kind, settings.job
    with_key = f"{key}.{'name' if job.name is None else 'job.name'}"
    try:
        check_name(job_name(settings), file=file, key=with_key)
    except ConfigError as problem:
        found.append(problem)
    found += refuse_secrets(job.vdk, file=file, key=f"{key}.job.vdk")
    if kind not in PLUGINS and job.method is None:
        wrong(
            "By which method of VDK a job sends into this kind of target is not known.",
            "job.method",
            None,
            f'write job = {{ method = "..." }} if the platform\'s VDK has a plugin for {kind}',
        )
    method = (job.method or kind).lower()
    for number, name in enumerate(settings.profiles_of(JOB)):
        if name == "typed" and method in FLAT_ONLY:
            field = "profiles" if job.profiles is None else "job.profiles"
            wrong(
                f"VDK's ingestion by {method} can't carry the profile typed: {FLAT_ONLY[method]}.",
                f"{field}.{number}",
                name,
                'write job = { profiles = ["small"] }',
            )
    found += refuse_secrets(job.kafka, file=file, key=f"{key}.job.kafka")
    secured = [name for name in ("tls", "login") if getattr(target, name, None) is not None]
    if kind == "kafka" and secured and job.path is None and "security_protocol" not in job.kafka:
        wrong(
            "The job's own producer is not told of the brokers' TLS and login.",
            f"target.{secured[0]}",
            "...",
            'write job = { kafka = { security_protocol = "SSL", ssl_cafile = "PATH THERE" } }; '
            "a password has to come from the job's secrets, in a job of your own: job.path",
        )
    auth = getattr(target, "auth", NoAuthSettings())
    logins = [] if isinstance(auth, NoAuthSettings) else ["auth"]
    logins += ["secret_headers"] if getattr(target, "secret_headers", None) else []
    if method == "http" and job.target is None and logins:
        wrong(
            "VDK's http ingestion sends no login, so a job's records would all be refused.",
            f"target.{logins[0]}",
            "...",
            "give the job an address that takes records without: job.target; or leave the way out",
        )
    return found


class PlaceOnly:
    """The target of a passage whose records a job sends: its place is made and removed here."""

    def __init__(self, target: Target | None) -> None:
        self._target = target
        self.batch = 1

    @property
    def losses(self) -> Mapping[str, str]:
        """What the place can't hold."""
        return self._target.losses if self._target is not None else {}

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Find or create the place."""
        if self._target is not None:
            self._target.prepare(columns)

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Nobody calls this: a job sends."""
        raise RuntimeError("a job sends these records")

    def remove(self) -> None:
        """Delete the place if it was created here."""
        if self._target is not None:
            self._target.remove()

    def close(self) -> None:
        """Let go of connections."""
        if self._target is not None:
            self._target.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
