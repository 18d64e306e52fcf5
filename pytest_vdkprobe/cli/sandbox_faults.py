"""`vdkprobe sandbox fault`: make a sandbox that is up wrong on purpose, and right again.

Whoever writes an alert wants to see it ring. A fault is written NAME, or NAME,KEY=VALUE,... with
the keys of the configuration's `sandbox.faults`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_vdkprobe.errors import ConfigError, ProbeError

if TYPE_CHECKING:
    from pytest_vdkprobe.sandbox.faults import Fault
    from pytest_vdkprobe.sandbox.standing import Standing

PAGE = "/sandbox/faults"

FAULT = """\
Make the sandbox that is up wrong on purpose, from now on:

  vdkprobe sandbox fault logs-empty
  vdkprobe sandbox fault slow,share=0.05,delay_s=2   for one call in twenty
  vdkprobe sandbox fault status,status=500,path=/logs$
  vdkprobe sandbox fault cluster-down,for_s=30       an outage of half a minute
  vdkprobe sandbox fault                             what is planted, and how often it has hit
  vdkprobe sandbox fault --clear logs-empty          right again; without a name, in everything
  vdkprobe sandbox fault --known                     all there are"""


def add_options(up: argparse.ArgumentParser) -> None:
    """Add to `sandbox up` what plants faults from the start."""
    up.add_argument(
        "--fault",
        action="append",
        dest="faults",
        default=[],
        metavar="NAME[,KEY=VALUE...]",
        help="be wrong on purpose (repeatable; `vdkprobe sandbox fault --known` lists them)",
    )
    up.add_argument("--seed", type=int, metavar="N", help="of the dice of faults with a share")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `fault`."""
    fault = commands.add_parser(
        "fault",
        help="make it wrong on purpose, or right again",
        description=FAULT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fault.add_argument("faults", nargs="*", metavar="NAME[,KEY=VALUE...]")
    how = fault.add_mutually_exclusive_group()
    how.add_argument("--clear", action="store_true", help="remove those named, or all")
    how.add_argument("--known", action="store_true", help="list all faults there are")
    fault.set_defaults(run=_fault)


def read(texts: Iterable[str]) -> tuple[Fault, ...]:
    """The faults that were asked for. Raises ConfigError for one that does not exist."""
    return tuple(map(_read, texts))


def planted(standing: Standing) -> str:
    """What is planted there now, with the hits so far; empty for nothing."""
    import msgspec  # noqa: PLC0415 - `vdkprobe --help` is quick

    hits = msgspec.json.decode(standing.call(PAGE), type=dict[str, int])
    return ", ".join(f"{name} ({count} hits)" for name, count in hits.items())


def _read(text: str) -> Fault:
    import msgspec  # noqa: PLC0415 - `vdkprobe --help` is quick

    from pytest_vdkprobe.sandbox.faults import Fault  # noqa: PLC0415 - as above

    name, *pairs = text.split(",")
    fields = {"name": name}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(
                "A fault's settings are written KEY=VALUE.",
                key="the fault",
                value=text,
                to_try="write for example slow,share=0.05,delay_s=2",
            )
        fields[key] = value
    try:
        return msgspec.convert(fields, Fault, strict=False)
    except msgspec.ValidationError as exc:
        what, _, to_try = str(exc).partition("; ")
        raise ConfigError(
            f"The fault can't be planted: {what}.",
            key="the fault",
            value=text,
            to_try=to_try or "`vdkprobe sandbox fault --known` lists all",
        ) from exc


def _fault(arguments: argparse.Namespace) -> int:
    from pytest_vdkprobe.sandbox import faults  # noqa: PLC0415 - `vdkprobe --help` is quick

    if arguments.known:
        for name, what in sorted(faults.KNOWN.items()):
            print(f"{name:<30} {what}")
        return 0
    wanted = read(arguments.faults)
    standing = _standing()
    if arguments.clear:
        for query in [f"?name={quote(fault.name)}" for fault in wanted] or [""]:
            standing.call(PAGE + query, method="DELETE")
    for fault in () if arguments.clear else wanted:
        import msgspec  # noqa: PLC0415 - as above

        standing.call(PAGE, method="POST", body=msgspec.json.encode(fault))
    print(planted(standing) or "nothing is planted")
    return 0


def _standing() -> Standing:
    from pytest_vdkprobe.sandbox import standing  # noqa: PLC0415 - `vdkprobe --help` is quick

    found = standing.status()
    if found is None:
        raise ProbeError(
            "No sandbox is up, so nothing can be planted.", to_try="`vdkprobe sandbox up`"
        )
    return found
