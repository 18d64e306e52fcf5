"""`vdkprobe check CONFIG [--connect]`: is this configuration usable, before anything depends on it.

Without --connect nothing leaves the machine: every section, job directory, schedule and secret is
looked at, and all that is wrong is told at once. Kinds of your own that a conftest.py in this
folder brings are known, as they are to pytest. With it the Control Service is reached, logged in
to and read from, and both ends of every route are; nothing is created or sent.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_vdkprobe.cli.conftest_here import Objections, with_conftest
from pytest_vdkprobe.errors import ConfigError, Finding, LoginError, TransportError
from pytest_vdkprobe.problems import find_problems
from pytest_vdkprobe.rooms import load, present
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.verdicts import EXIT_CODES, verdict_of
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.control.settings import ControlSettings

USAGE_ERROR = 4
"""pytest's exit code for a wrong call, and so for an unusable configuration."""
CONNECT_LIMIT_S = 60.0
"""For all of --connect; single calls have the limits of [control]."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `check`."""
    parser = subparsers.add_parser(
        "check",
        help="validate a configuration, and try its connections and logins",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config", metavar="CONFIG", help="a .toml, an .ini of vdk-heartbeat, or env"
    )
    parser.add_argument(
        "--connect",
        action="store_true",
        help="also connect to and log in at the Control Service and the ends of routes; creates "
        "nothing",
    )
    parser.add_argument(
        "--vdk-set",
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one setting, as for pytest; may be repeated",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; exit code 0, 4 (configuration), 6 (ours), 7 (unknown), 1 (platform)."""
    return with_conftest(partial(_check, arguments))


def _check(arguments: argparse.Namespace, objections: Objections) -> int:
    try:
        configuration = _load(arguments.config, arguments.overrides)
    except ConfigError as unusable:
        _say(str(unusable))
        return USAGE_ERROR
    problems, warnings = find_problems(configuration)
    problems += [] if problems else objections(configuration)
    _print_settings(configuration)
    for warning in (*configuration.warnings, *warnings):
        _say(f"warning: {warning}")
    for problem in problems:
        _say(f"\n{problem}")
    if problems:
        _say(f"\n{len(problems)} problem{'s' if len(problems) > 1 else ''}: not usable.")
        return USAGE_ERROR
    if not arguments.connect:
        _say("\nThe configuration is usable; --connect tries what it points to.")
        return 0
    return _connect(configuration)


def _load(spec: str, texts: list[str]) -> Configuration:
    from pytest_vdkprobe.config import load  # noqa: PLC0415 - `vdkprobe --help` is quick

    return load(spec, overrides=overrides_of(texts))


def overrides_of(texts: list[str], *, option: str = "--vdk-set") -> dict[str, str]:
    """The settings of `KEY=VALUE` on the command line, by their keys."""
    overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"{option} wants a key and a value.",
                key=option,
                value=text,
                to_try=f"write it like {option} control.team=blue",
            )
        overrides[key.strip()] = value.strip()
    return overrides


def _print_settings(configuration: Configuration) -> None:
    """Each setting with value and source, in columns."""
    table = configuration.settings()
    widths = [max((len(row[column]) for row in table), default=0) for column in (0, 1)]
    for key, value, source in table:
        _say(f"{key:<{widths[0]}}  {value:<{min(widths[1], 60)}}  {source}")


def _connect(configuration: Configuration) -> int:
    """Reach all that is configured; the first that fails decides the exit code."""
    failed = _connect_control(configuration) if "control" in configuration else 0
    for room in present(configuration).values():
        if not failed and room.trials is not None:
            failed = _connect_each(room.tried, load(room.trials)(configuration))
    if not failed:
        _say("\nThe configuration is usable, and what it points to answers.")
    return failed


def _connect_control(configuration: Configuration) -> int:
    """Reach the Control Service."""
    from pytest_vdkprobe.control.settings import ControlSettings  # noqa: PLC0415 - as late as possible

    settings = configuration.section("control", ControlSettings)
    _say(f"\nTrying {settings.url} as team {settings.team}")
    step = "service"
    try:
        for step, seen in _tried(configuration, settings):
            _say(f"ok     {step:<8} {seen}")
    except Finding as finding:
        if isinstance(finding, LoginError):
            step = "login"
        elif isinstance(finding, TransportError):
            step = "connect"
        return _told(step, finding)
    return 0


def _connect_each(what: str, trials: Iterable[tuple[str, Callable[[], str]]]) -> int:
    """Try every one of these, whatever is wrong with some of them."""
    first = 0
    _say(f"\nTrying {what}")
    for name, attempt in trials:
        try:
            _say(f"ok     {name}: {attempt()}")
        except Finding as finding:
            code = _told(f"{name}:", finding)
            first = first or code
    return first


def _told(step: str, finding: Finding) -> int:
    """Say what failed; the exit code that it stands for."""
    verdict = verdict_of(finding)
    _say(f"{verdict:<6} {step:<8} {finding}")
    return USAGE_ERROR if isinstance(finding, ConfigError) else EXIT_CODES[verdict]


def _tried(configuration: Configuration, settings: ControlSettings) -> Iterator[tuple[str, str]]:
    """What was tried, and what was seen of it; raises the finding of what fails."""
    from pytest_vdkprobe.control.auth import make_auth  # noqa: PLC0415 - as late as possible
    from pytest_vdkprobe.control.client import ControlClient  # noqa: PLC0415 - loads requests

    auth = make_auth(settings.auth, base_dir=configuration.base_dir)
    # 8 hex digits, like a run's id: the service's log then tells one check from another.
    op_id = f"check-{secrets.token_hex(4)}"
    with ControlClient(settings, auth, op_id_prefix=op_id) as client:
        client.deadline = Deadline.after(CONNECT_LIMIT_S, "vdkprobe check --connect")
        info = client.info()
        yield "connect", _connection(settings)
        yield "login", "none is configured, none is wanted" if auth.kind == "none" else auth.kind
        pythons = ", ".join(info.supported_python_versions) or "none named"
        yield "service", f"{info.api_version}; Python {pythons}"
        first = next(client.list_jobs(settings.team), None)
        yield "jobs", f"the list of team {settings.team} {'has jobs' if first else 'is empty'}"


def _connection(settings: ControlSettings) -> str:
    host = urlsplit(settings.url).netloc
    if not settings.url.startswith("https:"):
        return f"{host} answers, without TLS"
    trust = (
        "its certificate was NOT verified"
        if not settings.verify_tls
        else (f"its certificate is trusted by {settings.ca_file or 'the usual authorities'}")
    )
    return f"{host} answers; {trust}"


def _say(text: str) -> None:
    print(redact(text), flush=True)
