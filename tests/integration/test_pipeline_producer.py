"""A real producer on real websites: every check becomes a message, whatever the website does."""

from __future__ import annotations

import datetime
import json
import signal
import ssl
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_vdkprobe.pipeline.message import decoded
from pytest_vdkprobe.pipelines.websites import ANSWERS, Websites
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.pipelines import Bench
from tests.integration.shared_engines import SharedEngines


@pytest.fixture
def bench(engines: SharedEngines, tmp_path: Path) -> Iterator[Bench]:
    """A configured pipeline without websites."""
    made = Bench(engines, tmp_path, timeout_s="1.0", refresh_s="0.3", body_limit_bytes="200000")
    made.configure()
    yield made
    made.close()


@pytest.fixture
def websites() -> Iterator[Websites]:
    """Websites whose answers are known."""
    with Websites() as made:
        yield made


def found(bench: Bench) -> dict[int, list[Any]]:
    """The checks in the topic by website."""
    by_site: dict[int, list[Any]] = {}
    for record in bench.messages():
        check = decoded(record.value)
        assert record.key == str(check.site).encode()
        by_site.setdefault(check.site, []).append(check)
    return by_site


def test_whatever_a_website_does_is_a_result(bench: Bench, websites: Websites) -> None:
    kinds = {}
    for kind, answer in ANSWERS.items():
        kinds[bench.add_site(websites.url(kind, "x"), answer.pattern)] = answer
    nobody = bench.add_site("http://127.0.0.1:1/")
    nameless = bench.add_site("http://nowhere.invalid/")
    endless = bench.add_site(websites.url("endless", "y"), r"(\.|\.\.)+$x")
    account = bench.run("start-producer", "1", "--once").account
    assert account["checks"] == account["written"] == len(kinds) + 3
    checks = found(bench)
    for site, answer in kinds.items():
        (check,) = checks[site]
        assert (check.returned_code, check.regexp) == (answer.code, answer.found), answer
        assert (check.error or "").partition(":")[0] == (answer.error or ""), check
    assert checks[nobody][0].error.startswith("connect: ")
    assert checks[nameless][0].error.startswith("dns: ")
    assert "regular expression took longer" in checks[endless][0].error
    assert {(hit.site, hit.slot_us) for hit in websites.hits()} == {
        (check.site, check.slot_us) for site in (*kinds, endless) for check in checks[site]
    }


def test_expired_certificates_are_results(bench: Bench) -> None:
    authority = trustme.CA()
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = authority.issue_cert("127.0.0.1", not_after=past)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    import asyncio
    import threading

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = server.sockets[0].getsockname()[1]
        site = bench.add_site(f"https://127.0.0.1:{port}/", ".*")
        plain = bench.add_site(f"http://127.0.0.1:{port}/", ".*")
        assert bench.run("start-producer", "1", "--once").account["written"] == 2
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    checks = found(bench)
    assert checks[site][0].error.startswith("tls: ")
    assert checks[plain][0].error.startswith("closed: ")


def test_shards_go_by_rank_and_each_website_has_one_producer(
    bench: Bench, websites: Websites
) -> None:
    for name in "0123456789":
        bench.add_site(websites.url("well", name), "well")
    # Gaps in the ids, and websites that are not active.
    bench.sql("delete from {s}.availability_monitor_config where amc_id in (2, 3, 7)")
    bench.sql("update {s}.availability_monitor_config set amc_active = false where amc_id = 9")
    bench.more += "\nsites_per_producer = 2"
    bench.write()
    assert bench.run("producers").out == "3\n"
    for one in "123":
        assert bench.run("start-producer", one, "--once").account["written"] == 2
    assert {site: len(checks) for site, checks in found(bench).items()} == dict.fromkeys(
        (1, 4, 5, 6, 8, 10), 1
    )
    for number, said in (("4", "ids 1 to 3: 6 active websites, 2 for each"), ("0", "1 or more")):
        done = bench.run("start-producer", number)
        assert done.code == 4
        assert said in done.err


def test_changes_are_picked_up_and_a_slow_website_delays_nobody(
    bench: Bench, websites: Websites
) -> None:
    slow = [bench.add_site(websites.url("silent", str(n)), None, interval_s=0.5) for n in range(5)]
    first = bench.add_site(websites.url("well", "first"), "well", interval_s=0.2)
    wrong = bench.add_site(websites.url("well", "wrong"), "*", interval_s=0.2)
    producer = bench.start("start-producer", "1", "--duration", "60")

    def seen() -> Counter[int]:
        return Counter(hit.site for hit in websites.hits())

    def wait_for(what: str, done: Any) -> None:
        wait_until(what, seen, done=done, deadline=Deadline.after(60), longest_pause_s=0.1)

    try:
        wait_for("the first website", lambda seen: seen[first] >= 3)
        second = bench.add_site(websites.url("well", "second"), "well", interval_s=0.2)
        bench.sql(
            "update {s}.availability_monitor_config set amc_regexp = '.' where amc_id = ?"
            " returning 1",
            (wrong,),
        )
        wait_for("the new and the mended website", lambda seen: seen[second] and seen[wrong])
        bench.sql(
            "update {s}.availability_monitor_config set amc_active = false where amc_id = ?"
            " returning 1",
            (first,),
        )
        before = -1

        def quiet(seen: Counter[int]) -> bool:
            nonlocal before
            same, before = seen[first] == before, seen[first]
            return same

        wait_until(
            "no more checks of the first",
            seen,
            done=quiet,
            deadline=Deadline.after(60),
            first_pause_s=1.5,
            longest_pause_s=1.5,
        )
    finally:
        producer.send_signal(signal.SIGTERM)
        out, _ = producer.communicate(timeout=60)
    assert producer.returncode == 0
    (log,) = bench.folder.glob("start-producer-*.log")
    text = log.read_text()
    assert text.count(f"website {wrong} will not be monitored") == 1
    assert f"website {wrong} can be monitored now" in text
    checks = found(bench)
    hits = {(hit.site, hit.slot_us) for hit in websites.hits()}
    assert hits == {(check.site, check.slot_us) for one in checks.values() for check in one}
    left_out = 0
    for site in (second, wrong):
        slots = sorted(check.slot_us for check in checks[site])
        steps = [divmod(b - a, 200_000) for a, b in pairwise(slots)]
        assert all(slot >= 1 and rest == 0 for slot, rest in steps), out
        left_out += sum(slot - 1 for slot, _ in steps)
    # A machine that is busy for long makes it miss some, and it says how many.
    assert left_out <= json.loads(out.splitlines()[-1])["missed"], out
    assert set(slow) <= checks.keys()
