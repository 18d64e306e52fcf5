"""The history's tables, as the statements that make them, one revision after the other.

The first three revisions are data-pipeline-orchestrator's own, with its ids: a database that its
migrations made is adopted by noting where it stands, goes on from there, and can be taken back to
any of them for the old program. The statements are plain SQL in the words that PostgreSQL and
SQLite share, so that alembic can run them and the standard library's sqlite3 too; what differs
between the two stands in DIALECTS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

ROOM = "history"
SCHEMA = "dpo"
"""Where the orchestrator keeps its tables in PostgreSQL."""

DIALECTS = {
    "postgresql": {
        "uuid": "uuid",
        "new_uuid": "gen_random_uuid()",
        "moment": "timestamp with time zone",
        "now": "now()",
        "serial": "serial",
    },
    "sqlite": {
        "uuid": "char(36)",
        "new_uuid": (
            "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || "
            "substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' || "
            "hex(randomblob(6)))"
        ),
        "moment": "varchar(32)",
        "now": "(strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now'))",
        "serial": "integer",
    },
}


class Revision(NamedTuple):
    """How to reach one state of the tables from the one before, and back."""

    id: str
    up: tuple[str, ...]
    down: tuple[str, ...]


def statements(templates: tuple[str, ...], dialect: str) -> Iterator[str]:
    """Statements in the words of one dialect; those marked for the other are left out."""
    for template in templates:
        marked, mark, rest = template.partition("| ")
        if mark and marked in DIALECTS:
            if marked == dialect:
                yield rest.strip()
        else:
            yield template.format(**DIALECTS[dialect]).strip()


def _follow(old: str, new: str) -> tuple[str, ...]:
    """Keep the orchestrator's own version table in step, where there is one, for its alembic."""
    return tuple(
        f"""postgresql| do $$ begin if to_regclass('{table}') is not null then
            update {table} set version_num = '{new}' where version_num = '{old}';
            end if; end $$"""  # noqa: S608 - names and ids of ours
        for table in ("public.alembic_version", "public.alembic_version_dpo")
    )


_OLD_TIMES = """
    created_on {moment} default {now} not null,
    last_updated_on {moment} default {now} not null"""

_OLD_MODEL = (
    _OLD_TIMES
    + """,
    type varchar(100) not null,
    name varchar(250) not null,
    checksum varchar(100) not null"""
)

_NEW_TIMES = """
    created_on {moment} default {now} not null,
    updated_on {moment} default {now} not null"""

_TIMED = (
    _NEW_TIMES
    + """,
    status varchar(50) default 'INITIALISED' not null,
    started_on {moment} default {now} not null,
    completed_on {moment},
    execution_time_ms bigint"""
)

FIRST = Revision(
    "7d9871ef8afa",
    up=(
        f"""create table data_pipeline_execution (
            id {{uuid}} not null primary key, {_OLD_TIMES},
            execution_time_ms integer,
            status varchar(50) default 'INITIALISED' not null)""",
        f"""create table model_checksum (
            id {{serial}} not null primary key,
            execution_id {{uuid}} not null references data_pipeline_execution (id),
            {_OLD_MODEL})""",
    ),
    down=("drop table model_checksum", "drop table data_pipeline_execution"),
)

RENAMED = Revision(
    "fe9eed6d812f",
    up=(
        "alter table model_checksum rename to execution_model",
        "alter table data_pipeline_execution rename to execution",
        *_follow("7d9871ef8afa", "fe9eed6d812f"),
    ),
    down=(
        "alter table execution rename to data_pipeline_execution",
        "alter table execution_model rename to model_checksum",
        *_follow("fe9eed6d812f", "7d9871ef8afa"),
    ),
)

STEPS = Revision(
    "c5c34dd0b8f2",
    up=(
        "alter table execution_model rename to old_execution_model",
        "alter table execution rename to old_execution",
        f"create table execution (execution_id {{uuid}} not null primary key, {_TIMED})",
        f"""create table execution_step (
            execution_step_id {{uuid}} not null primary key,
            execution_id {{uuid}} not null references execution (execution_id),
            step_name varchar(100) not null, {_TIMED},
            rows_processed bigint)""",
        f"""create table execution_step_model (
            execution_step_model_id {{uuid}} not null primary key,
            execution_step_id {{uuid}} not null references execution_step (execution_step_id),
            {_NEW_TIMES},
            model_name varchar(250) not null,
            checksum varchar(100) not null)""",
        """insert into execution (execution_id, created_on, updated_on, status, started_on,
                                  completed_on, execution_time_ms)
           select id, created_on, last_updated_on, status, created_on,
                  last_updated_on, execution_time_ms
           from old_execution""",
        """insert into execution_step (execution_step_id, execution_id, created_on, updated_on,
                                       step_name, status, started_on)
           select {new_uuid}, execution_id, min(created_on), max(last_updated_on),
                  type, 'UNKNOWN', min(created_on)
           from old_execution_model group by execution_id, type""",
        """insert into execution_step_model (execution_step_model_id, execution_step_id,
                                             created_on, updated_on, model_name, checksum)
           select {new_uuid}, step.execution_step_id, old.created_on, old.last_updated_on,
                  old.name, old.checksum
           from old_execution_model old
           join execution_step step
             on step.execution_id = old.execution_id and step.step_name = old.type
           order by old.id""",
        "drop table old_execution_model",
        "drop table old_execution",
        *_follow("fe9eed6d812f", "c5c34dd0b8f2"),
    ),
    down=(
        "alter table execution rename to new_execution",
        "alter table execution_step rename to new_execution_step",
        "alter table execution_step_model rename to new_execution_step_model",
        f"""create table execution (
            id {{uuid}} not null primary key, {_OLD_TIMES},
            status varchar(50) default 'INITIALISED' not null,
            execution_time_ms integer)""",
        f"""create table execution_model (
            id {{serial}} not null primary key,
            execution_id {{uuid}} not null references execution (id), {_OLD_MODEL})""",
        # It was an integer of four bytes: what took longer than 24 days is cut.
        """insert into execution (id, created_on, last_updated_on, status, execution_time_ms)
           select execution_id, created_on, updated_on, status,
                  case when execution_time_ms > 2147483647 then 2147483647
                       else execution_time_ms end
           from new_execution""",
        """insert into execution_model (execution_id, type, created_on, last_updated_on, name,
                                        checksum)
           select step.execution_id, step.step_name, model.created_on, model.updated_on,
                  model.model_name, model.checksum
           from new_execution_step_model model
           join new_execution_step step on step.execution_step_id = model.execution_step_id
           order by step.created_on, model.created_on""",
        "drop table new_execution_step_model",
        "drop table new_execution_step",
        "drop table new_execution",
        *_follow("c5c34dd0b8f2", "fe9eed6d812f"),
    ),
)

ADDED = {
    "execution": {
        "pipeline": "varchar(200) default 'default' not null",
        "kind": "varchar(50) default 'pipeline' not null",
        "heartbeat_on": "{moment}",
        "abandon_after_s": "bigint",
        "holder": "text",
        "verdict": "varchar(20)",
        "note": "text",
        "versions": "text",
    },
    "execution_step": {
        "position": "integer",
        "base_path": "text",
        "verdict": "varchar(20)",
        "note": "text",
        "account": "text",
    },
    "execution_step_model": {
        "path": "text",
        "normal_checksum": "varchar(100)",
        "size_bytes": "bigint",
    },
}
"""Columns beside the orchestrator's, which its program neither reads nor has to write. `kind` is
`pipeline` for executions of commands and `run` for those of pytest; `holder` is the process that
keeps an execution alive (processes.Process), `versions` are the versions by name, `account` is a
route's account: these three as JSON. `path` is relative to the step's base path; the orchestrator's
own rows have none."""

OURS = Revision(
    "vdkprobe_0001",
    up=(
        *(
            f"alter table {table} add column {name} {kind}"
            for table, columns in ADDED.items()
            for name, kind in columns.items()
        ),
        # A stem may be as long as a file's name, 255 bytes, and a journey's id longer.
        "postgresql| alter table execution_step_model alter column model_name type text",
        "postgresql| alter table execution_step alter column step_name type varchar(500)",
        """create table execution_step_part (
            execution_step_id {uuid} not null references execution_step (execution_step_id),
            position integer not null,
            name varchar(200) not null,
            verdict varchar(20) not null,
            duration_s double precision not null,
            evidence text,
            primary key (execution_step_id, position))""",
        "create index execution_of_pipeline on execution (pipeline, kind, status, updated_on)",
        "create index step_of_execution on execution_step (execution_id, step_name)",
        "create unique index model_of_step on execution_step_model (execution_step_id, path)",
    ),
    down=(
        "drop index execution_of_pipeline",
        "drop index step_of_execution",
        "drop index model_of_step",
        "drop table execution_step_part",
        """postgresql| alter table execution_step_model alter column model_name type varchar(250)
           using left(model_name, 250)""",
        """postgresql| alter table execution_step alter column step_name type varchar(100)
           using left(step_name, 100)""",
        *(
            f"alter table {table} drop column {name}"
            for table, columns in ADDED.items()
            for name in columns
        ),
    ),
)

REVISIONS = (FIRST, RENAMED, STEPS, OURS)
"""All there are, the oldest first."""
HEAD = OURS.id
