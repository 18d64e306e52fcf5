"""vdk-heartbeat's ingestion keys as a route: what its job `database_ingestion` did, and more.

That job sent one row and asked the database for it. Here a data job sends records by the same
method, into a table whose name begins as the one that the keys name, and each is accounted for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_vdkprobe.config.heartbeat_keys import HeartbeatKeys

METHOD = "VDK_HEARTBEAT_INGEST_METHOD"
TARGET = "VDK_HEARTBEAT_INGEST_TARGET"
TABLE = "VDK_HEARTBEAT_INGEST_DESTINATION_TABLE"
TIMEOUT = "VDK_HEARTBEAT_INGEST_TIMEOUT"
JOB = "database_ingestion"
METHODS = ("http", "file", "trino", "postgres", "kafka")
DATABASES = ("trino", "postgres")
DEFAULT_TABLE = "vdk_heartbeat_ingestion_test"
TIMEOUT_S = 300
RECORDS = 100
POSTGRES_PORT = 5432
JOB_SETTINGS = (
    ("vdk_version", "VDK_HEARTBEAT_DEPLOY_JOB_VDK_VERSION"),
    ("python_version", "DATAJOB_DEPLOYMENT_PYTHON_VERSION"),
)

Put = Callable[[str, object, str | None], None]


class IngestionRoute:
    """Puts the route into the tables, if the keys ask for one and say enough.

    `put(place, value, key)` sets one setting; `database_end(place, kind)` those of DATABASE_*.
    """

    def __init__(
        self, keys: HeartbeatKeys, put: Put, database_end: Callable[[str, str], None]
    ) -> None:
        self._keys = keys
        self._put = put
        self._database_end = database_end
        parent = keys.text("DATAJOB_DIRECTORY_PARENT")
        self._meant = parent is None and keys.text("DATAJOB_DIRECTORY_NAME") == JOB
        """Whether the job that is named does just this: then a gap is an error, else a warning."""

    def add(self) -> bool:
        """Whether there is a route now."""
        keys = self._keys
        if not self._meant and not any(keys.text(key) for key in (METHOD, TARGET, TABLE)):
            return False
        method = (keys.text(METHOD) or "http").lower()
        why = self._unusable(method)
        if why is not None:
            what, key, expected = why
            if self._meant:
                raise keys.error(what, key, expected=expected)
            keys.warnings.append(f"{what} So ingestion is not checked.")
            return False
        self._add(method)
        return True

    @property
    def _database(self) -> str:
        return (self._keys.text("DB_DEFAULT_TYPE") or "trino").lower()

    def _unusable(self, method: str) -> tuple[str, str, str] | None:
        """What is missing or can't be done: the text, the key, what is expected."""
        target = self._keys.text(TARGET) or ""
        if method not in METHODS:
            what = f"By the ingestion method {method} nothing here sends."
            return what, METHOD, f"one of {', '.join(METHODS)}"
        if method == "http" and not target.startswith(("http://", "https://")):
            what = "VDK's http ingestion posts to an address, and the target is none."
            return what, TARGET, "https://HOST/PATH"
        if method == "kafka" and ":" not in target:
            return "The target names no broker of Kafka.", TARGET, "HOST:PORT[,HOST:PORT ...]"
        return None if method == "file" else self._unreadable(method)

    def _unreadable(self, method: str) -> tuple[str, str, str] | None:
        """The same, of the database that is to be read."""
        keys = self._keys
        if keys.text("DATABASE_HOST") is None:
            what = "Where ingested records can be read back is not said."
            return what, "DATABASE_HOST", "the host of a Trino or PostgreSQL"
        if self._database not in DATABASES or (method in DATABASES and method != self._database):
            what = f"What {method} ingests can't be read back from {self._database}."
            return what, "DB_DEFAULT_TYPE", "TRINO or POSTGRES"
        catalog, _, schema = (keys.text("DATABASE_TEST_DB") or "").partition(".")
        if not catalog or (self._database == "trino" and not schema):
            what = "Where in the database ingested records land is not said."
            return what, "DATABASE_TEST_DB", "CATALOG.SCHEMA, or for PostgreSQL DATABASE[.SCHEMA]"
        return None

    def _add(self, method: str) -> None:
        keys, put = self._keys, self._put
        named = METHOD if keys.text(METHOD) else None
        put("routes.0.name", "heartbeat", named)
        put("routes.0.ways", ["job"], named)
        put("routes.0.records", RECORDS, None)
        # There, a row had this long to come; here, what has not come by then is lost.
        put("routes.0.within_s", float(keys.number(TIMEOUT, default=TIMEOUT_S)), TIMEOUT)
        put("routes.0.late_s", 0.0, None)
        for setting, key in JOB_SETTINGS:
            put(f"routes.0.job.{setting}", keys.text(key), key)
        table = f"{keys.text(TABLE) or DEFAULT_TABLE}_{{run}}"
        put("routes.0.target.kind", method, named)
        if method == "file":
            for end in ("target", "reader"):
                put(f"routes.0.{end}.kind", "file", named)
                put(f"routes.0.{end}.path", f"{keys.text(TARGET) or table}.json", TARGET)
            return
        if method == "kafka":
            # Nobody tells a platform to land a topic in a table of ours: it has its own for it.
            self._end("reader", keys.text(TABLE) or DEFAULT_TABLE, create=False)
        else:
            self._end("reader", table)
        if method == "http":
            put("routes.0.target.url", keys.text(TARGET), TARGET)
            put("routes.0.target.table", table, TABLE)
        elif method == "kafka":
            servers = [each.strip() for each in (keys.text(TARGET) or "").split(",")]
            put("routes.0.target.servers", servers, TARGET)
            put("routes.0.target.topic", keys.text(TABLE) or DEFAULT_TABLE, TABLE)
        else:
            self._end("target", table)

    def _end(self, side: str, table: str, *, create: bool = True) -> None:
        """One end in the database; its table is made for the run, or there already."""
        put, place = self._put, f"routes.0.{side}"
        self._database_end(place, self._database)
        catalog, _, schema = (self._keys.text("DATABASE_TEST_DB") or "").partition(".")
        if self._database == "postgres":
            put(f"{place}.database", catalog, "DATABASE_TEST_DB")
            if self._keys.text("DATABASE_PORT") is None:
                put(f"{place}.port", POSTGRES_PORT, None)
        else:
            schema = f"{catalog}.{schema}"
        put(f"{place}.table", f"{schema}.{table}" if schema else table, TABLE)
        if create:
            put(f"{place}.create", True, None)
