"""Types like a room's own, for what the configuration does with any of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef


class Plain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="plain"):
    pass


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="token"):
    url: str
    token: SecretRef


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    team: str = "blue"
    auth: Plain | Token = Plain()
    verify_tls: bool = True
    timeout_s: float = 5.0
    retries: int = 3
    keytab: Literal["any", "bytes"] = "any"
    ca_file: FilePath | None = None
    limits: dict[str, float] = {}
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.retries > 20:
            raise ValueError("retries: must be 0 to 20; write a smaller number")


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    limits: dict[str, float] = {}


class Named(msgspec.Struct):
    name: str
