"""What a watch prints: each change of a verdict with its reason, and at the end what there was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.verdicts import Verdict
from pytest_vdkprobe.watch.member import Member

SHOWN = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN)


class Console:
    """Lines with the time before them; safe from any thread."""

    def __init__(self, write_line: Callable[..., None]) -> None:
        self._write_line = write_line
        self._lock = threading.Lock()
        self._shown: dict[str, str] = {}
        """The last verdict of each check that was printed."""

    def say(self, text: str, **markup: bool) -> None:
        """The first line with the time, the others below it."""
        first, *rest = redact(text).splitlines() or [""]
        with self._lock:
            self._write_line(f"{datetime.now().astimezone():%H:%M:%S}  {first}", **markup)
            for line in rest:
                self._write_line(f"          {line}")

    def verdicts(self, checks: Mapping[str, Any]) -> None:
        """Those that are not what they were."""
        for check, told in checks.items():
            verdict = told["verdict"]
            before = self._shown.get(check)
            if verdict == before:
                continue
            self._shown[check] = verdict
            change = verdict.upper() if before is None else f"{before.upper()} -> {verdict.upper()}"
            step = f"  at step {told['step']}" if told.get("step") else ""
            lines = "".join(f"\n{line}" for line in told.get("lines", ()))
            good = verdict == Verdict.PASS
            self.say(f"{check}  {change}{step}{lines}", green=good, red=not good)

    def closing(self, members: Iterable[Member]) -> None:
        """How many rounds of each check ended how."""
        rows: list[tuple[str, ...]] = [("check", *SHOWN, "last")]
        for member in members:
            for check, counts in member.seen.items():
                numbers = (str(counts.get(verdict, 0)) for verdict in SHOWN)
                rows.append((check, *numbers, str(member.verdicts.get(check, "no round"))))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = [text.ljust(widths[column]) for column, text in enumerate(row)]
            self._write_line(("  " + "  ".join(cells)).rstrip())
        missed = {member.name: member.missed for member in members if member.missed}
        if missed:
            text = ", ".join(f"{count} of {name}" for name, count in missed.items())
            self._write_line(f"  rounds left out, since the state began: {text}")
