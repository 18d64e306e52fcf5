"""Counting a run's rows where they lie: statements whose answers stay small as the rows grow.

Records are told by number, so the engine groups them into blocks of 60 numbers and keeps a bit for
each. Ten million rows are 166,667 groups, far fewer than `count(distinct seq)` has to hold, and the
bits say exactly which numbers are there. One statement tells whether anything is wrong; only then
others list what. They run one after another, so rows that come between them make the later ones
know more; whoever asks takes the sets from the later.
"""

# ruff: noqa: S608 - every name in these statements is quoted, and every value a parameter

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_vdkprobe.accounting.observation import EXAMPLES
from pytest_vdkprobe.connections.sql import Database, Name, quoted

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.waiting import Deadline

SIZE = 60
"""Numbers in a block: each has a bit of a bigint, whose sign stays out of it."""
FULL = (1 << SIZE) - 1


class Summary(NamedTuple):
    """What one scan of the table says of a run."""

    rows: int
    """Of the run, with numbers in question."""
    distinct: int
    """How many numbers those have."""
    wrong: int
    """How many of those rows have a digest that is not their body's."""
    others: int
    """All other rows."""


class Tally:
    """The statements for one table."""

    def __init__(self, database: Database, table: Name) -> None:
        self._database = database
        self._table = table.sql
        engine = database.engine
        block = engine.part.format(x="seq", size=SIZE)
        bits = engine.bits_together.format(x=engine.bit.format(n=f"seq - block * {SIZE}"))
        self._wrong = engine.wrong_digest
        # In two steps, because Trino does not take parameters in GROUP BY.
        self._all = (
            f"select case when run_id = ? and seq between 0 and ? then {block} end as block,"
            f" seq, body, digest from {self._table}{engine.grouped}"
        )
        self._ours = f"select {block} as block, seq from {self._table} where {OURS}{engine.grouped}"
        self._bits = bits
        self._count_bits = engine.bit_count

    def rows(self, *, deadline: Deadline) -> int:
        """How many rows there are, of whatever run."""
        found = self._database.run(f"select count(*) from {self._table}", deadline=deadline)
        return int(found[0][0])

    def summary(self, run_id: str, last: int, *, deadline: Deadline) -> Summary:
        """What there is of the run's numbers 0 to `last`."""
        sql = f"""
            select coalesce(sum(n) filter (where block is not null), 0),
                coalesce(sum({self._count_bits.format(x="mask")}), 0),
                coalesce(sum(wrong), 0),
                coalesce(sum(n) filter (where block is null), 0)
            from (
                select block, count(*) as n, {self._bits} as mask,
                    count(*) filter (where block is not null and {self._wrong}) as wrong
                from ({self._all}) as a
                group by block
            ) as b"""
        return Summary(*map(int, self._run(sql, run_id, last, deadline=deadline)[0]))

    def seen(self, run_id: str, last: int, *, deadline: Deadline) -> BitMap64:
        """The run's numbers from 0 to `last` that are there."""
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        sql = f"""
            with b as (
                select block, {self._bits} as mask from ({self._ours}) as a group by block
            ), full_blocks as (
                select block, block - row_number() over (order by block) as stretch
                from b where mask = {FULL}
            )
            select min(block), max(block), {FULL} from full_blocks group by stretch
            union all
            select block, block, mask from b where mask <> {FULL}"""
        found = BitMap64()

        def take(row: Sequence[Any]) -> None:
            first, end, mask = int(row[0]) * SIZE, (int(row[1]) + 1) * SIZE, int(row[2])
            if mask == FULL:
                found.add_range(first, end)
            else:
                found.update(first + bit for bit in range(SIZE) if mask >> bit & 1)

        self._database.stream_numbers(sql, (run_id, last), take, deadline=deadline)
        return found

    def duplicates(
        self, run_id: str, last: int, take: Callable[[int, int], None], *, deadline: Deadline
    ) -> None:
        """Hand each number that is there more than once to `take`, with how many are too many."""
        doubled = f"count(*) > {self._count_bits.format(x=self._bits)}"
        sql = f"""
            with b as (
                select block from ({self._ours}) as a group by block having {doubled}
            )
            select seq, count(*) - 1 from ({self._ours}) as a
            where block in (select block from b)
            group by seq having count(*) > 1"""
        self._database.stream_numbers(
            sql,
            (run_id, last, run_id, last),
            lambda row: take(int(row[0]), int(row[1])),
            deadline=deadline,
        )

    def wrong(
        self, run_id: str, last: int, take: Callable[[int], None], *, deadline: Deadline
    ) -> None:
        """Hand the number of each row whose digest is not its body's to `take`."""
        sql = f"select seq from {self._table} where {OURS} and {self._wrong}"
        self._database.stream_numbers(
            sql, (run_id, last), lambda row: take(int(row[0])), deadline=deadline
        )

    def others(self, run_id: str, last: int, *, deadline: Deadline) -> list[tuple[object, object]]:
        """Run and number of some other rows, those first that were sent last."""
        sql = (
            f"select run_id, seq from {self._table} where not coalesce({OURS}, false)"
            f" order by sent_at_us desc nulls first, run_id, seq limit {EXAMPLES}"
        )
        found = self._run(sql, run_id, last, deadline=deadline)
        return [(run, seq) for run, seq in found]

    def fetch(
        self,
        run_id: str,
        numbers: Sequence[int],
        columns: Sequence[str],
        take: Callable[[Sequence[Any]], None],
        *,
        deadline: Deadline,
    ) -> None:
        """Hand `seq`, `sent_at_us`, `body`, `digest`, and the columns, of each row to `take`.

        A range may be long; of anything else each number is written into the statement.
        """
        names = ", ".join(["seq", "sent_at_us", "body", "digest", *map(quoted, columns)])
        parameters: tuple[object, ...]
        if isinstance(numbers, range):
            where = "seq between ? and ? and mod(seq - ?, ?) = 0"
            parameters = (numbers.start, numbers.stop - 1, numbers.start, numbers.step)
        else:
            where = f"seq in ({', '.join('?' * len(numbers))})"
            parameters = tuple(numbers)
        sql = f"select {names} from {self._table} where run_id = ? and {where}"
        parameters = (run_id, *parameters)
        self._database.stream(sql, parameters, take, deadline=deadline)

    def _run(self, sql: str, run_id: str, last: int, *, deadline: Deadline) -> list[Sequence[Any]]:
        return self._database.run(sql, (run_id, last), deadline=deadline)


OURS = "run_id = ? and seq between 0 and ?"
