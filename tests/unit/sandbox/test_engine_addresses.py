"""A standing sandbox prints a configuration that can be read again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pytest_vdkprobe.config.placeholders import filled
from pytest_vdkprobe.routes.kinds import kind_of
from pytest_vdkprobe.sandbox.engine_addresses import with_addresses
from pytest_vdkprobe.sandbox.engines.addresses import Address, Addresses
from pytest_vdkprobe.sandbox.routes import routes, tables
from pytest_vdkprobe.tables.settings import TablesSettings

ENGINES = Addresses(
    postgres=Address(host="127.0.0.1", port=5433, user="postgres"),
    kafka=Address(host="127.0.0.1", port=9093),
    trino=Address(host="127.0.0.1", port=8081, user="vdkprobe"),
)


def test_ends_of_filled_in_routes_are_what_their_kinds_want(tmp_path: Path) -> None:
    listed = with_addresses(
        routes(url="http://127.0.0.1:8092", folder=tmp_path, jobs=True), ENGINES
    )
    listed = filled(listed, dict.fromkeys(("run", "route", "profile", "way"), "x"))
    ports = []
    for route in listed:
        for side in ("target", "reader"):
            end = route[side]
            ports += [end["port"]] if "port" in end else []
            msgspec.convert(end, kind_of(side, end["kind"]).settings, strict=True)
    assert set(ports) == {5433, 8081}
    for table in with_addresses(tables(by_job=True), ENGINES):
        msgspec.convert(table, TablesSettings, strict=True)


def test_entry_of_an_engine_that_does_not_run_is_left_out() -> None:
    assert with_addresses({"servers": ["{kafka_servers}"]}, Addresses()) is None
    assert with_addresses({"topic": "x-{run}"}, Addresses()) == {"topic": "x-{run}"}
