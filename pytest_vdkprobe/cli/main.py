"""The console script `vdkprobe`: what can be done beside running pytest.

Each group of commands is a module of this package with an `add_parser(subparsers)`, imported by
name, so that a group costs nothing to the others and its own heavy imports wait until it runs.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from pytest_vdkprobe.errors import ConfigError, Finding, ProbeError
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.verdicts import EXIT_CODES, Verdict, verdict_of

GROUPS = ("init", "check", "sandbox", "history", "pipeline", "migrate", "schema")
USAGE_ERROR = 4
"""As pytest: a wrong command line, and so an unusable configuration."""
INTERRUPTED = 130
"""128 + SIGINT, as shells count."""

DESCRIPTION = """\
Acceptance tests and heartbeats for data platforms built on the Versatile Data Kit (VDK).

The tests themselves run with pytest:

  pytest --vdk-config=sandbox          on a platform of your own, on this machine
  pytest --vdk-config=platform.toml    on yours

This command does what is needed around them."""

EPILOG = """\
first steps:
  vdkprobe sandbox up > sandbox.toml   start a platform that stays up, keep its configuration
  vdkprobe check sandbox.toml          is the configuration usable?
  pytest --vdk-config=sandbox.toml     a data job's whole life, step by step
  vdkprobe sandbox down                stop it; nothing is left behind

on your platform:
  vdkprobe init                        write a commented configuration to start from
  vdkprobe migrate heartbeat.ini       or from the one that vdk-heartbeat has

exit codes:
  0  done; the platform is right        4  command line or configuration unusable
  1  the platform is wrong              6  something of ours is wrong: network, login, this machine
  3  sandbox status: it is not up       7  too little evidence to judge"""


class Parser(argparse.ArgumentParser):
    """Ends with pytest's code for a wrong command line, and says where help is."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how the command is called."""
        self.print_usage(sys.stderr)
        self.exit(USAGE_ERROR, redact(f"{message}\n`{self.prog} --help` explains.\n"))


def build_parser() -> Parser:
    """The command line, with every group that is there."""
    parser = Parser(
        prog="vdkprobe",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups = parser.add_subparsers(metavar="COMMAND", title="commands", required=True)
    for name in GROUPS:
        module_name = f"pytest_vdkprobe.cli.{name}"
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as exc:
            if exc.name != module_name:
                raise
            continue
        module.add_parser(groups)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["history"]:
        # Its first argument may be left out, which argparse can't tell from the command after it.
        words[1:] = importlib.import_module("pytest_vdkprobe.cli.history").arranged(words[1:])
    parsed = build_parser().parse_args(words)
    try:
        return _printed(int(parsed.run(parsed)))
    except Finding as finding:
        _say(str(finding))
        return USAGE_ERROR if isinstance(finding, ConfigError) else EXIT_CODES[verdict_of(finding)]
    except KeyboardInterrupt:
        _say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough; the interpreter would complain at its end.
        sys.stdout = None
        return 0
    except OSError as exc:
        _say(str(_of_system(exc)))
    except Exception:  # noqa: BLE001 - else Python would exit with 1, which says: the platform is wrong
        _say(traceback.format_exc() + "This is a bug of vdkprobe's.")
    return EXIT_CODES[Verdict.ERROR]


def _printed(code: int) -> int:
    """The exit code, once all is printed: the interpreter's own last flush can tell nobody."""
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def _of_system(exc: OSError) -> ProbeError:
    """What the operating system refused, in words; what names no file was to be printed."""
    why = exc.strerror or f"{type(exc).__name__}: {exc}"
    if exc.filename is not None:
        to_try = "check that it is there, and who may read and write it"
        return ProbeError(f"{exc.filename}: {why}.", to_try=to_try)
    if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
        # What stays in its buffer would fail once more at the interpreter's end.
        sys.stdout = None
        return ProbeError(
            f"The output can't be written: {why}.", to_try="make room on the disk that it goes to"
        )
    return ProbeError(f"{why}.")


def _say(text: str) -> None:
    print(redact(text), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
