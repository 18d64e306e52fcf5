"""Answers that nobody should give, met by a whole run: it ends, tells it readably, and stays small.

What the client makes of each is tested with the client; here it is what a user sees and keeps: the
terminal, the JUnit file, the report, and the memory of the process.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.children import Ended, run_pytest
from tests.integration.crooked import crooked, way_through
from tests.integration.heartbeats import leftovers, sandbox
from tests.integration.planted_causes import up_to
from tests.unit.control.fake import Asked, Fake, Line, Reply, Script, serving

MEMORY_MB = 60
"""What a run may need beyond a green one: ten megabytes of a body, its text, and its excerpts."""

PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
RUN = "step_timeout_s = 20\ncleanup_timeout_s = 6\nlimits = { log = 1 }"
ANSI = "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x1b[0m \x00\x08\x7f\u202egnp.exe\u2028 \ufffe"
SHORT = 20_000
"""Characters of a terminal's output that somebody would read."""


def _say(*pieces: bytes, headers: str = "") -> Script:
    def script(_: Asked, line: Line) -> None:
        line.say(f"HTTP/1.1 200 OK\r\n{headers}\r\n".encode())
        for piece in pieces:
            line.say(piece)

    return script


def _endless(_: Asked, line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n")
    try:
        while not line.server.over.is_set():
            line.say(b"x" * 65536)
    except OSError:
        line.server.hung_up.set()


def _answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Script:
    return lambda _asked, _line: Reply(
        status, body, {"Content-Type": "text/plain", **(headers or {})}
    )


def _bomb() -> bytes:
    """A gigabyte of zeros in a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b"\0" * 2**20) for _ in range(1000)) + packer.flush()


EXPLAINED = json.dumps(
    {"what": ANSI, "why": ANSI, "consequences": "<b>&amp;]]></b>", "countermeasures": ANSI}
).encode()
DEEP = b'{"a":' * 500_000 + b"1" + b"}" * 500_000


@dataclass(frozen=True)
class Hostile:
    """An answer to a call, the step that meets it, and what is said of it."""

    name: str
    call: str
    step: str
    script: Script
    says: str


KEYTAB, PROPERTIES, LOGS = "GET .*/keytab$", "GET .*/properties$", "GET .*/logs$"
PACKED = {"Content-Encoding": "gzip"}
ANSWERS = (
    Hostile(
        "control characters", KEYTAB, "keytab", _answer(EXPLAINED, 500), r"\x1b[2J\x1b]0;owned"
    ),
    Hostile(
        "control characters in a log",
        LOGS,
        "log",
        _answer(json.dumps({"logs": ANSI * 50}).encode()),
        "without nonce=",
    ),
    Hostile(
        "invalid UTF-8",
        PROPERTIES,
        "properties",
        _answer(b"\xff\xfe\xc3( broke", 500),
        r"\xff\xfe\xc3( broke",
    ),
    Hostile(
        "invalid UTF-8 in JSON",
        PROPERTIES,
        "properties",
        _answer(b'{"a": "\xff"}'),
        r'{"a": "\xff"}',
    ),
    Hostile(
        "ten megabytes", PROPERTIES, "properties", _answer(b"y" * (10 * 2**20 - 1)), "not JSON"
    ),
    Hostile(
        "ten megabytes of an error",
        PROPERTIES,
        "properties",
        _answer(b"<" * (10 * 2**20 - 1), 500),
        "answered 500",
    ),
    Hostile("endless", KEYTAB, "keytab", _endless, "larger than 10 MB"),
    Hostile("deep JSON", PROPERTIES, "properties", _answer(DEEP), "nested too deep"),
    Hostile(
        "HTML for JSON",
        PROPERTIES,
        "properties",
        _answer(b"<html>sign in</html>", headers={"Content-Type": "text/html"}),
        "bytes (text/html)",
    ),
    Hostile("bomb", KEYTAB, "keytab", _answer(_bomb(), headers=PACKED), "larger than 10 MB"),
    Hostile(
        "bomb in a bomb",
        KEYTAB,
        "keytab",
        _answer(gzip.compress(_bomb()), headers={"Content-Encoding": "gzip, gzip"}),
        "unpacked",
    ),
    Hostile("no packing at all", KEYTAB, "keytab", _answer(b"plain", headers=PACKED), "unpacked"),
    Hostile(
        "header without end",
        KEYTAB,
        "keytab",
        _say(headers="X: " + "y" * 200_000 + "\r\n"),
        "no HTTP answer",
    ),
    Hostile(
        "length that lies",
        KEYTAB,
        "keytab",
        _say(b"short", headers="Content-Length: 4000\r\n"),
        "cut in the middle",
    ),
)


def run_measured(path: Path, *options: str) -> tuple[Ended, float]:
    """Run pytest; what came of it, and the most memory that it had, in megabytes."""
    peak = path.parent / "peak"
    ended = run_pytest(path, *options, before=(sys.executable, "-c", PEAK, str(peak)))
    return ended, int(peak.read_text()) / 1024


@pytest.fixture(scope="module")
def usual_mb(tmp_path_factory: pytest.TempPathFactory) -> float:
    """What a green run needs."""
    folder = tmp_path_factory.mktemp("usual")
    with sandbox() as platform, crooked(platform, "never", _endless) as fake:
        ended, mb = run_measured(way_through(fake, platform, folder, run=RUN), *up_to("properties"))
    assert ended.exit_code == 0, ended.output
    return mb


@pytest.mark.parametrize("hostile", ANSWERS, ids=lambda hostile: hostile.name.replace(" ", "-"))
def test_hostile_answer_is_a_readable_failure_in_bounded_memory(
    hostile: Hostile, usual_mb: float, tmp_path: Path
) -> None:
    with sandbox() as platform, crooked(platform, hostile.call, hostile.script) as fake:
        path = way_through(fake, platform, tmp_path, run=RUN)
        ended, mb = run_measured(path, *up_to(hostile.step))
        assert leftovers(platform, tmp_path) == []
    assert ended.first_bad == (hostile.step, "fail"), ended.output[:SHORT]
    assert hostile.says in " ".join(map(str, ended.steps[hostile.step]["finding"].values()))
    assert mb < usual_mb + MEMORY_MB
    require_readable(ended, tmp_path)


def require_readable(ended: Ended, folder: Path) -> None:
    """Nothing that a terminal obeys, nothing without end; the JUnit file was parsed already."""
    assert len(ended.output) < SHORT
    assert re.findall(r"[^\n\t -~\u00a0-\uffef]|[\u202a-\u202e\u2028\ufffe]", ended.output) == []
    assert ended.cases
    for path in (folder / "failures").iterdir():
        assert path.stat().st_size < 200_000
        kept = json.loads(path.read_text())
        assert all(text.isprintable() or "\n" in text for text in _texts(kept))
        assert "\x1b" not in "".join(_texts(kept))


def _texts(tree: object) -> list[str]:
    if isinstance(tree, dict):
        return [text for part in tree.values() for text in _texts(part)]
    if isinstance(tree, list):
        return [text for part in tree for text in _texts(part)]
    return [tree] if isinstance(tree, str) else []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_do_not_follow_a_redirect_to_another_host(status: int, tmp_path: Path) -> None:
    with sandbox(auth=True) as platform, serving(lambda *_: Reply(200, {})) as other:
        where = f"{other.url}/stolen?\x1b[31m"
        redirect = _answer(b"", status, {"Location": where})
        with crooked(platform, KEYTAB, redirect) as fake:
            ended = run_pytest(way_through(fake, platform, tmp_path, run=RUN), *up_to("keytab"))
        assert ended.first_bad == ("keytab", "fail"), ended.output
        assert "is not followed" in ended.output
        assert _asked(other) == []
        require_readable(ended, tmp_path)


def _asked(fake: Fake) -> list[str]:
    return [f"{asked.method} {asked.path}" for asked in fake.asked]
