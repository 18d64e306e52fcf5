"""`/metrics` over HTTP, for Prometheus to scrape."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.observe.exposition import Exposition

LISTENING = "0A"
"""The state in /proc/net/tcp (proc(5))."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # Or a restarted watch could not listen for a minute, for the sake of its old connections.
    allow_reuse_address = True


class _Quiet(WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """A scrape is no news."""


class MetricsServer:
    """Listens at once, so that a taken port is told at the start, and answers from `serve` on."""

    def __init__(self, address: str, port: int, exposition: Exposition) -> None:
        from prometheus_client import make_wsgi_app  # noqa: PLC0415 - only who exports loads it

        try:
            self._server = _Server((address, port), _Quiet)
        except OverflowError as exc:
            raise _unusable(address, port, "ports go from 0 to 65535") from exc
        except OSError as exc:
            raise _unusable(address, port, exc.strerror or str(exc)) from exc
        self._server.set_app(make_wsgi_app(exposition.registry()))
        self._thread: threading.Thread | None = None
        self.port = self._server.server_port

    def serve(self) -> None:
        """Answer, those who have been waiting as well. May be called again."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._server.serve_forever, name="vdkprobe-metrics", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        if self._thread is not None:
            self._server.shutdown()
        self._server.server_close()


def _unusable(address: str, port: int, why: str) -> ConfigError:
    holder = "; ".join(holders(port))
    return ConfigError(
        f"Metrics can't be served on port {port}: {why}.",
        key="--vdk-metrics-port",
        value=f"{address}:{port}" + (f", taken by {holder}" if holder else ""),
        to_try="stop that, choose another port with --vdk-metrics-port=8001, or let the system "
        "choose with 0",
    )


def holders(port: int) -> Iterator[str]:
    """Who listens on the port, as far as this system and our rights tell: `process 12 (python)`."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text("ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for folder in Path("/proc").glob("[0-9]*/fd") if inodes else ():
        with suppress(OSError):
            if any(str(handle.readlink()) in inodes for handle in folder.iterdir()):
                words = (folder.parent / "cmdline").read_bytes().decode("utf-8", "replace")
                yield f"process {folder.parent.name} ({' '.join(words.split(chr(0))[:3]).strip()})"
