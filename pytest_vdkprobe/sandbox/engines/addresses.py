"""Where the engines of a run answer: what everybody is told who asks for one."""

from __future__ import annotations

import msgspec

ENGINES = ("postgres", "kafka", "trino")
"""All there are, in the order in which they are shown."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one engine; none of them asks for a password on loopback."""

    host: str
    port: int
    user: str = ""
    """Empty where there are no users (Kafka)."""
    pid: int = 0
    """Its process, for those who want to see it die."""

    @property
    def endpoint(self) -> str:
        """`host:port`, as Kafka's `bootstrap_servers` wants it."""
        return f"{self.host}:{self.port}"


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """The engines that run; None for one that nobody asked for."""

    postgres: Address | None = None
    kafka: Address | None = None
    trino: Address | None = None
