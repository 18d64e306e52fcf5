"""A sandbox in a process of its own: `python -m pytest_vdkprobe.sandbox '{"executor": "instant"}'`.

The one argument is a JSON object of `Sandbox`'s knobs. Once it serves, one line of JSON says where
and with which configuration; it stops on SIGTERM, SIGINT, or when its standard input ends, so that
it never outlives whoever started it with a pipe. Meant for programs: users have `vdkprobe sandbox`.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import fields

from pytest_vdkprobe.sandbox.server import Sandbox

USAGE = 4
"""Exit code of an unusable argument, as pytest's."""


def main(arguments: list[str]) -> int:
    """Serve until told to stop."""
    try:
        knobs = json.loads(arguments[0]) if arguments else {}
    except ValueError as exc:
        return _refuse(f"the argument is not JSON: {exc}")
    known = {field.name for field in fields(Sandbox) if field.init}
    if not isinstance(knobs, dict) or not known.issuperset(knobs):
        return _refuse(f"the argument is a JSON object of these: {', '.join(sorted(known))}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not sys.stdin.isatty():
        threading.Thread(target=_until_end_of_input, args=(stop,), daemon=True).start()
    with Sandbox(**knobs) as sandbox:
        ready = {"url": sandbox.url, "configuration": sandbox.configuration()}
        print(json.dumps(ready), flush=True)
        stop.wait()
    return 0


def _until_end_of_input(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def _refuse(why: str) -> int:
    print(f"sandbox: {why}", file=sys.stderr)
    return USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
