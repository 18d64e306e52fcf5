"""The process of one job: `vdk run`, in vdk's own interpreter, tied to the sandbox's life.

The sandbox starts it by path with the interpreter of the vdk environment, so it imports nothing of
ours. It does three things that the command `vdk` alone does not: it imports vdk ahead, so that a
process that waited for its job starts it in half the time; it takes what the job is from standard
input, so that no argument of a job is seen in a process list; and it ends with the sandbox, however
that ended, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import threading
from importlib import metadata
from pathlib import Path

AHEAD = ("vdk.internal.cli_entry", "taurus_datajob_api", "requests", "sqlparse", "tenacity")
"""What every `vdk run` imports, beside its plugins. None reads a job's own settings then."""


def die_with_the_sandbox(lifeline: int, folder: Path) -> None:
    """End this process and all it started once the sandbox, which holds the other end, is gone."""
    while os.read(lifeline, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Wait for the job's description, one line of JSON, and run it as `vdk run` does."""
    lifeline, folder = int(sys.argv[1]), Path(sys.argv[2])
    os.set_inheritable(lifeline, False)
    watcher = threading.Thread(target=die_with_the_sandbox, args=(lifeline, folder), daemon=True)
    watcher.start()
    plugins = {found.module for found in metadata.entry_points(group="vdk.plugin.run")}
    for module in (*AHEAD, *sorted(plugins)):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    line = sys.stdin.readline()
    if not line:
        return
    job = json.loads(line)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.environ.update(job["environ"])
    sys.argv = ["vdk", "run", job["sources"], "--arguments", json.dumps(job["arguments"])]
    sys.exit(importlib.import_module("vdk.internal.cli_entry").main())


if __name__ == "__main__":
    main()
