"""Becomes an engine: a small script between us and it that ties its life to ours.

Run as a file by a bare interpreter: `launch.py PARENT SIGNAL UID GID COMMAND...`. It asks Linux to
send SIGNAL when its parent ends, gives up root where that is asked, and turns into COMMAND. In the
child of a fork all this would be unsafe, since the parent has threads (subprocess, `preexec_fn`);
after a fresh start it is not. The order matters: a change of user clears the parent-death signal.
"""

from __future__ import annotations

import os
import resource
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2)."""
ENOUGH_FILES = 65536
"""Trino refuses to start with fewer than 4096 open files allowed; many shells allow 1024."""


def main(arguments: list[str]) -> None:
    """Never returns."""
    parent, signal_number, uid, gid = (int(text) for text in arguments[:4])
    command = arguments[4:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    prctl = None
    if sys.platform == "linux":
        # Before root is given up: the interpreter may lie where only root can read.
        import ctypes  # noqa: PLC0415 - only here, it costs a third of the script's time

        prctl = ctypes.CDLL(None).prctl
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that wanted this engine is gone")
    os.execv(command[0], command)  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
