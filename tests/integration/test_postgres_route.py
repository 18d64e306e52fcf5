"""Records into a real PostgreSQL and out of it again, sound and with each fault planted between."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroaring import BitMap64

from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.accounting.profiles import Profile, profile
from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.errors import ConfigError, PlatformFailure
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.waiting import Deadline
from tests.integration.route_faults import FAULTS, Fault, by_name, check, passage
from tests.integration.shared_engines import SharedEngines
from tests.integration.tables import PostgresPlace

LIMIT_S = 60.0


@pytest.fixture
def place(engines: SharedEngines, tmp_path: Path) -> Iterator[PostgresPlace]:
    """A table that must not be left behind, nor a lease."""
    leases = LeaseStore(tmp_path / "leases", run_id="run-12345678")
    place = PostgresPlace(engines, leases)
    yield place
    assert not place.exists()
    assert leases.all() == []
    place.database.close()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_the_account_names_the_fault(fault: Fault, place: PostgresPlace, tmp_path: Path) -> None:
    account = passage(place.target(), place.reader(), fault, folder=tmp_path)
    blind = ("late", "reordered") if fault.about_time else ("reordered",)
    check(account, fault, blind=blind)
    assert "not observable" in str(account)


def test_copy_carries_every_value_too(place: PostgresPlace, tmp_path: Path) -> None:
    fault = by_name("none")
    check(
        passage(place.target(method="copy"), place.reader(), fault, folder=tmp_path),
        fault,
        blind=("reordered",),
    )


def test_lock_of_somebody_else_is_the_platforms_failure(place: PostgresPlace) -> None:
    small = profile("small")
    with place.target() as target, place.reader(statement_timeout_s=1.0) as reader:
        target.prepare(small.columns)
        holder = PostgresDatabase(PostgresConnection(**place.where))  # type: ignore[arg-type]
        try:
            reader.prepare(small.columns)
            holder.do(
                lambda connection: connection.cursor().execute(
                    f"lock table {place.table.sql} in access exclusive mode"
                ),
                deadline=Deadline.after(LIMIT_S),
            )
            with pytest.raises(PlatformFailure, match="no answer in time") as failure:
                reader.observe(expected(small), deadline=Deadline.after(LIMIT_S))
        finally:
            holder.close()
            target.remove()
    assert "hold a lock" in str(failure.value)


def test_bounded_texts_will_do_where_they_are_long_enough(place: PostgresPlace) -> None:
    small = profile("small")
    others = "seq bigint, sent_at_us bigint, body text, n bigint, word text"
    for run_id, digest, wrong in ((64, 32, ""), (64, 31, "digest is"), (10, 32, "run_id is")):
        place.sql(
            f"create table {{table}} (run_id varchar({run_id}), digest varchar({digest}), {others})"
        )
        try:
            with place.target(create=False) as target:
                if wrong:
                    with pytest.raises(ConfigError, match=wrong):
                        target.prepare(small.columns)
                else:
                    target.prepare(small.columns)
        finally:
            place.sql("drop table {table}")


def test_user_who_may_read_and_not_insert_is_told_apart(place: PostgresPlace) -> None:
    small = profile("small")
    role = f"reads_{secrets.token_hex(5)}"
    place.sql(f"create role {role} login")
    try:
        with place.target() as owner, place.target(user=role, create=False) as target:
            owner.prepare(small.columns)
            try:
                place.sql(f"grant select on {{table}} to {role}")
                target.prepare(small.columns)
                record = small.make("run-12345678", 0, sent_at_us=1)
                (result,) = target.send([record], deadline=Deadline.after(LIMIT_S))
            finally:
                owner.remove()
    finally:
        place.sql(f"drop role {role}")
    assert (result.outcome, result.login) == (Outcome.REFUSED, True)
    assert "permission denied" in result.reason


def test_row_that_is_changed_after_it_was_compared_is_told_when_compared_anew(
    place: PostgresPlace,
) -> None:
    small = profile("small")
    with place.target() as target, place.reader() as reader:
        target.prepare(small.columns)
        try:
            reader.prepare(small.columns)
            record = small.make("run-12345678", 0, sent_at_us=1)
            target.send([record], deadline=Deadline.after(LIMIT_S))
            before = reader.observe(expected(small), deadline=Deadline.after(LIMIT_S))
            place.sql("update {table} set body = body || ' ', digest = md5(body || ' ')")
            reader.compare_anew()
            after = reader.observe(expected(small), deadline=Deadline.after(LIMIT_S))
        finally:
            target.remove()
    assert (list(before.corrupted), list(after.corrupted)) == ([], [0])


def expected(profile: Profile) -> Expectation:
    """Of one record."""
    sent = BitMap64([0])
    return Expectation(
        "run-12345678",
        profile,
        sent=sent,
        acknowledged=sent,
        refused=BitMap64(),
        start_us=1,
        rate_per_s=1.0,
        within_s=1.0,
        late_s=1.0,
    )
