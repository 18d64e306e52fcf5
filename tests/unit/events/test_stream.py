"""Every class of an event's fate is seen on real sockets when its fault is planted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyroaring import BitMap64

from pytest_vdkprobe import clock
from pytest_vdkprobe.errors import (
    ConfigError,
    Finding,
    GivenUpFailure,
    LoginError,
    NoEvidence,
    PlatformFailure,
    TransportError,
)
from pytest_vdkprobe.events.findings import Round
from pytest_vdkprobe.events.stream import EventStream
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.readers import listener
from pytest_vdkprobe.sandbox.faults import EVENT_LIES
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, pause, wait_until
from tests.unit.events.streams import LIMIT_S, LOSSY, all_listen, run, seen, stream, table

POSTS = {"method": "POST", "path": "/collect/"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=5) as started:
        yield started


def test_good_pipeline_delivers_every_event_once(sandbox: Sandbox, tmp_path: Path) -> None:
    with stream(sandbox, tmp_path) as made:
        found = run(made)
        found.require()
        assert (found.account.sent, found.account.delivered) == (20, 20)
        assert found.evidence().startswith("sent 20, delivered 20, ")
        assert ", p99 " in found.evidence()
        assert made.clean
        made.books.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "counts", "said"),
    [
        ({"name": "events-loses", "times": 2}, {"lost": 2, "delivered": 18}, "2 lost"),
        ({"name": "events-duplicates", "times": 3}, {"duplicate": 3, "delivered": 20}, "3 dup"),
        ({"name": "events-late", "times": 2, "delay_s": 3}, {"late": 2}, "2 late"),
        ({"name": "events-foreign", "times": 2}, {"foreign": 2}, "run 'another1'"),
        ({"name": "events-truncates", "times": 1}, {"corrupted": 1}, "body: sent"),
        ({"name": "status", "status": 400, "times": 2, **POSTS}, {"refused": 2}, "400 Bad Request"),
    ],
    ids=lambda value: value.get("name", "") if isinstance(value, dict) else "",
)
def test_each_class_is_seen_when_its_fault_is_planted(
    sandbox: Sandbox, tmp_path: Path, fault: dict[str, Any], counts: dict[str, int], said: str
) -> None:
    within: dict[str, Any] = LOSSY if fault["name"] == "events-loses" else {}
    if fault["name"] == "events-late":
        within = {"within_s": 2.0, "late_s": 4.0}
    with stream(sandbox, tmp_path, **within) as made:
        made.open()
        sandbox.plant(**fault)
        made.start()
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        assert {name: getattr(found.account, name) for name in counts} == counts
        with pytest.raises(PlatformFailure) as caught:
            found.require()
        assert said in str(caught.value), caught.value
        assert "/sandbox/events/" in str(caught.value)


def test_every_fault_of_the_pipeline_is_planted_here() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    assert {name for name in EVENT_LIES if f'"{name}"' not in "".join(texts)} == set()


def test_pipeline_over_tls_wants_its_authority(tmp_path: Path) -> None:
    with Sandbox(tls=True) as sandbox:
        trust = {"ca_file": str(sandbox.ca_file)}
        authorizer = table(sandbox)["reader"]["authorizer"] | trust
        with stream(
            sandbox, tmp_path, target=trust, reader={**trust, "authorizer": authorizer}
        ) as made:
            run(made).require()
            assert made.place.count("https://") == made.place.count("wss://") == 1
        with (
            stream(sandbox, tmp_path, target=trust, reader={"authorizer": authorizer}) as made,
            pytest.raises(TransportError, match="certificate"),
        ):
            made.open()


def test_post_without_an_answer_is_unknown_until_it_is_seen(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with stream(sandbox, tmp_path) as made:
        made.open()
        sandbox.plant("reset", times=2, when="after", **POSTS)
        made.start()
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        assert (found.account.delivered, found.account.unknown) == (20, 0)
    with stream(sandbox, tmp_path, **LOSSY) as made:
        made.open()
        sandbox.plant("reset", times=2, **POSTS)
        made.start()
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        assert (found.account.delivered, found.account.unknown) == (18, 2)
        with pytest.raises(NoEvidence):
            found.require()


def test_post_that_hangs_delays_no_other(sandbox: Sandbox, tmp_path: Path) -> None:
    with stream(sandbox, tmp_path, target={"read_timeout_s": 3600.0}) as made:
        made.open()
        sandbox.plant("hang", times=2, **POSTS)
        made.start()
        seen(made, 18)


def test_silence_is_overdue_before_it_is_lost(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.plant("events-silent")
    with stream(sandbox, tmp_path, watch=True, within_s=0.2, late_s=60.0) as made:
        made.open()
        made.start()
        wait_until(
            "overdue events",
            made.take,
            done=lambda found: len(found.overdue) > 3,
            deadline=Deadline.after(LIMIT_S),
        )
        found = made.take()
        assert found.account.lost == 0
        with pytest.raises(PlatformFailure, match="events are overdue") as caught:
            found.require()
        text = str(caught.value)
        assert "2 of 2 listeners are connected, and heard none of these" in text
        assert "heard by nobody" not in text
        assert "missing from" in text
        assert "traces: " in text


def test_before_anything_is_due_there_is_no_evidence(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.plant("events-silent")
    with stream(sandbox, tmp_path, watch=True) as made:
        made.open()
        made.start()
        with pytest.raises(NoEvidence, match="No event has settled"):
            made.take().require()


def test_websocket_that_closes_again_and_again_is_told_with_what_it_lost(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.plant("events-closes", delay_s=0.05)
    # Thrown out so soon it waits, and what comes meanwhile is lost on it.
    reader = {"listeners": 1, "backoff_s": 0.2}
    with stream(sandbox, tmp_path, within_s=1.0, reader=reader, events=40) as made:
        found = run(made)
        assert found.account.lost > 0
        with pytest.raises(PlatformFailure, match="lost") as caught:
            found.require()
    assert "the server closed it, code 1001" in str(caught.value)
    assert "its connection ended" in str(caught.value)
    assert "heard by nobody: why does the server close it?" in str(caught.value)


def test_two_listeners_make_up_for_each_others_reconnects(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.plant("events-closes", delay_s=0.5, times=1)
    with stream(sandbox, tmp_path, events=40, reader={"backoff_s": 0.01}) as made:
        made.open()
        all_listen(made)
        made.start()
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        found.require()
        assert (found.account.delivered, found.account.duplicate) == (40, 0)


def test_websocket_that_throws_everybody_out_is_the_platforms_failure(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine it takes longer than usual to be thrown out at once.
    monkeypatch.setattr(listener, "THROWN_OUT_S", 30.0)
    with stream(sandbox, tmp_path, reader={"tries": 2, "backoff_s": 0.01}, watch=True) as made:
        made.open()
        made.start()
        seen(made, 2)
        all_listen(made)
        sandbox.plant("events-closes", delay_s=0.0)
        for one in made.reader._listeners:
            one._socket.close()
        found = wait_until(
            "a refusal",
            made.take,
            done=lambda found: found.trouble is not None,
            deadline=Deadline.after(LIMIT_S),
        ).value
        with pytest.raises(PlatformFailure, match="lets nobody listen any more"):
            found.require()
        sandbox.faults.clear()
        wait_until(
            "the end of it",
            made.take,
            done=lambda found: found.trouble is None and found.account.delivered > 0,
            deadline=Deadline.after(LIMIT_S),
        )


def test_token_that_expires_in_the_middle_is_renewed_before(tmp_path: Path) -> None:
    with (
        Sandbox(access_token_ttl_s=1.0) as sandbox,
        stream(sandbox, tmp_path, interval_s=0.1) as made,
    ):
        found = run(made)
        found.require()
        assert len(sandbox.tokens._good) >= 3


def test_token_that_is_revoked_costs_a_post_and_not_the_stream(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with stream(sandbox, tmp_path, interval_s=0.05) as made:
        made.open()
        sandbox.tokens.revoke()
        made.start()
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        assert 0 < found.account.refused < 15
        assert found.account.delivered == 20 - found.account.refused
        assert found.account.reasons["refused"] == "401 Unauthorized"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"reader": {"url": "ws://127.0.0.1:1/x"}}, TransportError, "Connection refused"),
        ({"reader": {"authorizer": None}}, LoginError, "403 Forbidden"),
        ({"target": {"url": "http://127.0.0.1:1/x"}}, TransportError, "can't be reached"),
    ],
    ids=["wrong port", "no token", "no collector"],
)
def test_what_never_worked_is_ours_to_mend(
    sandbox: Sandbox,
    tmp_path: Path,
    change: dict[str, Any],
    error: type[Finding],
    said: str,
) -> None:
    if change.get("reader", {}).get("authorizer", "") is None:
        change = {"reader": {"authorizer": {"url": f"{sandbox.url}/heartbeat"}}}
        error, said = LoginError, "The authorizer gives no token: 405"
    with stream(sandbox, tmp_path, **change) as made, pytest.raises(error, match=said):
        made.open()


def test_wrong_path_of_the_websocket_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    url = sandbox.url.replace("http", "ws") + "/nowhere"
    with stream(sandbox, tmp_path, reader={"url": url}) as made, pytest.raises(LoginError) as told:
        made.open()
    assert "403" in str(told.value)
    assert "webhook_token" not in str(told.value)


def test_posts_that_fail_in_a_row_end_the_posting(sandbox: Sandbox, tmp_path: Path) -> None:
    with stream(sandbox, tmp_path, max_consecutive_errors=3, watch=True) as made:
        made.open()
        made.start()
        seen(made, 2)
        sandbox.plant("status", status=503, **POSTS)
        found = wait_until(
            "giving up",
            made.take,
            done=lambda found: found.gave_up is not None,
            deadline=Deadline.after(LIMIT_S),
        ).value
        with pytest.raises(GivenUpFailure, match="3 posts in a row failed") as caught:
            found.require()
        assert "503 Service Unavailable" in str(caught.value)
        sent = made.look().sent
        seen(made, 2)
        assert made.look().sent == sent


def test_clock_that_steps_by_an_hour_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without tokens, which the step would let expire.
    with Sandbox(events_auth=False) as sandbox, stream(sandbox, tmp_path) as made:
        made.open()
        made.start()
        seen(made, 3)
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)
        monkeypatch.setattr(time, "time", lambda: real() / 1e9 + 3600)
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        monkeypatch.undo()
    found.require()
    assert found.account.delivered == 20


def test_what_comes_while_a_look_is_under_way_is_nobody_elses(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stream(sandbox, tmp_path, watch=True) as made:
        drawn_up = made._expectation

        def slowly(ahead: int = 0) -> object:
            found = drawn_up(ahead)
            pause(0.1, deadline=Deadline.after(LIMIT_S))  # several events are posted, and come
            return found

        monkeypatch.setattr(made, "_expectation", slowly)
        made.open()
        made.start()
        seen(made, 20)
        monkeypatch.undo()
        found = made.look()
        assert (found.foreign, found.lost) == (0, 0)


def test_look_that_is_held_up_makes_no_event_lost_or_overdue(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As by a disk, and for longer than what comes meanwhile is waited for.
    with stream(sandbox, tmp_path, events=1000, within_s=0.8, late_s=0.2) as made:
        drawn_up = made._expectation
        held_up: list[int] = []

        def slowly(ahead: int = 0) -> object:
            if len(held_up) < 2:
                held_up.append(ahead)
                pause(1.3)
            return drawn_up(ahead)

        gather = made.reader.gather
        gathered_us: list[int] = []

        def noted() -> None:
            gather()
            gathered_us.append(clock.now_us())

        made.open()
        made.start()
        seen(made, 3)
        monkeypatch.setattr(made, "_expectation", slowly)
        monkeypatch.setattr(made.reader, "gather", noted)
        found = made.take()
        assert len(held_up) == 2
        # A slow machine may have some that are: those were due before what had come was gathered.
        judged = found.account.members["lost"] | found.overdue
        due_us = [made.books.intended_us(seq) + 800_000 for seq in judged]
        assert [at_us for at_us in due_us if at_us > gathered_us[0]] == []


def test_takeover_invents_no_loss_and_no_duplicate(sandbox: Sandbox, tmp_path: Path) -> None:
    recorder = Recorder()

    def taken() -> AbstractContextManager[EventStream]:
        late = {"late": 1000}  # how busy this machine is, is not the question
        return stream(
            sandbox, tmp_path, watch=True, recorder=recorder, within_s=10.0, late_s=0.2, allow=late
        )

    with taken() as made:
        made.open()
        made.start()
        seen(made, 5)
        first, sent = made.run_id, made.look().sent
    sandbox.plant("events-late", delay_s=1.5, times=1)
    with taken() as made:
        assert made.run_id == first
        assert made.books.resumed
        made.open()
        made.start()
        seen(made, sent + 5)
        total = made.look()
        assert (total.lost, total.duplicate, total.foreign) == (0, 0, 0)
        made.take().require()
        counted = recorder.counter("vdkprobe_events_sent_total", check="events[pipeline]")
        assert counted.value >= total.sent > sent


def test_takeover_invents_no_post_errors_and_nothing_missing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    recorder = Recorder()

    def taken() -> AbstractContextManager[EventStream]:
        return stream(sandbox, tmp_path, watch=True, recorder=recorder, within_s=2.0, late_s=1.0)

    sandbox.plant("events-silent")
    with taken() as made:
        made.open()
        made.start()
        wait_until(
            "events under way",
            lambda: made.books.ledger.acknowledged,
            done=lambda acknowledged: len(acknowledged) >= 10,
            deadline=Deadline.after(LIMIT_S),
            longest_pause_s=0.01,
        )
        made._pace.stop()
        wait_until(
            "posts",
            lambda: made._posting.under_way,
            done=lambda n: not n,
            deadline=Deadline.after(LIMIT_S),
        )
    sandbox.faults.clear()
    with taken() as made:
        under_way = len(made.books.ledger.forgone)
        assert under_way >= 1
        made.open()
        made.start()
        seen(made, 5)
        wait_until(
            "the end of their windows",
            made.look,
            done=lambda found: len(found.closed_unknown()) >= under_way,
            deadline=Deadline.after(LIMIT_S),
        )
        made._pace.stop()
        wait_until(
            "the others",
            made.look,
            done=lambda found: found.in_flight == 0 and found.unknown == under_way,
            deadline=Deadline.after(LIMIT_S),
        )
        total = made.look()
    assert recorder.counter("probe_event_post_errors", app_id="pipeline").value == 0
    assert recorder.counter("probe_events_posted", app_id="pipeline").value == total.sent
    (ring,) = (v for name, v in recorder.cells.items().items() if name.startswith('-["flights"'))
    assert sum(ring[5::3]) - sum(ring[6::3]) == total.lost


def test_books_of_another_schedule_or_damaged_ones_are_put_aside(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    def run_id(**given: Any) -> str:
        with stream(sandbox, tmp_path, watch=True, **given) as made:
            made.open()
            made.start()
            seen(made, 1)
            return made.run_id

    first = run_id()
    assert run_id() == first
    second = run_id(interval_s=0.03)
    assert second != first
    path = tmp_path / "pipeline.ledger"
    path.write_bytes(b"garbage\n" + path.read_bytes())
    assert run_id(interval_s=0.03) not in (first, second)
    assert (tmp_path / "pipeline.ledger.aside").exists()


def test_events_that_carry_no_record_are_accounted_for_all_the_same(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target, reader = {"record": False}, {"compare": False}
    with stream(sandbox, tmp_path, target=target, reader=reader) as made:
        found = run(made)
        found.require()
        assert found.account.delivered == 20


def test_table_shows_the_newest_events_with_their_fate(sandbox: Sandbox, tmp_path: Path) -> None:
    said: list[str] = []
    texts = ("DELIVERED", "REFUSED", "twice", "Latency")
    # So slow that those events are among the newest for some seconds.
    pace: dict[str, Any] = {"interval_s": 0.1, "table_s": 0.2}
    with stream(sandbox, tmp_path, watch=True, say=said.append, **pace) as made:
        made.open()
        sandbox.plant("events-duplicates", times=1)
        sandbox.plant("status", status=400, skip=2, times=1, **POSTS)
        made.start()
        shown = wait_until(
            "a table of them",
            lambda: [table for table in said if all(text in table for text in texts)],
            done=bool,
            deadline=Deadline.after(LIMIT_S),
        ).value[0]
    assert shown.startswith("pipeline: sent ")
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) <= 200


def test_outage_is_as_long_as_it_was_to_one_interval(sandbox: Sandbox, tmp_path: Path) -> None:
    # One after the other, since the fault takes them in the order in which they are posted.
    pace: dict[str, Any] = {"interval_s": 0.05, "at_once": 1}
    with stream(sandbox, tmp_path, events=30, within_s=2.0, **pace) as made:
        made.open()
        sandbox.plant("events-loses", skip=10, times=8)
        made.start()
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        with pytest.raises(PlatformFailure) as caught:
            found.require()
    assert "for 0.4 s: events 10-17" in str(caught.value)


def test_metrics_say_what_the_account_says(sandbox: Sandbox, tmp_path: Path) -> None:
    recorder = Recorder()
    with stream(sandbox, tmp_path, recorder=recorder, label="probe-1", **LOSSY) as made:
        made.open()
        sandbox.plant("events-loses", times=2)
        sandbox.plant("events-duplicates", times=1)
        sandbox.plant("events-foreign", times=3)
        sandbox.plant("status", status=400, times=1, **POSTS)
        made.start()
        made.finish(deadline=Deadline.after(LIMIT_S))
    expected = {
        "probe_events_posted": 19,
        "probe_event_post_errors": 1,
        "probe_events_received": 17,
        "probe_events_lost": 2,
        "probe_events_duplicates": 1,
        "probe_wrong_appid": 3,
    }
    found = {name: recorder.counter(name, app_id="probe-1").value for name in expected}
    assert found == expected
    ours = {
        name: recorder.counter(f"vdkprobe_events_{name}_total", check="events[pipeline]").value
        for name in ("sent", "delivered", "lost", "refused", "duplicate", "foreign")
    }
    assert ours == {
        "sent": 20,
        "delivered": 17,
        "lost": 2,
        "refused": 1,
        "duplicate": 1,
        "foreign": 3,
    }


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ({"interval_s": -1}, "interval_s", "0.001 seconds or more"),
        ({"allow": {"loss": 1}}, "allow", "loss is none of lost"),
        ({"reader": {"url": "http://x"}}, "reader.url", "wss://HOST/PATH"),
        ({"target": {"record": False}}, "reader.compare", "reader.compare = false"),
        ({"reader": {"listener": 2}}, "reader.listener", "listeners"),
        ({"profile": "smal"}, "profile", "small"),
    ],
    ids=str,
)
def test_unusable_setting_is_named_with_a_remedy(
    sandbox: Sandbox, change: dict[str, Any], key: str, said: str
) -> None:
    from pytest_vdkprobe.config import from_tables
    from pytest_vdkprobe.events.find import find_problems

    configuration = from_tables("t.toml", {"events": [table(sandbox, **change)]}, environ={})
    (problem,) = find_problems(configuration)
    assert isinstance(problem, ConfigError)
    assert f"events.0.{key}" in str(problem)
    assert said in str(problem)


def test_two_pipelines_with_one_label_are_refused(sandbox: Sandbox) -> None:
    from pytest_vdkprobe.config import from_tables
    from pytest_vdkprobe.events.find import find_problems

    entries = [table(sandbox, name=name, label="probe") for name in ("a", "b")]
    (problem,) = find_problems(from_tables("t.toml", {"events": entries}, environ={}))
    assert "events.1.label" in str(problem)
    assert "a and b have the same label" in str(problem)


def test_what_killed_runs_left_at_the_ends_is_found(sandbox: Sandbox) -> None:
    from pytest_vdkprobe.config import from_tables
    from pytest_vdkprobe.journeys.cleanup import _ends

    configuration = from_tables("t.toml", {"events": [table(sandbox)]}, environ={})
    assert len(list(_ends(configuration, {}))) == 2


def test_missed_slots_are_told_by_one_round_each(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stream(sandbox, tmp_path, watch=True) as made:
        made.open()
        made.start()
        seen(made, 1)
        missed = made.take().missed
        for total, fresh in ((missed + 3, 3), (missed + 3, 0), (missed + 5, 2)):
            monkeypatch.setattr(made, "_pace", SimpleNamespace(missed=total, error=None))
            assert made.take().missed == fresh
        monkeypatch.undo()


def test_post_that_a_kill_cut_short_is_nobodys_failure(sandbox: Sandbox, tmp_path: Path) -> None:
    def taken() -> AbstractContextManager[EventStream]:
        return stream(sandbox, tmp_path, watch=True, within_s=1.5, late_s=1.0)

    with taken() as made:
        made.open()
        made.start()
        seen(made, 3)
        sandbox.plant("hang", times=1, **POSTS)
        wait_until(
            "a post that hangs",
            sandbox.faults.planted,
            done=lambda hits: sum(hits.values()) == 1,
            deadline=Deadline.after(LIMIT_S),
        )
    sandbox.faults.clear()
    with taken() as made:
        forgone = made.books.taken_over
        assert forgone
        made.open()
        made.start()

        def judged() -> Round:
            found = made.take()
            assert set(found.overdue).isdisjoint(forgone)
            assert found.account.members["lost"].isdisjoint(BitMap64(forgone))
            return found

        last = wait_until(
            "the end of its window",
            judged,
            done=lambda found: set(found.total.closed_unknown()).issuperset(forgone),
            deadline=Deadline.after(LIMIT_S),
        ).value
        assert last.forgone.issuperset(BitMap64(forgone))
