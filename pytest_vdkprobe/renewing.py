"""A thread that keeps leases alive, so that no other machine takes a long run for dead."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from pytest_vdkprobe.errors import LeaseError

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import LeaseStore

RENEWALS_PER_TTL = 4

_log = logging.getLogger(__name__)


class Renewer:
    """A thread that keeps a store's leases alive; a trouble is logged once and does not end it."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        # A daemon: a run that ends without closing it must not wait for the next renewal.
        self._thread = threading.Thread(target=self._renew, name="vdkprobe-leases", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop renewing. May be called again."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _renew(self) -> None:
        while not self._stopped.wait(self._store.ttl_s / RENEWALS_PER_TTL):
            try:
                lost = self._store.renew()
            except LeaseError as exc:
                if self.error is None:
                    _log.warning("%s", exc)
                self.error = exc
                continue
            self.error = None
            for lease in lost:
                _log.warning("%r vanished from %s", lease, self._store.folder)
