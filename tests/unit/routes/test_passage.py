"""A passage sends each record once, on schedule, and draws up an account whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.accounting.account import Account
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.profiles import PROFILES
from pytest_vdkprobe.errors import (
    LoginError,
    NoEvidence,
    PlatformFailure,
    ProbeError,
    TransportError,
)
from pytest_vdkprobe.records import Record
from pytest_vdkprobe.routes.passage import Passage
from pytest_vdkprobe.routes.settings import End, RouteSettings
from pytest_vdkprobe.waiting import Deadline
from tests.unit.routes.ends import ACKNOWLEDGED, Pipe

QUICK: dict[str, Any] = {
    "records": 50,
    "rate_per_s": 5000.0,
    "within_s": 2.0,
    "late_s": 0.2,
    "quiet_s": 0.02,
}


@pytest.fixture
def passage(tmp_path: Path) -> Callable[..., Passage]:
    def make(pipe: Pipe, **settings: Any) -> Passage:
        ends = End("pipe")
        return Passage(
            RouteSettings(name="r", target=ends, reader=ends, **{**QUICK, **settings}),
            PROFILES["small"],
            way="direct",
            run_id="0123abcd",
            target=pipe,
            reader=pipe,
            ledger_path=tmp_path / "reports" / "r.ledger",
        )

    return make


def through(passage: Passage, *, within_s: float = 10) -> Account:
    passage.prepare()
    passage.send(deadline=Deadline.after(within_s))
    return passage.reconcile(deadline=Deadline.after(within_s))


def test_sound_pipe_delivers_everything_and_its_ledger_goes(
    passage: Callable[..., Passage], tmp_path: Path
) -> None:
    pipe = Pipe()
    whole = passage(pipe)
    account = through(whole)
    account.require()
    assert (account.sent, account.delivered) == (50, 50)
    assert [record.seq for record in pipe.sent] == list(range(50))
    whole.remove()
    whole.close()
    assert list(tmp_path.iterdir()) == []


def test_intended_times_follow_the_schedule_whatever_the_target_takes(
    passage: Callable[..., Passage],
) -> None:
    pipe = Pipe()
    through(passage(pipe, rate_per_s=1000.0))
    times = [record.sent_at_us for record in pipe.sent]
    assert [time - times[0] for time in times] == [seq * 1000 for seq in range(50)]


def test_lost_record_is_lost_only_after_its_late_window(
    passage: Callable[..., Passage], tmp_path: Path
) -> None:
    pipe = Pipe(alter=lambda record: [] if record.seq in (0, 7, 49) else [record])
    one = passage(pipe)
    account = through(one)
    assert (account.lost, account.delivered) == (3, 47)
    with pytest.raises(PlatformFailure, match="Of 50 records: 3 lost") as failure:
        account.require()
    assert "record 0, 7, 49" in str(failure.value)
    one.remove()
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["r.ledger"]


def test_duplicate_that_trails_is_waited_for(passage: Callable[..., Passage]) -> None:
    def twice(record: Record) -> list[Record]:
        return [record, record] if record.seq == 49 else [record]

    account = through(passage(Pipe(alter=twice)))
    assert account.duplicate == 1
    with pytest.raises(PlatformFailure, match="1 duplicate"):
        account.require()
    account.require(duplicate=1)


def test_reader_that_can_compares_all_once_more_at_the_end(
    passage: Callable[..., Passage],
) -> None:
    class Changing(Pipe):
        def compare_anew(self) -> None:
            self.calls.append("compare anew")
            assert self._observer is not None
            self._observer.observation.corrupted.add(7)

    pipe = Changing()
    account = through(passage(pipe))
    assert account.corrupted == 1
    assert pipe.calls.count("compare anew") == 1


def test_refused_record_that_comes_out_is_contradicted(passage: Callable[..., Passage]) -> None:
    refused = SendResult(Outcome.REFUSED, "no room")
    pipe = Pipe(judge=lambda record: refused if record.seq == 5 else ACKNOWLEDGED)
    account = through(passage(pipe))
    assert (account.delivered, account.refused, account.contradicted) == (50, 0, 1)
    assert "contradicted 1: record 5 (no room)" in account.explain()


def test_refusal_is_told_with_its_reason(passage: Callable[..., Passage]) -> None:
    refused = SendResult(Outcome.REFUSED, "no room")
    pipe = Pipe(alter=lambda _record: [], judge=lambda _record: refused)
    with pytest.raises(PlatformFailure, match="50 refused") as failure:
        through(passage(pipe)).require()
    assert "no room" in str(failure.value)


def test_login_that_may_not_write_from_the_start_is_ours(passage: Callable[..., Passage]) -> None:
    barred = SendResult(Outcome.REFUSED, "403 Forbidden", login=True)
    pipe = Pipe(alter=lambda _record: [], judge=lambda _record: barred)
    with pytest.raises(LoginError, match="login is refused") as failure:
        through(passage(pipe))
    assert "403 Forbidden" in str(failure.value)
    assert len(pipe.sent) <= pipe.batch


def test_login_that_is_refused_after_it_had_worked_is_the_platforms(
    passage: Callable[..., Passage],
) -> None:
    barred = SendResult(Outcome.REFUSED, "401 Unauthorized", login=True)
    pipe = Pipe(
        alter=lambda record: [record] if record.seq < 10 else [],
        judge=lambda record: ACKNOWLEDGED if record.seq < 10 else barred,
    )
    with pytest.raises(PlatformFailure, match="40 refused"):
        through(passage(pipe)).require()


def test_ambiguous_send_that_never_comes_out_is_unknown_not_lost(
    passage: Callable[..., Passage],
) -> None:
    unknown = SendResult(Outcome.UNKNOWN, "timed out")
    pipe = Pipe(
        alter=lambda record: [] if record.seq == 5 else [record],
        judge=lambda record: unknown if record.seq in (4, 5) else ACKNOWLEDGED,
    )
    account = through(passage(pipe))
    assert (account.delivered, account.unknown, account.lost) == (49, 1, 0)
    with pytest.raises(NoEvidence, match="what became of 1"):
        account.require()


def test_changed_value_is_named_with_what_was_sent_and_seen(
    passage: Callable[..., Passage],
) -> None:
    def lower(record: Record) -> list[Record]:
        if record.seq != 3:
            return [record]
        return [msgspec.structs.replace(record, payload={**record.payload, "n": 4})]

    account = through(passage(Pipe(alter=lower)))
    with pytest.raises(PlatformFailure, match="record 3, n: sent 3, seen 4"):
        account.require()


def test_step_without_time_sends_no_more_and_does_not_pass(
    passage: Callable[..., Passage],
) -> None:
    slow = passage(Pipe(), rate_per_s=10.0)
    slow.prepare()
    slow.send(deadline=Deadline.after(0.3))
    with pytest.raises(NoEvidence, match=r"Only \d+ of 50 records could be sent"):
        slow.reconcile(deadline=Deadline.after(5))


def test_reader_that_breaks_leaves_the_account_of_before(passage: Callable[..., Passage]) -> None:
    pipe = Pipe(alter=lambda record: [record] if record.seq < 9 else [])
    one = passage(pipe, within_s=30.0)
    one.prepare()
    one.send(deadline=Deadline.after(5))
    looks = pipe.observe
    seen: list[int] = []

    def breaks(*args: Any, **options: Any) -> Any:
        seen.append(1)
        if len(seen) > 2:
            raise ProbeError("The engine is gone.")
        return looks(*args, **options)

    pipe.observe = breaks  # type: ignore[method-assign]
    with pytest.raises(ProbeError, match="The engine is gone"):
        one.reconcile(deadline=Deadline.after(20))
    told = one.to_dict()
    assert (told["sent"], told["delivered"], told["in_flight"]) == (50, 9, 41)
    assert Path(told["ledger"]).exists()


def test_ledger_of_a_killed_passage_tells_what_was_sent(
    passage: Callable[..., Passage], tmp_path: Path
) -> None:
    one = passage(Pipe())
    one.prepare()
    one.send(deadline=Deadline.after(5))
    copy = tmp_path / "copy"
    copy.write_bytes(one.ledger_path.read_bytes())
    with Ledger.open(copy) as again:
        assert (len(again.sent), len(again.acknowledged)) == (50, 50)
        assert again.next_seq == 50


@pytest.mark.parametrize("answer", [None, "acknowledged", [1] * 50, ["acknowledged"] * 50])
def test_a_target_that_returns_no_results_is_named(
    passage: Callable[..., Passage], answer: object
) -> None:
    class Wrong(Pipe):
        def send(self, *_: object, **__: object) -> Any:
            return answer

    with pytest.raises(ProbeError, match=r"Wrong.send returned what it may not") as problem:
        through(passage(Wrong()))
    assert "a SendResult for each record" in str(problem.value)
    assert f"{__file__}:" in str(problem.value)


def test_a_reader_that_returns_no_observation_is_named(passage: Callable[..., Passage]) -> None:
    class Wrong(Pipe):
        def observe(self, *_: object, **__: object) -> Any:
            return {"seen": 50}

    with pytest.raises(ProbeError, match=r"Wrong.observe returned what it may not") as problem:
        through(passage(Wrong()))
    assert "{'seen': 50}" in str(problem.value)


def test_end_that_went_away_before_the_cleanup_is_the_platforms(
    passage: Callable[..., Passage],
) -> None:
    class Gone(Pipe):
        def remove(self) -> None:
            raise TransportError("The broker can't be reached.", seen="connection refused")

    unsent, sent = passage(Gone()), passage(Gone())
    with pytest.raises(TransportError):
        unsent.remove()
    through(sent)
    with pytest.raises(PlatformFailure, match="The broker can't be reached") as failure:
        sent.remove()
    assert failure.value.seen == "connection refused"
