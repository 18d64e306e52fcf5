"""Long runs that tell whether heartbeats and a watch can be trusted: `python -m ci.soak COMMAND`.

Called from the checkout, in its environment. Every run prints the seed that repeats it, goes on
telling how far it is, and cleans up on Ctrl-C. Exit codes: 0 all as it must be, 1 not, 130 stopped.
"""

from __future__ import annotations

import argparse
import os
import sys

from ci.soak import clean, faults, kills, show, watch
from ci.soak.pool import INTERRUPTED


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(
        prog="python -m ci.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", required=True)
    for module in (show, faults, clean, kills, watch):
        module.add_parser(commands).set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    # Lines are read as they come, also through a pipe.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    # A developer's own history is not for thousands of runs with planted faults.
    os.environ.setdefault("VDKPROBE_HISTORY", "off")
    sys.exit(main())
