"""A table as a reader: the database does the counting, and what it says becomes the observation.

What is proven: identity of every row (which numbers came out, how often, what else lies there), and
that every row's body has the digest beside it, both by the database itself. Bodies, digests and
typed columns are compared with what was sent for all rows of a run up to `compare` rows, and beyond
that for as many, evenly spread; the account says so. Order and arrival times are not kept by a
table. Yet a look that ended before a record was due and saw it proves it in time, and one that
began afterwards and did not see it proves it late; only when some record escaped both is lateness
not observable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pytest_vdkprobe.accounting.bitmaps import each
from pytest_vdkprobe.accounting.observation import EXAMPLES, Observation, shown
from pytest_vdkprobe.clock import now_us
from pytest_vdkprobe.connections.sql import SqlError
from pytest_vdkprobe.connections.tables import OwnTable, finding
from pytest_vdkprobe.connections.versions import database_version
from pytest_vdkprobe.errors import PlatformFailure, TransportError
from pytest_vdkprobe.readers.comparison import Comparison
from pytest_vdkprobe.readers.punctuality import Punctuality
from pytest_vdkprobe.readers.tally import Tally
from pytest_vdkprobe.waiting import Deadline, pause

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.connections.sql import Database, Name
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.records import ColumnType

COMPARE = 100_000
SILENT_AFTER_S = 10.0
AGAIN_S = 0.5
"""Between two tries to look at a database that does not answer."""
LOOK_LIMIT_S = 60.0


class TableReader:
    """Reads one run's records out of one table."""

    def __init__(
        self,
        database: Database,
        table: Name,
        *,
        create: bool = False,
        compare: int = COMPARE,
        silent_after_s: float = SILENT_AFTER_S,
        leases: LeaseStore | None = None,
    ) -> None:
        self._database = database
        self._own = OwnTable(database, table, create=create, leases=leases, key="reader")
        self._tally = Tally(database, table)
        self._compare = compare
        self._silent_after_s = silent_after_s
        self._before = 0
        self._comparison: Comparison | None = None
        self._punctuality: Punctuality | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def losses(self) -> Mapping[str, str]:
        """Of a table with coarser times than ours."""
        return self._own.losses

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Find or create the table, and count what lies there already: it is not this run's."""
        self._own.ensure(columns, writing=False)
        deadline = Deadline.after(LOOK_LIMIT_S, "the time for a first look")
        try:
            self._before = self._tally.rows(deadline=deadline)
        except SqlError as exc:
            what = f"The table {self._own.name} can't be read"
            raise finding(what, exc, self._database, key="reader.table") from exc

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        """What lies in the table now."""
        silent = deadline.within(self._silent_after_s, "the time a server may be silent")
        while True:
            trouble: TransportError | SqlError
            try:
                return self._look(expectation, deadline)
            except TransportError as exc:
                trouble = exc
            except SqlError as exc:
                if not exc.gone:
                    raise self._no(exc) from exc
                trouble = exc
            # Looking changes nothing, so a server that comes back soon is looked at again.
            if silent.expired:
                raise PlatformFailure(
                    f"{self._database.engine.name} at {self._database.place} went away while "
                    f"records were looked for.",
                    seen=str(trouble).splitlines()[0],
                    expected=f"an answer within {self._silent_after_s:g} s",
                    checked=f"table {self._own.name}",
                    to_try="look at the server and its log: did it stop or restart?",
                ) from trouble
            pause(AGAIN_S, deadline=silent)

    def compare_anew(self) -> None:
        """Let the next look compare all rows again: they may be changed where they lie."""
        if self._comparison is not None:
            self._comparison.forget()

    def _no(self, exc: SqlError) -> PlatformFailure:
        """The server has let us read before, so its no is its own change of mind."""
        why = ": no answer in time" if exc.timed_out else ""
        return PlatformFailure(
            f"The table {self._own.name} can't be read any more{why}.",
            seen=str(exc),
            expected="rows, as before the first record was sent",
            checked=f"{self._database.engine.name} at {self._database.place}",
            to_try="is it overloaded, or does somebody hold a lock on the table?"
            if exc.timed_out
            else "did somebody drop or change it, or take our rights?",
        )

    def _look(self, expectation: Expectation, deadline: Deadline) -> Observation:
        run_id, sent = expectation.run_id, expectation.sent
        last = sent.max() if sent else -1
        found = Observation()
        began_us = now_us()
        summary = self._tally.summary(run_id, last, deadline=deadline)
        if summary.distinct == last + 1:
            found.seen.add_range(0, last + 1)
        elif summary.distinct:
            found.seen = self._tally.seen(run_id, last, deadline=deadline)
        ended_us = now_us()
        if summary.rows > summary.distinct:
            self._duplicates(found, run_id, last, deadline)
        if summary.wrong:
            self._tally.wrong(run_id, last, found.corrupted.add, deadline=deadline)
        if found.seen:
            self._add_content(found, expectation, deadline)
        self._add_foreign(found, expectation, summary.others, last, deadline)
        if self._punctuality is None:
            self._punctuality = Punctuality()
        found.late = self._punctuality.late(found.seen, expectation, began_us, ended_us)
        if found.late and self._punctuality.untold:
            found.notes.append(
                f"late are those that are known to be; for {self._punctuality.untold} records it "
                "can't be told"
            )
        return found

    def _duplicates(self, found: Observation, run_id: str, last: int, deadline: Deadline) -> None:
        def take(seq: int, more: int) -> None:
            found.duplicated.add(seq)
            found.duplicate += more

        self._tally.duplicates(run_id, last, take, deadline=deadline)

    def _add_content(
        self, found: Observation, expectation: Expectation, deadline: Deadline
    ) -> None:
        """Compare what was not yet compared, and tell what is wrong of all that was."""
        if self._comparison is None:
            self._comparison = Comparison(self._tally, self._compare, losses=self.losses)
        comparison = self._comparison
        comparison.look(found, expectation, deadline=deadline)
        found.corrupted |= comparison.corrupted
        found.differences = list(comparison.examples)
        compared = len(comparison.compared)
        if compared < len(found.seen & expectation.sent):
            found.notes.append(
                f"all bodies were compared with their digests by {self._database.engine.name}, "
                f"and {compared} of {len(found.seen)} records with what was sent"
            )

    def _add_foreign(
        self,
        found: Observation,
        expectation: Expectation,
        others: int,
        last: int,
        deadline: Deadline,
    ) -> None:
        for seq in each(found.seen - expectation.sent):
            found.add_foreign(f"number {seq} of this run, which was never sent")
        found.seen &= expectation.sent
        more = others - self._before
        if more <= 0:
            return
        examples = self._tally.others(expectation.run_id, last, deadline=deadline)
        found.foreign += more
        for whose, number in examples[: min(more, EXAMPLES)]:
            found.foreign_examples.append(
                f"number {shown(number)} of this run, which was never sent"
                if whose == expectation.run_id
                else f"run {shown(whose)}, number {shown(number)}"
            )

    def versions(self) -> Mapping[str, str]:
        """The server's."""
        return database_version(self._database)

    def remove(self) -> None:
        """Drop the table if it was created here, and see it gone."""
        self._own.remove()

    def close(self) -> None:
        """Let go of the server."""
        self._database.close()
