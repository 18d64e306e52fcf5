"""What comes over a websocket is an event of ours or is not, whatever its number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vdkprobe.readers.websocket import WebsocketReader, WebsocketReaderSettings
from pytest_vdkprobe.waiting import Deadline
from tests.unit.accounting.making import expectation


@pytest.mark.parametrize("number", [2**64 + 1, 10**30, 0, -1, True, "2", 2.0, None])
def test_a_number_that_none_of_ours_has_is_foreign(
    number: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = expectation(tmp_path / "book", 3, profile="small")
    reader = WebsocketReader(WebsocketReaderSettings(url="ws://127.0.0.1:1", compare=False))
    # Nobody is connected.
    monkeypatch.setattr(reader, "_check", lambda: None)
    for seqno in (1, number):
        message = json.dumps({"app_id": wanted.run_id, "seqno": seqno})
        for listener in (0, 1):
            reader._collector.add((listener, message))
    found = reader.observe(wanted, deadline=Deadline.after(5.0))
    assert list(found.seen) == [0]
    assert (found.foreign, found.duplicate) == (1, 0)
