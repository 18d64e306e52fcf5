"""Routes that come out in one place are known as such."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.routes.places import places

TABLE = {"kind": "postgres", "host": "db", "user": "probe", "database": "d", "table": "t"}


def of(**readers: dict[str, Any]) -> dict[str, str]:
    target = {"kind": "http", "url": "http://127.0.0.1:9/"}
    routes = [{"name": n, "target": target, "reader": reader} for n, reader in readers.items()]
    return places(from_tables("platform.toml", {"routes": routes}, environ={}))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"user": "another", "compare": 5}, True),
        ({"table": "u"}, False),
        ({"database": "e"}, False),
        ({"table": "t_{route}"}, False),
    ],
)
def test_one_place_is_one_table_of_one_database(other: dict[str, Any], same: bool) -> None:
    found = of(first=TABLE, second={**TABLE, **other})
    assert (found["first"] == found["second"]) is same


def test_a_name_with_the_routes_own_in_it_is_each_ones_own() -> None:
    reader = {**TABLE, "table": "t_{route}"}
    found = of(first=reader, second=reader)
    assert found["first"] != found["second"]
