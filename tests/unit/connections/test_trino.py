"""Trino's client repeats what only reads, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_vdkprobe.connections.sql import Fate, SqlError
from pytest_vdkprobe.connections.trino import TrinoConnection, TrinoDatabase
from pytest_vdkprobe.waiting import Deadline

ANSWER = {
    "id": "q1",
    "infoUri": "",
    "columns": [
        {
            "name": "n",
            "type": "bigint",
            "typeSignature": {"rawType": "bigint", "arguments": []},
        }
    ],
    "data": [[1]],
    "stats": {"state": "FINISHED"},
}


@contextmanager
def coordinator(
    *statuses: int, answer: bytes = json.dumps(ANSWER).encode()
) -> Iterator[tuple[TrinoDatabase, list[str]]]:
    """One that answers with these in turn, and then with a row; and the statements it was sent."""
    left, sent = list(statuses), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status = left.pop(0) if left else 200
            body = answer if status == 200 else b"upstream is busy"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            port = server.server_address[1]
            settings = TrinoConnection(host="127.0.0.1", port=port, user="probe")
            with closing(TrinoDatabase(settings, key="target")) as database:
                yield database, sent
        finally:
            server.shutdown()


def test_a_read_is_repeated_after_a_503_as_the_protocol_asks_for() -> None:
    with coordinator(503, 502) as (database, sent):
        assert database.run("SELECT 1", deadline=Deadline.after(20)) == [[1]]
    assert sent == ["SELECT 1"] * 3


@pytest.mark.parametrize("sql", ["INSERT INTO t VALUES (1)", "CREATE TABLE t (n bigint)"])
def test_what_writes_is_sent_once(sql: str) -> None:
    with coordinator(503) as (database, sent), pytest.raises(SqlError, match="503"):
        database.run(sql, deadline=Deadline.after(20))
    assert sent == [sql]


def test_a_read_that_is_never_let_in_fails() -> None:
    with coordinator(*[503] * 9) as (database, sent), pytest.raises(SqlError, match="503"):
        database.run("SELECT 1", deadline=Deadline.after(20))
    assert len(sent) == 4


@pytest.mark.parametrize(
    "answer",
    [json.dumps(ANSWER).encode()[:-40], b"<html>", b"{}", b"[]", b"null", b"\xff"],
    ids=["cut", "html", "object", "list", "null", "no-text"],
)
def test_what_is_no_answer_of_trino_s_is_told_as_that_and_leaves_open_what_was_written(
    answer: bytes,
) -> None:
    with coordinator(answer=answer) as (database, _), pytest.raises(SqlError) as raised:
        database.run("INSERT INTO t VALUES (1)", deadline=Deadline.after(20))
    assert "not Trino's" in str(raised.value)
    assert raised.value.fate is Fate.UNKNOWN
