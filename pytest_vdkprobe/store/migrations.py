"""A room's migrations: alembic, told everything by us instead of by an ini file and an env.py.

All of an upgrade is one transaction under one lock. A database that is newer than this program is
refused instead of damaged, and tables that another program made can be adopted: the room says which
revision they amount to.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.connections.sql import quoted
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import Work
from pytest_vdkprobe.store.engine import EngineWork, make_engine, schema_name, transaction
from pytest_vdkprobe.store.versions import lock, newer, read_version, stamp, stamping, version_table

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationInfo
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Revision:
    """One state of a room's tables."""

    id: str
    what: str
    is_head: bool


class Migrations:
    """The revisions of one room, in `folder`; tables lie in `schema` where there are schemas."""

    def __init__(
        self,
        room: str,
        folder: Path,
        *,
        schema: str,
        adopted: Callable[[Work], str | None] = lambda _: None,
    ) -> None:
        self.room = room
        self._folder = folder
        self._schema = schema
        self._adopted = adopted

    def revisions(self) -> list[Revision]:
        """Every revision, the oldest first."""
        script = self._script()
        head = script.get_current_head()
        found = [
            Revision(one.revision, one.doc, one.revision == head) for one in script.walk_revisions()
        ]
        return found[::-1]

    def current(self, address: Address) -> str | None:
        """The revision of the database; of another program's tables, what they amount to."""
        if address.file is not None and not address.file.exists():
            return None
        with self._work(address) as (_, work):
            return read_version(work, self.room) or self._adopted(work)

    def upgrade(self, address: Address, revision: str = "head") -> list[str]:
        """Bring the tables to `revision`; the revisions that were gone through."""
        if address.file is not None:
            address.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._migrate(
            address,
            lambda script, current: script._upgrade_revs(revision, current),
            create=True,
        )

    def downgrade(self, address: Address, revision: str, *, discard: bool = False) -> list[str]:
        """Take the tables back to `revision` or by `-N`; `discard` lets the first one go too."""

        def steps(script: ScriptDirectory, current: Any) -> Any:
            found = script._downgrade_revs(revision, current)
            if not discard and any(not step.to_revisions_no_deps for step in found):
                raise ConfigError(
                    f"Going back to {revision} drops the {self.room}'s tables with all rows.",
                    key="REVISION",
                    to_try="add --discard if that is what you want",
                )
            return found

        return self._migrate(address, steps, create=False)

    def sql_for(self, address: Address, revision: str, *, down: bool = False) -> str:
        """The statements that would take this database to a revision."""
        known = None
        if address.file is None or address.file.exists():
            with self._work(address) as (_, work):
                known = read_version(work, self.room)
                found = known or self._adopted(work)
        else:
            found = None
        adopting = found is not None and known is None
        return self.sql(address.dialect, start=found, end=revision, down=down, adopting=adopting)

    def sql(
        self,
        dialect: str,
        *,
        start: str | None,
        end: str,
        down: bool = False,
        adopting: bool = False,
    ) -> str:
        """The statements from one revision to another, run by nobody.

        `adopting` notes first that the tables are at `start`.
        """
        script = self._script()

        def steps(_: Any, __: Any) -> Any:
            if down:
                return script._downgrade_revs(end, start)
            return script._upgrade_revs(end, start)  # type: ignore[arg-type]

        buffer = io.StringIO()
        with _objections(self), self._environment(script, steps, sql=(start, end)) as environment:
            environment.configure(
                dialect_name=dialect,
                output_buffer=buffer,
                version_table=version_table(self.room),
            )
            environment.run_migrations()
        head = "begin;\n"
        if dialect == "postgresql":
            path = quoted(self._schema)
            head += f"create schema if not exists {path};\nset local search_path to {path};\n"
        if adopting and start is not None:
            head += "".join(f"{statement};\n" for statement in stamping(self.room, start))
        return f"{head}\n{buffer.getvalue()}commit;\n"

    def _migrate(
        self, address: Address, steps: Callable[[ScriptDirectory, Any], Any], *, create: bool
    ) -> list[str]:
        script = self._script()
        done: list[str] = []

        def note(*, step: MigrationInfo, **_: object) -> None:
            reached = step.up_revision_ids if step.is_upgrade else step.down_revision_ids
            done.append(str(reached[0]) if reached else "base")

        with self._work(address) as (connection, work):
            lock(work, self.room)
            if create and work.dialect == "postgresql" and not self._has_schema(work):
                work.change(f"create schema {schema_name(self._schema)}")
            self._refuse_newer(script, read_version(work, self.room), address)
            if read_version(work, self.room) is None:
                found = self._adopted(work)
                if found is not None:
                    stamp(work, self.room, found)
            with (
                _objections(self),
                self._environment(script, lambda current, _: steps(script, current)) as environment,
            ):
                environment.configure(
                    connection=connection,
                    version_table=version_table(self.room),
                    version_table_schema=(self._schema if work.dialect == "postgresql" else None),
                    on_version_apply=note,  # type: ignore[arg-type]  # called with keywords
                )
                environment.run_migrations()
        return done

    @contextmanager
    def _work(self, address: Address) -> Iterator[tuple[Connection, Work]]:
        engine = make_engine(address)
        try:
            with transaction(engine, address, schema=self._schema) as connection:
                yield connection, EngineWork(connection)
        finally:
            engine.dispose()

    def _has_schema(self, work: Work) -> bool:
        """Asked first: `if not exists` wants a privilege that a schema's owner need not have."""
        sql = "select 1 from pg_namespace where nspname = :name"
        return bool(work.rows(sql, name=self._schema))

    def _refuse_newer(self, script: ScriptDirectory, current: str | None, address: Address) -> None:
        known = [one.revision for one in script.walk_revisions()]
        if current is not None and current not in known:
            raise newer(self.room, current, known[0], address)

    def _script(self) -> ScriptDirectory:
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - 200 ms, for migrations only

        return ScriptDirectory(self._folder, version_locations=[self._folder])

    def _environment(
        self,
        script: ScriptDirectory,
        steps: Callable[[Any, Any], Any],
        *,
        sql: tuple[str | None, str] | None = None,
    ) -> EnvironmentContext:
        from alembic.config import Config  # noqa: PLC0415 - as above
        from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415 - as above

        offline = {} if sql is None else {"starting_rev": sql[0], "destination_rev": sql[1]}
        return EnvironmentContext(Config(), script, fn=steps, as_sql=sql is not None, **offline)


@contextmanager
def _objections(migrations: Migrations) -> Iterator[None]:
    """Alembic's objections to a revision, with those that there are."""
    from alembic.util.exc import CommandError  # noqa: PLC0415 - as above

    try:
        yield
    except CommandError as exc:
        known = ", ".join(one.id for one in migrations.revisions())
        raise ConfigError(
            f"That revision can't be reached: {exc}.",
            key="REVISION",
            expected=f"head, base, +N, -N or one of {known}",
            to_try="`revisions` lists them, `current` tells where the database is",
        ) from exc
