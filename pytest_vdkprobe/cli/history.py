"""`vdkprobe history [DB-CONNECTION-STRING] COMMAND`: what ran, what it consisted of, what changed.

The commands of data-pipeline-orchestrator, as scripts call them, and beside them what it lacked.
Results go to standard output, everything else to standard error; what is wrong is told in one line.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdkprobe.cli import history_commands, history_upkeep, history_views
from pytest_vdkprobe.errors import ConfigError, Finding
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.verdicts import EXIT_CODES, verdict_of

if TYPE_CHECKING:
    from pytest_vdkprobe.store.address import Address

USAGE_ERROR = 4
"""As `vdkprobe.cli.main`."""
LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
ELSEWHERE = "-"
"""What stands for the connection string on the command line where it comes from elsewhere."""
ENVIRONMENT = "VDKPROBE_HISTORY"
LEVEL_OPTIONS = ("-l", "--log-level")

EPILOG = """\
The database is the one of the DB-CONNECTION-STRING; without one, that of --database-file, of the
environment variable VDKPROBE_HISTORY, or a SQLite file of your own. Like this no password needs to
stand on a command line.

  vdkprobe history sqlite:///history.db init-execution
  vdkprobe history postgresql+psycopg2://user@host:5432/database list"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `history`."""
    group = subparsers.add_parser(
        "history",
        help="what ran, what it consisted of and what changed; the commands of"
        " data-pipeline-orchestrator",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group.add_argument(
        *LEVEL_OPTIONS,
        nargs="?",
        const="INFO",
        default="INFO",
        choices=LEVELS,
        metavar="LEVEL",
        help=f"what to tell on standard error: {', '.join(LEVELS)} (default: INFO)",
    )
    group.add_argument(
        "--database-file", metavar="FILE", help="a file that holds the connection string"
    )
    group.add_argument(
        "--pipeline",
        metavar="NAME",
        help="whose executions: several pipelines share one database (default: default)",
    )
    group.add_argument(
        "--schema", metavar="NAME", default="dpo", help="PostgreSQL's schema (default: dpo)"
    )
    group.add_argument(
        "database",
        metavar="DB-CONNECTION-STRING",
        help="postgresql+psycopg2://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///FILE",
    )
    commands = group.add_subparsers(metavar="COMMAND", title="commands", required=True)
    for module in (history_commands, history_views, history_upkeep):
        module.add_parsers(commands, run)


def arranged(arguments: Sequence[str]) -> list[str]:
    """The group's words with something in the place of a connection string that was left out."""
    words = list(arguments)
    for word in words:
        if "://" in word:
            from pytest_vdkprobe.store.address import learn_passwords  # noqa: PLC0415 - help is quick

            # Wherever it stands: argparse quotes what it can't use.
            learn_passwords(word)
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != ELSEWHERE:
        at += 2 if _takes_next(words[at], words[at + 1 : at + 2]) else 1
    if at < len(words) and words[at] in _known_commands():
        words.insert(at, ELSEWHERE)
    return words


def _takes_next(option: str, following: list[str]) -> bool:
    if option in LEVEL_OPTIONS:
        # The level may be left out.
        return following[:1] != [] and following[0] in LEVELS
    return option in ("--database-file", "--pipeline", "--schema")


def _known_commands() -> set[str]:
    modules = (history_commands, history_views, history_upkeep)
    return {name for module in modules for name in module.NAMES}


def run(act: Callable[[argparse.Namespace, Address], int | None]) -> Callable[..., int]:
    """A command's `run`: the database found, the log set up, what is wrong told in one line."""

    def wrapper(arguments: argparse.Namespace) -> int:
        with _logging(arguments.log_level) as log:
            try:
                address = find_address(arguments.database, arguments.database_file)
                for warning in address.warnings:
                    log.warning("%s", warning)
                return act(arguments, address) or 0
            except Finding as finding:
                print(redact(one_line(finding)), file=sys.stderr)
                ours = isinstance(finding, ConfigError)
                return USAGE_ERROR if ours else EXIT_CODES[verdict_of(finding)]

    return wrapper


def find_address(given: str, file: str | None) -> Address:
    """The database that the command line, a file or the environment names, or the user's own."""
    from pytest_vdkprobe.store.address import Address, default_file  # noqa: PLC0415 - help is quick

    if given != ELSEWHERE:
        if file is not None:
            raise ConfigError(
                "There is a connection string and --database-file.", to_try="leave one of them out"
            )
        return Address.parse(given, source="the command line")
    if file is not None:
        return Address.parse(_content(Path(file)), source=f"file {file}")
    told = os.environ.get(ENVIRONMENT, "").strip()
    # Runs of pytest may be told to remember nothing; what is remembered can be looked at.
    if told and told != "off":
        return Address.parse(told, source=f"environment {ENVIRONMENT}")
    return Address.parse(f"sqlite:///{default_file()}", source="the default")


def _content(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or "it is not text in UTF-8"
        raise ConfigError(
            f"The file {path}, which should hold the connection string, can't be read: {why}.",
            key="--database-file",
        ) from exc


def one_line(finding: Finding) -> str:
    """What is wrong and what to do about it, in one line for scripts' logs."""
    parts = [finding.what, *(f"{label}: {text}." for label, text in finding.lines())]
    return " ".join(" ".join(parts).replace("..", ".").replace("?.", "?").split())


@contextmanager
def _logging(level: str) -> Iterator[logging.Logger]:
    """The package's log, on standard error, as the orchestrator's looked."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacted("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    log = logging.getLogger("pytest_vdkprobe")
    before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield log
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _Redacted(logging.Formatter):
    """Lets no secret into the log."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
