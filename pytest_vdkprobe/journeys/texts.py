"""Texts from a platform as they may stand in a report: redacted, printable, and not without end.

What a platform answers ends up in terminals, XML and tickets, and a broken or hostile one answers
with escape sequences or with ten megabytes.
"""

from __future__ import annotations

from pytest_vdkprobe.secrets import redact

LONGEST = 4000
"""Characters of one field of a report; the exchanges file has more."""


def presentable(text: str, longest: int = LONGEST) -> str:
    """Mask secrets, show control characters as escapes (line breaks stay), cut what is too long."""
    # Redacted first: a secret that the cut went through would not be known any more.
    clean = redact(text)
    left_over = len(clean) - longest
    if left_over > 0:
        clean = f"{clean[:longest]} ... ({left_over} characters more)"
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in clean)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
