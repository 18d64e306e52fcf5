"""Payload profiles: what is sent, by name, as records that can be made again at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from pytest_vdkprobe.accounting import payloads
from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.records import ColumnType, Record


class Profile(msgspec.Struct, frozen=True):
    """One kind of payload."""

    name: str
    columns: Mapping[str, ColumnType]
    """The typed columns, in their order; the landing columns come before them."""

    def make(self, run_id: str, seq: int, *, sent_at_us: int) -> Record:
        """Record `seq` of a run: the same each time."""
        body = payloads.text(self.name, run_id, seq)
        values = payloads.payload(self.name, run_id, seq)
        return Record(run_id, seq, sent_at_us, values, body, payloads.digest(body))

    def payload(self, run_id: str, seq: int) -> dict[str, Any]:
        """Its typed values alone."""
        return payloads.payload(self.name, run_id, seq)

    def body(self, run_id: str, seq: int) -> str:
        """Its canonical text alone."""
        return payloads.text(self.name, run_id, seq)

    def digest(self, run_id: str, seq: int) -> str:
        """Its digest alone."""
        return payloads.digest(self.body(run_id, seq))


PROFILES: Mapping[str, Profile] = {
    name: Profile(name, cast("Mapping[str, ColumnType]", columns))
    for name, columns in payloads.COLUMNS.items()
}


def profile(name: str, *, file: str | None = None, key: str | None = None) -> Profile:
    """The profile of this name. Raises ConfigError, naming file and key, for an unknown one."""
    found = PROFILES.get(name)
    if found is None:
        raise ConfigError(
            f"There is no profile {name}.",
            file=file,
            key=key,
            value=name,
            expected="one of " + ", ".join(PROFILES),
            to_try=did_you_mean(name, PROFILES),
        )
    return found
