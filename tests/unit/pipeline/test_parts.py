"""The pipeline's small parts: slots, messages, websites, expressions that never end."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_vdkprobe.connections.sql import Fate, SqlError
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipeline import consumer, patience
from pytest_vdkprobe.pipeline.message import Check, MalformedError, decoded, encoded
from pytest_vdkprobe.pipeline.producer import Producer
from pytest_vdkprobe.pipeline.settings import PipelineDatabase, PipelineKafka, PipelineSettings
from pytest_vdkprobe.pipeline.sites import Site, objection, producers_for, shards_of
from pytest_vdkprobe.pipeline.slots import next_slot, phase_us
from pytest_vdkprobe.pipeline.stopping import Stop
from pytest_vdkprobe.waiting import Deadline, pause

NOW_US = 1_795_882_134_935_938
CHECK = Check(
    unix_timestamp=NOW_US / 1e6, returned_code=200, response_time=0.25, regexp=None, site=7
)

SETTINGS = PipelineSettings(
    kafka=PipelineKafka(servers=("127.0.0.1:9",)),
    database=PipelineDatabase(host="127.0.0.1", port=9, user="me", database="monitoring"),
)


@given(
    site=st.integers(1, 2**63),
    interval=st.integers(1, 10**12),
    after_us=st.integers(NOW_US, 2 * NOW_US),
)
def test_slots_are_one_interval_apart_wherever_one_begins(
    site: int, interval: int, after_us: int
) -> None:
    slot = next_slot(site, interval, after_us=after_us)
    assert after_us < slot <= after_us + interval
    assert slot % interval == phase_us(site, interval) % interval
    assert next_slot(site, interval, after_us=slot) == slot + interval


def test_websites_are_not_all_due_at_once() -> None:
    interval = 10_000_000
    phases = sorted(phase_us(site, interval) for site in range(1, 2001))
    assert phases[-1] - phases[0] > 0.99 * interval
    assert max(b - a for a, b in pairwise(phases)) < interval / 500


@given(st.integers(946_684_800_000_000, 4_102_444_799_999_999))
def test_a_moment_survives_its_way_exactly(us: int) -> None:
    check = msgspec.structs.replace(CHECK, unix_timestamp=us / 1e6)
    assert decoded(encoded(check)).slot_us == us


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "no value"),
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"\xff", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"unix_timestamp": 1, "returned_code": 200, "response_time": 1}', "$.unix_timestamp"),
        (encoded(CHECK).replace(b'"site":7', b'"x":7'), "missing required field `site`"),
        (encoded(CHECK).replace(b":7", b":0"), "$.site"),
        (encoded(CHECK).replace(b":200", b':"200"'), "$.returned_code"),
        (encoded(CHECK).replace(b"0.25", b"-1"), "$.response_time"),
        (encoded(CHECK).replace(b"0.25", b"1e999"), "out of range"),
        (encoded(CHECK).replace(b'"error":null', b'"error":"\\u0000"'), "NUL"),
    ],
)
def test_what_is_no_check_says_why(value: bytes | None, said: str) -> None:
    with pytest.raises(MalformedError) as raised:
        decoded(value)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("url", "pattern", "said"),
    [
        ("http://www.example.com", "*", "nothing to repeat"),
        ("http:///www.example.com", ".*", "is no URL"),
        ("ftp://www.example.com", None, "is no URL"),
        ("www.example.com", None, "is no URL"),
        ("http://[::1", None, "is no URL"),
        ("http://host:99999/", None, "is no URL"),
        ("http://a b/", None, "is no URL"),
        ("", None, "is no URL"),
    ],
)
def test_unusable_websites_say_why(url: str, pattern: str | None, said: str) -> None:
    found = objection(Site(id=1, url=url, pattern=pattern, interval_s=60))
    assert found is not None
    assert said in found


def test_usable_websites_are_not_objected_to() -> None:
    for url in ("http://www.example.com", "https://user@[::1]:8443/path?query#part"):
        assert objection(Site(id=1, url=url, pattern=".*", interval_s=60)) is None


@pytest.mark.parametrize(("active", "needed"), [(0, 0), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_producers_are_websites_divided_and_rounded_up(active: int, needed: int) -> None:
    assert producers_for(active, 3) == needed


@given(jobs=st.integers(1, 12), needed=st.integers(0, 40))
def test_every_shard_belongs_to_exactly_one_job(jobs: int, needed: int) -> None:
    shards = [shard for job in range(jobs) for shard in shards_of(str(job + 1), jobs, needed)]
    assert sorted(shards) == list(range(1, needed + 1))


@pytest.mark.parametrize(("job", "jobs"), [(0, 1), (2, 1), (-1, 3), ("x", 2), (1, None)])
def test_a_job_that_is_none_of_them_is_told(job: object, jobs: object) -> None:
    with pytest.raises(ConfigError, match="from 1 to the number of jobs"):
        shards_of(job, jobs, 5)


def test_an_expression_that_never_ends_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="longer than"):
        patience.search(r"(a|aa)+$", "a" * 100 + "b", limit_s=0.05)
    assert time.monotonic() - started < 20
    assert patience.search("b$", "aab")
    assert not patience.search("^b", "aab")


def test_an_expression_is_not_blamed_for_a_machine_that_others_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Held:
        def search(self, text: str) -> str:
            pause(0.3)
            return text

    monkeypatch.setattr(patience, "re", SimpleNamespace(compile=lambda _pattern: Held()))
    assert patience.search("b$", "aab", limit_s=0.1)


class Spare:
    """A member of a group in which others have all partitions."""

    def poll(self, **_: object) -> dict[object, list[object]]:
        return {}

    def assignment(self) -> set[object]:
        return set()


def test_a_consumer_that_is_one_too_many_ends_its_only_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "START_LIMIT_S", 0.05)
    settings = SETTINGS.but(kafka=PipelineKafka(servers=("127.0.0.1:9",), session_timeout_s=0.05))
    stop = Stop(30)
    one = consumer.Consumer(settings, base_dir=Path())
    monkeypatch.setattr(one, "_begin_anew_with_the_topic", lambda _: False)
    one._consume(cast("Any", Spare()), stop, once=True)
    assert not stop.wanted


def test_the_end_waits_for_a_database_that_hangs_no_longer_than_for_its_last_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "LAST_TRY_S", 0.2)
    one = consumer.Consumer(SETTINGS, base_dir=Path())
    limits_s: list[float] = []

    def hang(_act: object, *, deadline: Deadline) -> None:
        limits_s.append(deadline.remaining_s())
        raise SqlError("no answer in time", fate=Fate.UNKNOWN, timed_out=True)

    monkeypatch.setattr(one._database, "do", hang)
    monkeypatch.setattr(one, "_stay", lambda *_: pause(0.01))
    stop = Stop()
    stop.set()
    batch = consumer._Batch()
    batch.checks.append((CHECK, None))
    assert not one._keep_in_the_end(cast("Any", None), batch, stop)
    first, *rest = limits_s
    assert first > 1
    assert rest
    assert max(rest) <= 0.2


def test_a_clock_that_is_set_back_stops_no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer(SETTINGS, 1, base_dir=Path())
    site = Site(id=7, url="http://127.0.0.1/", pattern=None, interval_s=60)
    producer._sites.usable = {7: site}
    now_ns = NOW_US * 1000
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    producer._plan()
    (first,) = producer._due
    now_ns -= 2 * 10**9
    producer._plan()
    assert producer._due == [first], "a check that was made just now is not made again"
    now_ns -= 365 * 86400 * 10**9
    producer._plan()
    ((slot, _, _),) = producer._due
    assert 0 < slot - now_ns // 1000 <= 60_000_000
