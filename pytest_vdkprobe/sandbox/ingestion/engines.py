"""The engines behind the ingestion, asked for only when the first record needs one.

A sandbox without records starts none. In a run of pytest all share the run's engines; a sandbox by
itself has its own, which end with it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines.addresses import Address
from pytest_vdkprobe.sandbox.ingestion.trouble import EngineDownError

if TYPE_CHECKING:
    from pytest_vdkprobe.sandbox.engines.messages import Run


class Engines:
    """`engines.address("kafka")`: started now if need be, remembered from then on."""

    def __init__(self, run: Run | None = None) -> None:
        self._run = run
        self._own: Run | None = None
        self._known: dict[str, Address] = {}
        self._lock = threading.Lock()
        self._closed = False

    def address(self, name: str) -> Address:
        """Where the engine answers. Raises EngineDownError when it can't be had."""
        known = self._known.get(name)
        if known is not None:
            return known
        # Imported here: most sandboxes never have an engine.
        from pytest_vdkprobe.sandbox.engines import sharing  # noqa: PLC0415

        with self._lock:
            if self._closed:
                raise EngineDownError("The sandbox stops.")
            if self._run is None:
                self._run = self._own = sharing.begin()
        try:
            found: Address | None = getattr(sharing.acquire([name], run=self._run), name)
        except ProbeError as exc:
            raise EngineDownError(str(exc)) from exc
        assert found is not None  # noqa: S101 - it is what was asked for
        self._known[name] = found
        return found

    def running(self, name: str) -> Address | None:
        """Where the engine answers if it runs in this run; nothing is started."""
        if name not in self._known and self._run is not None:
            from pytest_vdkprobe.sandbox.engines import sharing  # noqa: PLC0415 - as above

            try:
                found: Address | None = getattr(sharing.require_alive(self._run), name)
            except ProbeError:
                return None  # another engine has died, which is for others to tell
            if found is not None:
                self._known[name] = found
        return self._known.get(name)

    def close(self) -> None:
        """End the engines that were started for this sandbox alone. Idempotent."""
        with self._lock:
            self._closed = True
            own, self._own = self._own, None
        if own is not None:
            from pytest_vdkprobe.sandbox.engines import sharing  # noqa: PLC0415 - as above

            sharing.end(own)
