"""`python -m pytest_vdkprobe.sandbox.engines.restart RUN ENGINE`: for whoever restarts by command.

RUN is the run as JSON; a journey through a pipeline has an engine restarted on the way by this.
"""

from __future__ import annotations

import sys

import msgspec

from pytest_vdkprobe.sandbox.engines.messages import Run
from pytest_vdkprobe.sandbox.engines.sharing import restart


def command(run: Run, name: str) -> list[str]:
    """The command that restarts an engine of the run."""
    return [sys.executable, "-m", __name__, msgspec.json.encode(run).decode(), name]


if __name__ == "__main__":
    restart(sys.argv[2], run=msgspec.json.decode(sys.argv[1], type=Run))
