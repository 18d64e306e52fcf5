"""What became of each check of a pipeline, in two tables: hop by hop, and website by website."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

COUNTED = ["checks due", "made", "messages", "rows", "lost", "twice", "altered"]
HOPS = ["step", *COUNTED, "p99, hops summed"]
WEBSITES = ["website", "answers", "checks", "available"]


def tables(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of both; none when no step has such an account."""
    found = [(step, step.get("attached", {}).get("pipeline")) for step in steps]
    accounted = [(step, account) for step, account in found if account is not None]
    if not accounted:
        return []
    lines = list(_lines([HOPS, *(_hops(step, account) for step, account in accounted)]))
    for _, account in accounted:
        if account.get("websites"):
            lines += ["", *_lines([WEBSITES, *map(_website, account["websites"])])]
    return lines


def _hops(step: Mapping[str, Any], account: Mapping[str, Any]) -> list[str]:
    """What is lost, doubled or altered at any hop counts; a twin's second check does not."""
    check, message, row = account["hops"]
    slowest = sum(hop["p99_s"] or 0.0 for hop in account["hops"])
    return [
        f"{step['journey']}::{step['step']}",
        str(check["expected"]),
        *(str(hop["there"]) for hop in (check, message, row)),
        str(sum(hop["lost"] for hop in account["hops"])),
        str(row["twice"]),
        str(message["altered"] + row["altered"]),
        f"{slowest:.3f} s",
    ]


def _website(told: Mapping[str, Any]) -> list[str]:
    checks, good = told["checks"], told["available"]
    share = f"{good / checks:.1%}" if checks else "-"
    return [str(told["site"]), told["kind"], str(checks), share]


def _lines(rows: list[list[str]]) -> Iterator[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = row
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells])
