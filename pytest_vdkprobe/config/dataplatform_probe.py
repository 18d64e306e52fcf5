"""The dataplatform-probe's environment, of all its ages, as native tables.

`--vdk-config=env` is to work where that probe ran, with the variables that are set there. Which of
its two things it is told to do shows in what is set: events with a websocket, tasks without one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_vdkprobe.config.heartbeat_keys import NO, YES
from pytest_vdkprobe.config.nearest import nearest
from pytest_vdkprobe.config.origin import Key, Origin, as_key
from pytest_vdkprobe.errors import ConfigError

EVENT_KEYS: dict[str, str] = {
    "WEBSOCKET_URL": "events.0.reader.url",
    "WEBHOOK_TOKEN": "events.0.reader.token",
    "AUTHORIZER_API": "events.0.reader.authorizer.url",
    "WEBSOCKET_LISTENERS": "events.0.reader.listeners",
    "EVENT_INTERVAL_SECONDS": "events.0.interval_s",
    "MAX_CONSECUTIVE_ERRORS": "events.0.max_consecutive_errors",
    "DISMISS_EVENT_TIMEOUT_SECONDS": "events.0.late_s",
    "CLEAN_EVENTS_INTERVAL_SECONDS": "",
    "DATASET_VERSION": "events.0.target.url",
}
"""Variables of events alone, and the setting that each becomes."""
TASK_KEYS: dict[str, str] = {
    "TASK_INTERVAL_SECONDS": "endpoints.0.interval_s",
    "DISMISS_TASK_SECONDS": "endpoints.0.dismiss_s",
    "CLEAN_TASKS_INTERVAL_SECONDS": "endpoints.0.clean_s",
}
COMMON_KEYS: dict[str, str] = {
    "DATASET_ID": "endpoints.0.url",
    "OKDATA_CLIENT_ID": "auth.client_id",
    "OKDATA_CLIENT_SECRET": "auth.client_secret",
    "OKDATA_ENVIRONMENT": "auth.url",
    "ORIGO_CLIENT_ID": "auth.client_id",
    "ORIGO_CLIENT_SECRET": "auth.client_secret",
    "ORIGO_ENVIRONMENT": "auth.url",
    "KEYCLOAK_SERVER": "auth.url",
    "KEYCLOAK_REALM": "auth.url",
    "BETTERUPTIME_HEARTBEAT_URL": "watch.ping.url",
    "LOCAL_RUN": "endpoints.0.table_s",
    "LOCAL_SERVICES_ONLY": "",
}
XRAY_KEYS = (
    "AWS_XRAY_SDK_ENABLED",
    "AWS_XRAY_DAEMON_ADDRESS",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_TRACING_NAME",
)
KEYS = (*EVENT_KEYS, *TASK_KEYS, *COMMON_KEYS, *XRAY_KEYS)
SECRETS = ("OKDATA_CLIENT_SECRET", "ORIGO_CLIENT_SECRET", "WEBHOOK_TOKEN")
TELLING = (*EVENT_KEYS, *TASK_KEYS, "DATASET_ID", "LOCAL_SERVICES_ONLY")
"""Whoever sets one of these means the dataplatform-probe."""

NAME = "dataplatform"
HOSTS = {
    "dev": ("https://api.data-dev.oslo.systems", "https://login-test.oslo.kommune.no"),
    "prod": ("https://api.data.oslo.systems", "https://login.oslo.kommune.no"),
}
"""Where its environments are: the platform's API and its Keycloak (okdata-sdk-python's config)."""
REALM = "api-catalog"
TABLE_S = 30.0
INTERVAL_S = 10.0
WITHIN_S = 30.0
DISMISS_S = 86400.0
ANOTHERS = 1_000_000
"""Events of other instances are counted by that probe, and are no failure."""
LOCAL_ALLOW = {"failed": 3, "failed_share": 0.5}
"""The local service fails one task in twenty on purpose."""
NEAR = 0.86
"""How alike a variable must be to one that is known before it counts as misspelt."""


def is_meant(environ: Mapping[str, str]) -> bool:
    """Whether somebody has set it up."""
    return any(environ.get(name) for name in TELLING)


def is_local(environ: Mapping[str, str]) -> bool:
    """Whether it is to use services of its own: those of the sandbox."""
    return is_meant(environ) and _yes(environ, "LOCAL_SERVICES_ONLY")


class DataplatformProbe:
    """The tables that such an environment amounts to, and the variable behind each setting.

    `local` are the sandbox's own tables, where it is told to use nothing else.
    """

    def __init__(
        self, environ: Mapping[str, str], *, local: Mapping[str, Any] | None = None
    ) -> None:
        self.tables: dict[str, Any] = {}
        self.origins: dict[Key, Origin] = {}
        self.warnings: list[str] = []
        self._environ = environ
        self._local = local
        self._dataset = self._dataset_id()
        self._is_events = any(environ.get(name) for name in EVENT_KEYS)
        is_tasks = any(environ.get(name) for name in TASK_KEYS) or not self._is_events
        if self._is_events:
            self.tables["events"] = [self._events()]
        if is_tasks:
            self.tables["endpoints"] = [self._task()]
        if environ.get("BETTERUPTIME_HEARTBEAT_URL"):
            ping = {"url": {"env": "BETTERUPTIME_HEARTBEAT_URL"}, "method": "HEAD"}
            self.tables["watch"] = {"ping": ping}
        self._remember_origins()
        self._warn()

    def _events(self) -> dict[str, Any]:
        environ = self._environ
        entry = self._local_entry("events")
        if entry is None:
            entry = {"name": NAME, "target": self._target(), "reader": self._reader()}
        dismiss_s = self._number("DISMISS_EVENT_TIMEOUT_SECONDS", DISMISS_S)
        entry |= {
            "interval_s": self._number("EVENT_INTERVAL_SECONDS", INTERVAL_S),
            "within_s": min(WITHIN_S, dismiss_s),
            "late_s": max(0.0, dismiss_s - WITHIN_S),
            "allow": {"foreign": ANOTHERS},
            "table_s": TABLE_S if _yes(environ, "LOCAL_RUN") else 0.0,
        }
        if environ.get("MAX_CONSECUTIVE_ERRORS"):
            entry["max_consecutive_errors"] = self._whole("MAX_CONSECUTIVE_ERRORS")
        if environ.get("WEBSOCKET_LISTENERS"):
            entry["reader"]["listeners"] = self._whole("WEBSOCKET_LISTENERS")
        return entry

    def _target(self) -> dict[str, Any]:
        version = self._environ.get("DATASET_VERSION") or "1"
        return {
            "kind": "http",
            "layout": "event",
            "record": False,
            "url": f"{self._host()}/event-collector/event/{self._dataset}/{version}",
            **self._login(),
        }

    def _reader(self) -> dict[str, Any]:
        environ = self._environ
        reader: dict[str, Any] = {
            "kind": "websocket",
            "url": self._required("WEBSOCKET_URL", "wss://HOST/PATH"),
            "query": {"dataset_id": self._dataset},
            "compare": False,
        }
        if environ.get("WEBHOOK_TOKEN"):
            reader["token"] = {"env": "WEBHOOK_TOKEN"}
        elif environ.get("AUTHORIZER_API"):
            url = environ["AUTHORIZER_API"].rstrip("/")
            reader["authorizer"] = {
                "url": f"{url}/{self._dataset}/webhook",
                "json": {"service": self._of("CLIENT_ID") or NAME},
                **self._login(),
            }
        return reader

    def _task(self) -> dict[str, Any]:
        entry = self._local_entry("endpoints")
        if entry is None:
            url = f"{self._host()}/metadata/datasets/{self._dataset}"
            entry = {"name": NAME, "url": url, **self._login()}
        else:
            base = entry["url"].rpartition("/")[0]
            entry |= {
                "url": f"{base}/{self._dataset}",
                "expect": {"json": {"$.Id": self._dataset}},
                "allow": dict(LOCAL_ALLOW),
            }
            del entry["tasks"]
        entry |= {
            "interval_s": self._number("TASK_INTERVAL_SECONDS", INTERVAL_S),
            "dismiss_s": self._number("DISMISS_TASK_SECONDS", DISMISS_S),
            "clean_s": self._number("CLEAN_TASKS_INTERVAL_SECONDS", 300.0),
            "table_s": TABLE_S if _yes(self._environ, "LOCAL_RUN") else 0.0,
        }
        return entry

    def _local_entry(self, section: str) -> dict[str, Any] | None:
        """The sandbox's own entry, under our name."""
        if self._local is None:
            return None
        entry: dict[str, Any] = dict(self._local[section][0])
        return entry | {"name": NAME}

    def _login(self) -> dict[str, Any]:
        """`auth`, where a client is named."""
        client_id, secret = self._of("CLIENT_ID"), self._name_of("CLIENT_SECRET")
        if client_id is None and secret is None:
            return {}
        if client_id is None or secret is None:
            missing = "OKDATA_CLIENT_SECRET" if secret is None else "OKDATA_CLIENT_ID"
            raise ConfigError(
                "A client has an id and a secret, and only one of them is set.",
                key=f"{missing} (environment)",
                to_try=f"export {missing} too",
            )
        server = self._environ.get("KEYCLOAK_SERVER") or HOSTS[self._stage()][1]
        server = server.rstrip("/").removesuffix("/auth")
        realm = self._environ.get("KEYCLOAK_REALM") or REALM
        url = f"{server}/auth/realms/{realm}/protocol/openid-connect/token"
        secret_place = {"env": secret}
        return {
            "auth": {
                "kind": "client-credentials",
                "url": url,
                "client_id": client_id,
                "client_secret": secret_place,
            }
        }

    def _host(self) -> str:
        return HOSTS[self._stage()][0]

    def _stage(self) -> str:
        """dev or prod; prod unless set, as in the SDK."""
        name = self._name_of("ENVIRONMENT")
        stage = self._environ[name] if name else "prod"
        if stage not in HOSTS:
            raise ConfigError(
                "There is no such environment of the data platform.",
                key=f"{name} (environment)",
                value=stage,
                expected="dev or prod",
            )
        return stage

    def _dataset_id(self) -> str:
        if self._local is not None and not self._environ.get("DATASET_ID"):
            return "sandbox"
        return self._required("DATASET_ID", "the id of the data set to probe with")

    def _name_of(self, what: str) -> str | None:
        """Which age's variable is set: OKDATA_CLIENT_ID or ORIGO_CLIENT_ID."""
        names = (f"OKDATA_{what}", f"ORIGO_{what}")
        return next((name for name in names if self._environ.get(name)), None)

    def _of(self, what: str) -> str | None:
        name = self._name_of(what)
        return None if name is None else self._environ[name]

    def _required(self, name: str, expected: str) -> str:
        value = self._environ.get(name)
        if value:
            return value
        near = nearest(name, [key for key in self._environ if key not in KEYS])
        alike = near is not None and _alike(name, near)
        raise ConfigError(
            f"The environment variable {name} is not set.",
            key=f"{name} (environment)",
            expected=expected,
            to_try=f"{near} is set: did you mean {name}?" if alike else f"export {name}=...",
        )

    def _number(self, name: str, default: float) -> float:
        text = self._environ.get(name)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise ConfigError(
                f"{name} is no number of seconds above 0.",
                key=f"{name} (environment)",
                value=text,
                expected=f"seconds, such as {default:g}",
            )
        return value

    def _whole(self, name: str) -> int:
        value = self._number(name, 1)
        if value != int(value):
            raise ConfigError(
                f"{name} is no whole number.",
                key=f"{name} (environment)",
                value=self._environ[name],
                expected="a whole number above 0",
            )
        return int(value)

    def _remember_origins(self) -> None:
        for name, place in (EVENT_KEYS | TASK_KEYS | COMMON_KEYS).items():
            section = place.partition(".")[0]
            if place and self._environ.get(name) and section in self.tables:
                self.origins[as_key(place)] = Origin(f"environment {name}", "environment")

    def _warn(self) -> None:
        environ = self._environ
        if environ.get("CLEAN_EVENTS_INTERVAL_SECONDS"):
            self.warnings.append(
                "CLEAN_EVENTS_INTERVAL_SECONDS has no effect: the account is drawn up at each look."
            )
        if any(environ.get(name) for name in XRAY_KEYS):
            named = ", ".join(name for name in XRAY_KEYS if environ.get(name))
            self.warnings.append(
                f"{named}: AWS X-Ray is not spoken to. Each call carries a trace id in the header "
                "traceparent, and reports name those of what went wrong."
            )
        for name in environ:
            near = nearest(name, KEYS) if name not in KEYS else None
            if near is not None and not environ.get(near) and _alike(name, near):
                self.warnings.append(f"{name} means nothing here; did you mean {near}?")


def nothing_set(environ: Mapping[str, str], others: Sequence[str]) -> ConfigError:
    """What to say where no variable is set that anybody here knows; `others` are known too."""
    known = (*KEYS, *others)
    near = [
        f"{name} is set: did you mean {found}?"
        for name in environ
        if (found := nearest(name, known)) is not None and _alike(name, found)
    ]
    return ConfigError(
        "The environment has no setting of vdk-heartbeat or of the dataplatform-probe.",
        key="--vdk-config",
        value="env",
        expected="CONTROL_API_URL for a heartbeat, DATASET_ID for endpoint tasks, WEBSOCKET_URL "
        "beside it for events, or LOCAL_SERVICES_ONLY=true to try these",
        to_try="; ".join(near) or "export what applies, or name a file: --vdk-config=FILE",
    )


def _alike(one: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, one, other).ratio() >= NEAR


def _yes(environ: Mapping[str, str], name: str) -> bool:
    """A yes/no variable; `true` in the probe's own Makefile."""
    word = (environ.get(name) or "").strip().lower()
    if word in ("", *NO):
        return False
    if word in YES:
        return True
    raise ConfigError(
        f"{name} is neither yes nor no.",
        key=f"{name} (environment)",
        value=environ[name],
        expected="true or false",
    )
