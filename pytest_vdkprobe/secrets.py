"""Secrets that don't print themselves, and the one redactor in front of every sink.

A token leaks by being formatted: into a log line, a traceback, an XML attribute, a URL. So a value
that must stay secret is a `Secret` from the moment it is read, and every text that leaves the
process goes through `redact`, which knows each value in the forms in which it usually escapes.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
SHORTEST = 4
"""Values below this length are not searched for: masking every `1` would hide the report itself."""
LINE = 16
"""Lines of a longer secret are searched for by themselves from this length on."""
ANCHOR = 8
"""A secret is known in pieces by every ANCHOR characters of it: one of 15 has a whole anchor."""
SHORTEST_PIECE = 12
"""Pieces below this length are left: they may as well be words."""
LONG = 2 * SHORTEST_PIECE
"""Secrets from this length on are searched for in pieces too."""


class Redactor:
    """Replaces every known secret, plain or encoded, by a mask. Safe to share between threads."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._long: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        """Hide `value` from now on, and its URL, JSON, base64 and hex forms."""
        if len(value) < SHORTEST:
            return
        raw = _bytes_of(value)
        forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        # A property that holds JSON, as the shipped job's proof does, is JSON inside JSON.
        forms |= {json.dumps(form)[1:-1] for form in forms}
        urls = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
        urls |= {re.sub("%..", lambda found: found[0].lower(), form) for form in urls}
        # An address in another's query is quoted twice.
        forms |= urls | {quote(form, safe="") for form in urls}
        forms |= _markup_forms(value)
        forms |= {repr(value)[1:-1], repr(raw)[2:-1], raw.hex(), raw.hex().upper()}
        forms |= _misread_forms(value, raw)
        forms |= _base64_forms(raw)
        # A key of several lines is also printed line by line, indented.
        forms |= {line.strip() for line in value.splitlines() if len(line.strip()) >= LINE}
        with self._lock:
            if forms <= self._forms:
                return
            self._forms |= forms
            self._long += tuple({form for form in (value, repr(value)[1:-1]) if len(form) >= LONG})
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """`text` with every known secret masked."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def redact_pieces(self, text: str) -> str:
        """`text` with secrets masked also where they were cut or wrapped, as pytest shows values.

        It costs some microseconds for every kilobyte, so it is for what people read.
        """
        text = self.redact(text)
        if len(text) < SHORTEST_PIECE:
            return text
        for form in self._long:
            for at in range(0, len(form) - ANCHOR + 1, ANCHOR):
                text = _mask_piece(text, form, at)
        return text


def _mask_piece(text: str, form: str, at: int) -> str:
    """`text` without the pieces of `form` around the anchor at `at`."""
    anchor = form[at : at + ANCHOR]
    start = text.find(anchor)
    while start >= 0:
        first, last = at, at + ANCHOR
        end = start + ANCHOR
        while start and first and text[start - 1] == form[first - 1]:
            start, first = start - 1, first - 1
        while end < len(text) and last < len(form) and text[end] == form[last]:
            end, last = end + 1, last + 1
        if end - start >= SHORTEST_PIECE:
            text = text[:start] + MASK + text[end:]
            end = start + len(MASK)
        start = text.find(anchor, end)
    return text


def _bytes_of(value: str) -> bytes:
    """The bytes that stood in the environment or the file, even where they were not UTF-8."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _markup_forms(value: str) -> set[str]:
    """The value as XML and HTML writers escape it; `html` itself would cost its table of names."""
    text = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    forms = {
        text.replace("'", single).replace('"', double)
        for single in ("'", "&apos;", "&#39;", "&#039;", "&#x27;")
        for double in ('"', "&quot;", "&#34;", "&#034;", "&#x22;")
    }
    return forms | {form.encode("ascii", "xmlcharrefreplace").decode() for form in forms}


def _misread_forms(value: str, raw: bytes) -> set[str]:
    """The value where its character set was missing or mistaken, as headers and logs do."""
    forms = {ascii(value)[1:-1], raw.decode("latin-1"), repr(raw.decode("latin-1"))[1:-1]}
    forms.add(value.encode("ascii", "xmlcharrefreplace").decode())
    for charset in ("ascii", "latin-1"):
        forms.add(value.encode(charset, "replace").decode("utf-8", "replace"))
    return forms


def _base64_forms(raw: bytes) -> set[str]:
    """The base64 text that any encoding of bytes *containing* `raw` must show.

    Base64 works on groups of three bytes, so the same bytes read differently at each of three
    offsets; the characters at the edges also depend on the neighbours and are cut off.
    """
    forms = set()
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        first = -(-offset * 8 // 6)
        last = (offset + len(raw)) * 8 // 6
        core = text[first:last]
        if len(core) >= SHORTEST + 2:
            forms |= {core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")}
    return forms


REDACTOR = Redactor()
"""The process's own. Every `Secret` registers itself here when it is made."""


def redact(text: str) -> str:
    """`text` as it may leave the process."""
    return REDACTOR.redact(text)


def redact_pieces(text: str) -> str:
    """`text` as it may be shown, where something else may have cut it before."""
    return REDACTOR.redact_pieces(text)


class Secret:
    """A value that is used with `reveal()` and otherwise tells only where it came from."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str) -> None:
        self._value = value
        self.source = source
        REDACTOR.add(value)

    def reveal(self) -> str:
        """The value itself: call it as late as possible, and never store what it returns."""
        return self._value

    def __repr__(self) -> str:
        return f"<secret from {self.source}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: it would be written down in plain")
