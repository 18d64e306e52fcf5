"""What a watch tells others while it goes on: an outside monitor, a Pushgateway, a file.

Each has a thread of its own, so that one that hangs delays no round and no other. What could not be
told is said once, counted, and tried again at the next occasion; it never changes a verdict.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.secrets import REDACTOR, Secret, redact
from pytest_vdkprobe.workers import SOCKET_GRACE_S, Abandoned, Workers

if TYPE_CHECKING:
    from pytest_vdkprobe.metrics.recorder import Counter
    from pytest_vdkprobe.observe.exposition import Exposition
    from pytest_vdkprobe.watch.settings import MetricsSettings, PingSettings


class Notice:
    """Does `act` in a thread of its own, for the latest occasion, as often as there is one."""

    def __init__(
        self,
        name: str,
        act: Callable[[Any], None],
        *,
        failed: Counter,
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self._act = act
        self._failed = failed
        self._say = say
        self._broken = False
        self._occasion: Any = None
        self._wanted = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name=f"vdkprobe-{name}", daemon=True)
        self._thread.start()

    def tell(self, occasion: Any = None) -> None:
        """There is something to tell. Returns at once; what is not told yet is replaced."""
        self._occasion = occasion
        self._wanted.set()

    def close(self, timeout_s: float) -> None:
        """Tell what is still to be told, within `timeout_s`; what takes longer is left alone."""
        self._closing = True
        self._wanted.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._failed.inc()
            self._say(f"{self.name} gives no answer still, and the watch ends without it")

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            # Cleared first: an end that comes now is seen below, or wakes us again.
            self._wanted.clear()
            closing = self._closing
            occasion, self._occasion = self._occasion, None
            if occasion is not None:
                self._try(occasion)
            if closing:
                return

    def _try(self, occasion: Any) -> None:
        try:
            self._act(occasion)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the watch goes on
            self._failed.inc()
            if not self._broken:
                self._say(f"{self.name} does not get through, the watch goes on: {_reason(exc)}")
            self._broken = True
        else:
            if self._broken:
                self._say(f"{self.name} gets through again")
            self._broken = False


class Ping:
    """Calls the outside monitor: of a good round, or of a bad one."""

    def __init__(self, settings: PingSettings, *, base_dir: Path | None = None) -> None:
        self.settings = settings
        self._urls = {
            True: _resolved(settings.url, base_dir, "watch.ping.url"),
            False: _resolved(settings.fail_url, base_dir, "watch.ping.fail_url"),
        }
        self._workers = Workers()

    def __call__(self, occasion: str) -> None:
        """`occasion` is `good` or `bad`."""
        url = self._urls[occasion == "good"]
        if url is None:
            return
        timeout_s = self.settings.timeout_s
        try:
            status = self._workers.run(lambda _job: self._call(url), timeout_s=timeout_s)
        except Abandoned as exc:
            raise ProbeError(f"{_host(url)} gives no answer within {timeout_s:g} s") from exc
        if status >= 300:
            raise ProbeError(f"{_host(url)} answered {status}")

    def _call(self, url: str) -> int:
        import requests  # noqa: PLC0415 - only who has a monitor loads it

        answer = requests.request(
            self.settings.method,
            url,
            timeout=self.settings.timeout_s + SOCKET_GRACE_S,
            allow_redirects=False,
        )
        return answer.status_code


class Push:
    """Replaces the group of metrics on a Pushgateway."""

    def __init__(self, gateway: str, exposition: Exposition, settings: MetricsSettings) -> None:
        self.gateway = gateway
        self.exposition = exposition
        self.settings = settings

    def __call__(self, _occasion: object = None) -> None:
        """Push all of them."""
        from prometheus_client import push_to_gateway  # noqa: PLC0415 - only who pushes loads it

        with self._told():
            push_to_gateway(registry=self.exposition.registry(), **self._how)

    def remove(self, _occasion: object = None) -> None:
        """Remove the group, so that nobody takes its last values for today's."""
        from prometheus_client import delete_from_gateway  # noqa: PLC0415 - as above

        with self._told():
            delete_from_gateway(**self._how)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong says with which gateway; `urllib` does not."""
        try:
            yield
        except OSError as exc:
            raise ProbeError(f"{self.gateway}: {getattr(exc, 'reason', None) or exc}") from exc

    @property
    def _how(self) -> Mapping[str, Any]:
        return {
            "gateway": self.gateway,
            "job": self.settings.job,
            "grouping_key": dict(self.settings.grouping),
            "timeout": self.settings.timeout_s,
        }


def _resolved(url: str | SecretRef | None, base_dir: Path | None, key: str) -> str | None:
    if isinstance(url, SecretRef):
        secret: Secret = url.resolve(base_dir=base_dir, key=key)
        parts = urlsplit(secret.reveal())
        # Errors of `requests` name this part alone, and it is the one that nobody may know.
        REDACTOR.add(parts.path + (f"?{parts.query}" if parts.query else ""))
        return secret.reveal()
    return url


def _host(url: str) -> str:
    """The part of an address that anybody may know."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _reason(exc: Exception) -> str:
    return redact(" ".join(str(exc).split()) or type(exc).__name__)
