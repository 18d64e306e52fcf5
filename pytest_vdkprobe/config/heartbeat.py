"""A vdk-heartbeat configuration, ini or environment, as native tables.

`pytest --vdk-config=heartbeat.ini` is to work with the file as it is. What it says in other words
is translated; what nothing here can do is told, and refused where going on would check something
else than its author wrote.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from pytest_vdkprobe.config.heartbeat_keys import CLI_KEYS, KEYS, HeartbeatKeys
from pytest_vdkprobe.config.heartbeat_route import JOB as INGESTION_JOB
from pytest_vdkprobe.config.heartbeat_route import IngestionRoute
from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.config.origin import Key, Origin, as_key
from pytest_vdkprobe.config.printing import holds_credentials, is_secret_name

NAME_PREFIX = "vdk-heartbeat-data-job"
LONGEST_NAME = 45
"""What vdk-heartbeat cuts its names to, and vdkcli takes."""
TEAM = "taurus"
RUN_TEST_TIMEOUT_S = 1200
SHORTEST_RUN_S = 1800.0
SHIPPED_JOBS = ("database_ingestion", "empty", "impala", "simple", "trino")
HEARTBEATS = ("EmptyRunTest", "SimpleRunTest", "SuccessfulRunTest")
"""Its run tests that our heartbeat does the work of, and more."""
TRINO_TEST = "TrinoDatabaseRunTest"
"""The one of its database tests that works: our scenario `tables` does its work, and more."""
DATABASE_TESTS = ("ImpalaDatabaseHeartbeatTest", "ImpalaDatabaseRunTest")
TRINO_PORT = 8080
JOB_KEYS = (
    ("vdk_version", "VDK_HEARTBEAT_DEPLOY_JOB_VDK_VERSION"),
    ("python_version", "DATAJOB_DEPLOYMENT_PYTHON_VERSION"),
    ("db_default_type", "DB_DEFAULT_TYPE"),
)
"""What it says of every job that it deploys."""
FRONTEND_TEST = "PingFrontendTest"
DEFAULT_CLASS = "ImpalaDatabaseHeartbeatTest"
SHIPPED_MODULES = ("vdk.internal.heartbeat", "taurus.vdk.heartbeat")


class Heartbeat:
    """The tables that a vdk-heartbeat configuration amounts to, and the key behind each setting."""

    def __init__(self, keys: HeartbeatKeys) -> None:
        self.tables: dict[str, Any] = {}
        self.origins: dict[Key, Origin] = {}
        where = (
            f"in the environment or in [DEFAULT] of {keys.path}" if keys.path else "and export it"
        )
        self.hints = {
            ("control", "url"): f"set CONTROL_API_URL {where}",
            ("control", "auth", "url"): f"set VDKCLI_OAUTH2_URI {where}, or no token",
        }
        self.warnings = keys.warnings
        self._keys = keys
        self._unknown()
        self._control()
        self._ingests = IngestionRoute(keys, self._set, self._database_end).add()
        self._job()
        self._run()
        self._run_test()
        self._legacy()
        if keys.is_set("VDK_COMMAND_NAME"):
            self.warnings.append("VDK_COMMAND_NAME has no effect: no command is started here.")
        legacy = self.tables.get("legacy", {})
        if legacy.get("check_manual_job_execution") is False:
            self.warnings.append(
                "CHECK_MANUAL_JOB_EXECUTION=false has no effect: a manual execution takes "
                "seconds here, and other steps rest on it."
            )
        if legacy.get("clean_up_on_failure") is False:
            self.warnings.append(
                "CLEAN_UP_ON_FAILURE=false has no effect: what a run creates is removed. The "
                "requests and answers of a failing step are kept in a file, named at the end."
            )

    def _set(self, key: str, value: object, name: str | None) -> None:
        """Put `value` at `key`, as the one that vdk-heartbeat's key `name` amounts to."""
        if value is None:
            return
        place = as_key(key)
        table: Any = self.tables
        for part, following in pairwise(place):
            if isinstance(table, list):
                table = table[int(part)]
            else:
                table = table.setdefault(part, [{}] if following == "0" else {})
        table[place[-1]] = value
        self.origins[place] = self._keys.origin(name)

    def _own_run_test(self) -> tuple[str, str] | None:
        """The module and class of a run test of the user's own."""
        module = self._keys.text("JOB_RUN_TEST_MODULE_NAME")
        if module is None or module.startswith(SHIPPED_MODULES):
            return None
        return module, self._keys.text("JOB_RUN_TEST_CLASS_NAME") or DEFAULT_CLASS

    def _unknown(self) -> None:
        """Keys that nobody knows are told, unless a run test of the user's own may read them."""
        keys = self._keys
        if self._own_run_test() is None:
            self.warnings += keys.unknown.values()
            return
        for name in keys.unknown:
            secret = is_secret_name((name.lower(),)) or holds_credentials(keys.text(name) or "")
            value = keys.secret(name) if secret else keys.text(name)
            if value is not None:
                self.tables.setdefault("legacy", {}).setdefault("keys", {})[name] = value
                self.origins["legacy", "keys", name] = keys.origin(name)

    def _control(self) -> None:
        keys = self._keys
        url_key = keys.which("CONTROL_API_URL", "VDK_HEARTBEAT_CONTROL_SERVICE_URL", CLI_KEYS[0])
        if url_key is not None:
            self._set("control.url", keys.text(url_key), url_key)
        team_key = keys.which("JOB_TEAM")
        self._set("control.team", keys.text("JOB_TEAM") or TEAM, team_key)
        if keys.text(CLI_KEYS[3]):
            self._set("control.verify_tls", keys.yes(CLI_KEYS[3], default=True), CLI_KEYS[3])
        token_names = ("VDKCLI_OAUTH2_REFRESH_TOKEN", "VDK_HEARTBEAT_API_TOKEN", CLI_KEYS[1])
        address_names = ("VDKCLI_OAUTH2_URI", "VDK_HEARTBEAT_API_TOKEN_AUTH_URL", CLI_KEYS[2])
        token_key, address_key = keys.which(*token_names), keys.which(*address_names)
        if token_key is None:
            if address_key is not None:
                self.warnings.append(
                    f"{address_key} is set, but no token is: the run does not log in. Set"
                    f" {token_names[0]} in the environment if it should."
                )
            return
        self._set("control.auth.kind", "api-token", token_key)
        if address_key is not None:
            self._set("control.auth.url", keys.text(address_key), address_key)
        self._set("control.auth.token", keys.secret(token_key), token_key)

    def _job(self) -> None:
        keys = self._keys
        named, op_id = keys.text("JOB_NAME"), keys.text("VDK_HEARTBEAT_OP_ID")
        if named or op_id:
            name = named or job_name(op_id or "")
            self._set("jobs.0.name", name, "JOB_NAME" if named else "VDK_HEARTBEAT_OP_ID")
            self._set("jobs.0.exact_name", True, "JOB_NAME" if named else "VDK_HEARTBEAT_OP_ID")
        else:
            # The run's id is put behind it, where vdk-heartbeat has its user and time: shorter,
            # the same in all of xdist's workers, and never cut off.
            self._set("jobs.0.name", NAME_PREFIX, None)
        self._directory()
        for setting, key in JOB_KEYS:
            self._set(f"jobs.0.{setting}", keys.text(key), key)
        mail = [part.strip() for part in re.split("[;,]", keys.text("JOB_NOTIFICATION_MAIL") or "")]
        if any(mail):
            for event in ("user_error", "platform_error"):
                self._mail(f"job_failure_{event}", mail)
            self._mail("job_success", mail)
            self._mail("job_deploy", mail)

    def _mail(self, event: str, addresses: list[str]) -> None:
        kept = [address for address in addresses if address]
        self._set(f"jobs.0.contacts.notified_on_{event}", kept, "JOB_NOTIFICATION_MAIL")

    def _directory(self) -> None:
        keys = self._keys
        parent, name = keys.text("DATAJOB_DIRECTORY_PARENT"), keys.text("DATAJOB_DIRECTORY_NAME")
        if parent:
            path = str(Path(parent) / (name or "impala"))
            self._set("jobs.0.path", path, "DATAJOB_DIRECTORY_PARENT")
            return
        self._set("jobs.0.template", "proof", "DATAJOB_DIRECTORY_NAME" if name else None)
        if name is None:
            return
        if name not in SHIPPED_JOBS:
            raise keys.error(
                f"vdk-heartbeat ships no job {name}, and DATAJOB_DIRECTORY_PARENT is not set.",
                "DATAJOB_DIRECTORY_NAME",
                expected=f"one of {', '.join(SHIPPED_JOBS)}; or DATAJOB_DIRECTORY_PARENT beside it",
                to_try=did_you_mean(name, SHIPPED_JOBS),
            )
        tested = self._tests_trino() or (name == INGESTION_JOB and self._ingests)
        if name not in ("empty", "simple") and not tested:
            self.warnings.append(
                f"DATAJOB_DIRECTORY_NAME={name}: our job `proof` runs in its place, which touches"
                " no database; nothing is checked there."
            )

    def _run(self) -> None:
        name = "RUN_TEST_TIMEOUT_SECONDS"
        seconds = self._keys.number(name, default=RUN_TEST_TIMEOUT_S)
        self._set("run.step_timeout_s", float(seconds), name)
        # Its limit counts for each wait anew; a run that may wait three times still ends.
        self._set("run.timeout_s", max(SHORTEST_RUN_S, 3.0 * seconds), name)

    def _run_test(self) -> None:
        keys = self._keys
        module, wanted = keys.text("JOB_RUN_TEST_MODULE_NAME"), keys.text("JOB_RUN_TEST_CLASS_NAME")
        if module is None and wanted is None:
            self.warnings.append(
                "No run test is named (JOB_RUN_TEST_CLASS_NAME); vdk-heartbeat's default,"
                " Impala, works nowhere, so the whole heartbeat of pytest-vdkprobe runs."
            )
            return
        shipped = module is None or module.startswith(SHIPPED_MODULES)
        if wanted is None:
            wanted = {"empty_run_test": "EmptyRunTest", "simple_run_test": "SimpleRunTest"}.get(
                (module or "").rpartition(".")[2], DEFAULT_CLASS
            )
        if shipped and wanted in HEARTBEATS:
            return
        if shipped and wanted == TRINO_TEST:
            self._tables()
            return
        if shipped and wanted in DATABASE_TESTS:
            self.warnings.append(
                f"{wanted} is not run: nothing here reads an Impala. The whole heartbeat of"
                " pytest-vdkprobe runs in its place, and says nothing about the database."
            )
            return
        name = "JOB_RUN_TEST_CLASS_NAME"
        own = self._own_run_test()
        if own is not None:
            self._set("jobs.0.run_test.module", own[0], "JOB_RUN_TEST_MODULE_NAME")
            self._set("jobs.0.run_test.class_name", own[1], name)
            return
        if wanted == FRONTEND_TEST:
            self._frontend(name)
            return
        known = (*HEARTBEATS, TRINO_TEST, *DATABASE_TESTS, FRONTEND_TEST)
        whose = f"the class {wanted} of {module}" if module else f"a class {wanted}"
        raise keys.error(
            f"The run test is {whose}, which vdk-heartbeat does not have.",
            name,
            expected=f"one of {', '.join(known)}; or a class of your own, and"
            " JOB_RUN_TEST_MODULE_NAME beside it",
            to_try=did_you_mean(wanted, known),
        )

    def _tests_trino(self) -> bool:
        return self._keys.text("JOB_RUN_TEST_CLASS_NAME") == TRINO_TEST

    def _tables(self) -> None:
        """Its test of Trino as an entry of [[tables]]."""
        keys = self._keys
        kind = keys.text("DB_DEFAULT_TYPE") or "trino"
        if kind.lower() != "trino":
            raise keys.error(
                f"{TRINO_TEST} moves tables in Trino, and the job's SQL would go elsewhere.",
                "DB_DEFAULT_TYPE",
                expected="TRINO, or no such key",
            )
        self._set("tables.0.name", "heartbeat", "JOB_RUN_TEST_CLASS_NAME")
        self._database_end("tables.0.database", "trino")
        schema = keys.text("DATABASE_TEST_DB") or ""
        catalog, dot, rest = schema.partition(".")
        if not (catalog and dot and rest) or "." in rest:
            raise keys.error(
                f"{TRINO_TEST} makes tables, and DATABASE_TEST_DB does not say where in Trino.",
                "DATABASE_TEST_DB",
                expected="CATALOG.SCHEMA, for example memory.default",
            )
        self._set("tables.0.database.catalog", catalog, "DATABASE_TEST_DB")
        self._set("tables.0.database.schema", rest, "DATABASE_TEST_DB")
        for role, roles in (
            ("SOURCE", ("source", "view")),
            ("DESTINATION", ("python", "sql")),
            ("LOAD_DESTINATION", ("insert", "periodic_snapshot", "scd1", "scd1_upsert")),
        ):
            key = f"DATABASE_TEST_TABLE_{role}"
            for each in roles:
                self._set(f"tables.0.called.{each}", keys.text(key), key)
        if not keys.yes("CHECK_TEMPLATE_EXECUTION", default=True):
            self._set("tables.0.moves", ["python", "sql"], "CHECK_TEMPLATE_EXECUTION")
        for setting, key in JOB_KEYS:
            self._set(f"tables.0.{setting}", keys.text(key), key)

    def _database_end(self, place: str, kind: str) -> None:
        """The DATABASE_* keys as the table of a connection at `place`."""
        keys = self._keys
        if keys.text("DATABASE_HOST") is None:
            raise keys.error(
                "Where the database is, is not said.", "DATABASE_HOST", expected="a host's name"
            )
        self._set(f"{place}.kind", kind, "DB_DEFAULT_TYPE")
        self._set(f"{place}.host", keys.text("DATABASE_HOST"), "DATABASE_HOST")
        port = keys.number("DATABASE_PORT", default=TRINO_PORT)
        self._set(f"{place}.port", port, "DATABASE_PORT")
        self._set(f"{place}.user", keys.text("DATABASE_USER"), "DATABASE_USER")
        self._set(f"{place}.password", keys.secret("DATABASE_PASS"), "DATABASE_PASS")
        if keys.yes("DATABASE_USE_SSL", default=True):
            verify = keys.yes("DATABASE_VERIFY_SSL", default=True)
            self._set(f"{place}.tls.verify", verify, "DATABASE_VERIFY_SSL")
        if keys.text("DATABASE_CONNECTION_TIMEOUT_SECONDS"):
            name = "DATABASE_CONNECTION_TIMEOUT_SECONDS"
            seconds = float(keys.number(name, default=0))
            field = "connect_timeout_s" if kind == "postgres" else "request_timeout_s"
            self._set(f"{place}.{field}", seconds, name)

    def _frontend(self, name: str) -> None:
        """A look at a page, and nothing else: no job is created, as there."""
        self.tables.pop("jobs", None)
        self.origins = {key: origin for key, origin in self.origins.items() if key[0] != "jobs"}
        self._set("endpoints.0.name", "frontend", name)
        self._set("endpoints.0.url", self.tables["control"].get("url"), "CONTROL_API_URL")
        self._set("endpoints.0.tasks", 1, name)
        self._set("endpoints.0.expect.status", [200, 202, 204], name)

    def _legacy(self) -> None:
        keys = self._keys
        junit = keys.text("REPORT_JUNIT_XML_FILE_PATH")
        if junit is None and not keys.is_set("REPORT_JUNIT_XML_FILE_PATH"):
            junit = "tests.xml"
        self._set("legacy.junit_path", junit, "REPORT_JUNIT_XML_FILE_PATH")
        self._set("legacy.run_test_timeout_s", self.tables["run"]["step_timeout_s"], None)
        self.origins[as_key("legacy.run_test_timeout_s")] = keys.origin("RUN_TEST_TIMEOUT_SECONDS")
        for key, place in KEYS.items():
            if not place.startswith("legacy.") or keys.text(key) is None:
                continue
            if place.endswith(("_ssl", "_execution", "_failure")):
                self._set(place, keys.yes(key, default=True), key)
            elif place.endswith(("port", "timeout_s")):
                self._set(place, keys.number(key, default=0), key)
            elif key == "DATABASE_PASS":
                self._set(place, keys.secret(key), key)
            elif place != "legacy.junit_path":
                self._set(place, keys.text(key), key)


def read_heartbeat(path: Path | None, environ: Mapping[str, str]) -> Heartbeat:
    """The ini at `path` with the environment over it, or the environment alone."""
    return Heartbeat(HeartbeatKeys(path, environ))


def job_name(op_id: str) -> str:
    """The job's name for an op id, in 45 characters that still tell op ids apart.

    vdk-heartbeat cuts `user_epoch` behind its prefix, which drops the very digits that made it
    unique for users with long names; here what must be cut leaves a hash of the whole.
    """
    suffix = re.sub("[^a-z0-9-]", "-", op_id.lower())
    whole = f"{NAME_PREFIX}-{suffix}"
    if len(whole) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(op_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{whole[: LONGEST_NAME - 9].rstrip('-')}-{digest}"
