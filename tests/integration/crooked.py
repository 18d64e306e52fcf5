"""A server between a run and its platform that is wrong below and above what the sandbox can be.

It passes each call on, except those that a test wants to answer itself: byte by byte, without end,
packed to burst, or not at all. What holds for the client alone is tested with the client; this is
for what a user sees of it.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.integration.heartbeats import configuration
from tests.unit.control.fake import Asked, Fake, Line, Reply, Script, serving

HOP = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})
"""Headers of one connection, not of the answer."""


def passed_on(platform: Sandbox, asked: Asked) -> Reply:
    """What the platform answers to that call."""
    parts = urlsplit(platform.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        connection.request(asked.method, asked.path, asked.body, asked.headers)
        answer = connection.getresponse()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in HOP}
        return Reply(answer.status, answer.read(), headers)
    finally:
        connection.close()


@contextmanager
def crooked(platform: Sandbox, call: str, script: Script) -> Iterator[Fake]:
    """A way to `platform` on which `script` answers the calls that match `call`.

    `call` is a regular expression for `METHOD path`, without the query.
    """

    def answer(asked: Asked, line: Line) -> Reply | None:
        if re.search(call, f"{asked.method} {asked.path.partition('?')[0]}"):
            return script(asked, line)
        return passed_on(platform, asked)

    with serving(answer) as fake:
        yield fake


def lead(path: Path, url: str) -> Path:
    """Let a configuration lead to another address."""
    line = f"url = {json.dumps(url)}"
    path.write_text(re.sub(r'(?m)^url = ".*"$', line, path.read_text()))
    return path


def way_through(fake: Fake, platform: Sandbox, folder: Path, *, run: str = "") -> Path:
    """A configuration that leads to the platform by that way."""
    return lead(configuration(platform, folder, run=run), fake.url)


def gone_after(asked: Asked, line: Line, answer: Callable[[Asked], Reply]) -> Reply:
    """The answer, after which nobody listens any more."""
    line.server.shutdown()
    line.server.server_close()
    line.close_connection = True
    reply = answer(asked)
    reply.headers["Connection"] = "close"
    return reply
