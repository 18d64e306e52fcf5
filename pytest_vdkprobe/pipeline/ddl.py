"""The pipeline's tables in SQL: what the migrations run, and what a dry run prints.

Names without a schema are in that of the search path, which the migrations set. All of it says `if
not exists` or asks the catalogue in SQL itself: so it can be printed without a database, and run on
nothing, on the tables of the pipeline before this one, and again.
"""

from __future__ import annotations

from pytest_vdkprobe.connections.sql import literal, quoted
from pytest_vdkprobe.pipeline.rows import PARTITION
from pytest_vdkprobe.pipeline.rows import TABLE as METRICS
from pytest_vdkprobe.pipeline.sites import TABLE as CONFIG

BEFORE = f"{METRICS}_before"
"""What the metrics of the pipeline before are called: they don't say of which website they are."""
DEFAULT = f"{METRICS}_default"
"""The partition for days that have none of their own."""
OLDEST_DAYS = 400
NEWEST_DAYS = 2
"""Days before and after today that may have a partition: no message makes thousands of them."""

WEBSITES = (
    f"""create table if not exists {CONFIG} (
    amc_id serial primary key,
    amc_url_with_schema text not null,
    amc_regexp text,
    amc_active boolean not null default true
)""",
)
"""The table of websites, as the pipeline before had it."""

# ruff: noqa: S608 - what is put into these statements are names of ours, and quoted ones
ENSURE_PARTITION = f"""create or replace function {PARTITION}(day date) returns boolean
language plpgsql security definer set search_path from current as $body$
declare
    home text := quote_ident(current_schema()) || '.';
    part text := home || '{METRICS}_' || to_char(day, 'YYYYMMDD');
    today date := (now() at time zone 'UTC')::date;
begin
    if to_regclass(part) is not null then
        return true;
    end if;
    if day < today - {OLDEST_DAYS} or day > today + {NEWEST_DAYS} then
        return false;
    end if;
    perform pg_advisory_xact_lock(hashtext(part));
    execute 'create table if not exists ' || part || ' partition of ' || home || '{METRICS}'
        || ' for values from (' || quote_literal(day::timestamp at time zone 'UTC')
        || ') to (' || quote_literal((day + 1)::timestamp at time zone 'UTC') || ')';
    return true;
exception when check_violation then
    -- Rows of that day are in the default partition already, and stay there.
    return false;
end $body$"""
"""Runs with its owner's rights: who may only insert can have a day's partition made by it."""

SERIES = (
    f"alter table {CONFIG} add column if not exists amc_interval_s double precision",
    f"""do $$ begin
if exists (select from pg_catalog.pg_tables
           where schemaname = current_schema() and tablename = '{METRICS}')
   and not exists (select from information_schema.columns where table_schema = current_schema()
                   and table_name = '{METRICS}' and column_name = 'amm_site') then
    alter table {METRICS} rename to {BEFORE};
end if;
end $$""",
    f"""create table if not exists {METRICS} (
    amm_site bigint not null,
    amm_checked_at timestamptz not null,
    amm_unix_timestamp double precision not null,
    amd_response_code smallint,
    amd_response_time double precision not null,
    amm_regexp_found boolean,
    amm_error text,
    amm_stored_at timestamptz not null default clock_timestamp(),
    primary key (amm_site, amm_checked_at)
) partition by range (amm_checked_at)""",
    f"create table if not exists {DEFAULT} partition of {METRICS} default",
    f"""create index if not exists {METRICS}_checked_at
    on {METRICS} using brin (amm_checked_at)""",
    ENSURE_PARTITION,
    f"revoke all on function {PARTITION}(date) from public",
)
"""The table of metrics, in partitions of a day; and an interval for each website."""

BACK_TO_WEBSITES = (
    f"drop function if exists {PARTITION}(date)",
    f"drop table if exists {METRICS}",
    f"alter table if exists {BEFORE} rename to {METRICS}",
    f"alter table {CONFIG} drop column if exists amc_interval_s",
)
"""Undoes `SERIES`; the metrics of this pipeline go."""

WANTED = {
    CONFIG: {
        "amc_id": ("integer", "bigint"),
        "amc_url_with_schema": ("text", "character varying"),
        "amc_regexp": ("text", "character varying"),
        "amc_active": ("boolean",),
    },
}
"""The columns that a table of the pipeline before must have to be taken over, and their types."""


def role(schema: str, database: str, name: str, *, password: str | None = None) -> list[str]:
    """A role that may read the websites and add metrics, and nothing else.

    `password` is what PostgreSQL shall keep: a SCRAM verifier, not the password itself.
    """
    user, place = quoted(name), quoted(schema)
    create = f"""begin
if not exists (select from pg_catalog.pg_roles where rolname = {literal(name)}) then
    create role {user} login;
end if;
end"""
    # As a literal: a name may have any dollar sign in it that could stand around a block.
    statements = [f"do {literal(create)}"]
    if password is not None:
        statements.append(f"alter role {user} login password {literal(password)}")
    return [
        *statements,
        f"grant connect on database {quoted(database)} to {user}",
        f"grant usage on schema {place} to {user}",
        f"grant select on {place}.{CONFIG} to {user}",
        f"grant insert on {place}.{METRICS} to {user}",
        f"grant execute on function {place}.{PARTITION}(date) to {user}",
    ]
