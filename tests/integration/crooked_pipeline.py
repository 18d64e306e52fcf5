"""`vdkprobe pipeline ...` with one thing wrong, for accounts to find."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.pipeline import consumer, outbox, producer, rows
from pytest_vdkprobe.pipeline.message import Check
from pytest_vdkprobe.waiting import pause

BEFORE_ROWS_S = 2.0
put = outbox.Outbox.put
write = rows.Rows.write
begin = producer.Producer._begin
commit = consumer.Consumer._commit


def every(count: int) -> Callable[[], bool]:
    """Whether it is the turn, once in `count` times; never the first, or nothing would begin."""
    seen = [0]

    def turn() -> bool:
        seen[0] += 1
        return seen[0] % count == 0

    return turn


def changed(check: Check, **changes: object) -> Check:
    return msgspec.structs.replace(check, **changes)


def check_not_made() -> None:
    turn = every(4)

    def crooked(self: Any, web: Any, site: Any, slot_us: int) -> None:
        if not turn():
            begin(self, web, site, slot_us)

    producer.Producer._begin = crooked  # type: ignore[method-assign]


def on_put(change: Callable[[Check], Check | None]) -> None:
    turn = every(4)

    def crooked(self: Any, check: Check) -> None:
        made = change(check) if turn() else check
        if made is not None:
            put(self, made)

    outbox.Outbox.put = crooked  # type: ignore[method-assign]


def on_write(change: Callable[[Check], Sequence[Check]]) -> None:
    turn = every(4)

    def crooked(self: Any, connection: Any, checks: Sequence[Check]) -> int:
        return write(
            self,
            connection,
            [made for check in checks for made in (change(check) if turn() else [check])],
        )

    rows.Rows.write = crooked  # type: ignore[method-assign]


def commits_first() -> None:
    def crooked(self: Any, consumer: Any, batch: Any, stop: Any) -> bool:
        held = {key: list(value) for key, value in self._held.items()}
        commit(self, consumer)
        self._held = held
        pause(BEFORE_ROWS_S)
        self._keep(batch)
        return True

    consumer.Consumer._keep_in_the_end = crooked  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    "check-not-made": check_not_made,
    "message-lost": lambda: on_put(lambda _check: None),
    "message-altered": lambda: on_put(lambda check: changed(check, returned_code=201)),
    "row-lost": lambda: on_write(lambda _check: []),
    "row-altered": lambda: on_write(lambda check: [changed(check, regexp=not check.regexp)]),
    "row-twice": lambda: on_write(
        lambda check: [check, changed(check, unix_timestamp=check.unix_timestamp + 1e-5)]
    ),
    "commits-first": commits_first,
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    sys.exit(main(["pipeline", *sys.argv[2:]]))
