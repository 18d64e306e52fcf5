"""The process that keeps a sandbox up: starts it, notes where it is, and stops it when told.

`vdkprobe sandbox up` runs it as a module, with a folder as argument and the wishes as JSON on
standard input. All that the sandbox and its jobs write goes below that folder, so that whoever
finds this process killed can remove it.
"""

from __future__ import annotations

import errno
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import msgspec

from pytest_vdkprobe.durable import write_durably
from pytest_vdkprobe.errors import Finding, ProbeError
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox.engine_addresses import with_addresses
from pytest_vdkprobe.sandbox.engines.addresses import Addresses
from pytest_vdkprobe.sandbox.engines.messages import Run
from pytest_vdkprobe.sandbox.engines.sharing import acquire, begin, end
from pytest_vdkprobe.sandbox.environment import Progress
from pytest_vdkprobe.sandbox.routes import routes, tables
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.sandbox.session import probes, tables_of
from pytest_vdkprobe.sandbox.standing import Standing, Wishes, state_file
from pytest_vdkprobe.verdicts import EXIT_CODES, Verdict


def keep(
    wishes: Wishes,
    folder: Path,
    *,
    progress: Progress | None = None,
    ready: Callable[[Standing], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP. Only for the main thread, which gets the signals."""
    told_to_stop = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        told_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    tempfile.tempdir = str(folder)
    try:
        with ExitStack() as stack:
            run = begin()
            stack.callback(end, run)
            sandbox = stack.enter_context(_started(wishes, run, progress))
            engines = acquire(wishes.engines, run=run, progress=progress)
            standing = Standing(
                url=sandbox.url,
                process=Process.current(),
                since=datetime.now(UTC),
                wishes=wishes,
                folder=str(folder),
                tables={
                    **tables_of(sandbox),
                    **_routes(sandbox, engines, wishes),
                    **probes(sandbox),
                },
                engines=engines,
            )
            write_durably(state_file(), msgspec.json.encode(standing))
            try:
                if ready is not None:
                    ready(standing)
                told_to_stop.wait()
            finally:
                state_file().unlink(missing_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _routes(sandbox: Sandbox, engines: Addresses, wishes: Wishes) -> dict[str, object]:
    """The routes that the engines which run make possible, their addresses filled in."""
    if not wishes.engines:
        return {}
    sections = {
        "routes": routes(url=sandbox.url, folder=sandbox.folder, jobs=wishes.executor == "vdk"),
        "tables": tables(by_job=wishes.executor == "vdk"),
    }
    filled = {
        name: [with_addresses(one, engines) for one in entries]
        for name, entries in sections.items()
    }
    return {name: [one for one in entries if one is not None] for name, entries in filled.items()}


def _started(wishes: Wishes, run: Run, progress: Progress | None) -> Sandbox:
    sandbox = _make(wishes, run, progress)
    try:
        sandbox.start()
        for fault in wishes.faults:
            sandbox.faults.plant(fault)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        raise ProbeError(
            f"Port {wishes.port} is taken.", to_try="choose another, or leave it out for a free one"
        ) from exc
    return sandbox


def _make(wishes: Wishes, run: Run, progress: Progress | None) -> Sandbox:
    sandbox = Sandbox(
        port=wishes.port,
        auth=wishes.auth,
        tls=wishes.tls,
        tick_s=wishes.tick_s,
        seed=wishes.seed,
        executor="instant",
        engines=run,
    )
    if wishes.executor == "vdk":
        from pytest_vdkprobe.sandbox.vdk_executor import VdkExecutor  # noqa: PLC0415 - if wanted

        sandbox.executor = VdkExecutor(progress=progress)
    return sandbox


def main() -> int:
    """Keep a sandbox as standard input says; standard error is the log."""
    folder = Path(sys.argv[1])
    try:
        keep(msgspec.json.decode(sys.stdin.buffer.read(), type=Wishes), folder, progress=_say)
    except Finding as finding:
        _say(str(finding))
    except OSError as exc:
        _say(str(ProbeError(f"The sandbox could not be started: {exc}")))
    else:
        return 0
    return EXIT_CODES[Verdict.ERROR]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
