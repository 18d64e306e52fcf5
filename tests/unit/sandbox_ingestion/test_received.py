"""The list remembers in order, all and by name, within its bounds."""

from __future__ import annotations

from pytest_vdkprobe.sandbox.ingestion.received import Received


def texts(
    received: Received, name: str | None = None, offset: int = 0, limit: int = 9
) -> list[str]:
    return [kept.json.decode() for kept in received.page(name, offset, limit).kept]


def test_it_is_read_page_by_page() -> None:
    received = Received()
    received.add("a", [{"n": n} for n in range(3)])
    received.add("b", [{"n": 3}])
    assert texts(received, limit=2) == ['{"n":0}', '{"n":1}']
    assert received.page(None, 0, 2).next == 2
    assert texts(received, offset=2) == ['{"n":2}', '{"n":3}']
    assert texts(received, offset=4) == []
    assert texts(received, "b") == ['{"n":3}']
    assert texts(received, "nobody") == []
    assert [kept.name for kept in received.page(None, 2, 2).kept] == ["a", "b"]


def test_the_oldest_go_when_it_is_full() -> None:
    received = Received(count=2)
    received.add("a", [{"n": 0}, {"n": 1}])
    received.add("b", [{"n": 2}])
    page = received.page(None, 0, 9)
    assert (page.first, page.next, len(page.kept)) == (1, 3, 2)
    assert received.page("a", 0, 9).first == 1
    assert texts(received, "a") == ['{"n":1}']


def test_bytes_are_bounded_too() -> None:
    received = Received(size_bytes=20)
    received.add("a", [{"n": "x" * 8}, {"n": "y" * 8}])
    assert texts(received) == ['{"n":"yyyyyyyy"}']
