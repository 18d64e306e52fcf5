"""A snapshot: what a platform consisted of at one moment, as a file that may be kept and passed on.

It is flat, aspect by aspect: a name such as `hello.config.team`, and what was seen there. Values of
properties and secrets are never in it, only a salted hash that tells whether they are still the
same. The salt makes each file's hashes its own, so that two files can't be laid side by side to see
who shares a password.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pytest_vdkprobe.durable import write_durably
from pytest_vdkprobe.errors import ConfigError

FORMAT = 1
"""Raised when an entry changes its meaning."""
ASPECTS = ("versions", "jobs", "deployments", "schedules", "properties", "secrets", "tables")
"""What is looked at, in the order in which it is told."""
ROUNDS = 1000
"""Of PBKDF2, per value: about a third of a millisecond here, and as much for whoever guesses."""
LARGEST_BYTES = 500 * 1024 * 1024

Plain = str | int | float | bool | None
Entries = dict[str, Plain]


class Snapshot(msgspec.Struct, kw_only=True):
    """What was seen, by aspect and name."""

    format: int = FORMAT
    taken_at: datetime
    run_id: str
    tool: str
    """The version of pytest-vdkprobe that took it."""
    where: dict[str, str]
    """The platform and the databases, without secrets."""
    salt: str
    aspects: dict[str, Entries]

    @classmethod
    def new(
        cls, *, run_id: str, tool: str, where: dict[str, str], salt: str | None = None
    ) -> Snapshot:
        """An empty one. With the `salt` of another, their hashes can be compared."""
        return cls(
            taken_at=datetime.now(UTC),
            run_id=run_id,
            tool=tool,
            where=where,
            salt=salt or os.urandom(16).hex(),
            aspects={aspect: {} for aspect in ASPECTS},
        )

    def add(self, aspect: str, name: str, value: object) -> None:
        """Note a value; what is nested becomes one entry for each leaf, None is left out."""
        if isinstance(value, dict):
            for key, part in value.items():
                self.add(aspect, f"{name}.{key}", part)
        elif isinstance(value, list | tuple):
            self.aspects[aspect][name] = json.dumps(value, sort_keys=True, ensure_ascii=False)
        elif value is not None:
            self.aspects[aspect][name] = value  # type: ignore[assignment]  # a leaf of JSON

    def add_hidden(self, aspect: str, name: str, value: object) -> None:
        """Note that a value is there and what its hash is, never the value."""
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        salt = f"{self.salt} {aspect} {name}".encode("utf-8", "surrogatepass")
        digest = hashlib.pbkdf2_hmac("sha256", text.encode("utf-8", "surrogatepass"), salt, ROUNDS)
        self.aspects[aspect][name] = f"hash {digest.hex()[:32]}"

    def count(self, aspect: str) -> int:
        """How many entries an aspect has."""
        return len(self.aspects.get(aspect, {}))

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all, readable for its owner. Raises OSError."""
        text = msgspec.json.format(msgspec.json.encode(self), indent=1)
        write_durably(path, text + b"\n")


def read_snapshot(path: Path, *, key: str = "--vdk-after") -> Snapshot:
    """The snapshot in a file. Raises ConfigError when it is none of ours."""

    def wrong(what: str, to_try: str) -> ConfigError:
        return ConfigError(what, file=str(path), key=key, to_try=to_try)

    take = "take one before the upgrade: pytest --vdk-config=... --vdk-before=FILE"
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise wrong(f"{path} is too large for a snapshot.", "name another file")
        raw: Any = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as exc:
        raise wrong(f"There is no snapshot {path}.", take) from exc
    except OSError as exc:
        raise wrong(f"{path} can't be read: {exc.strerror or exc}.", "check its rights") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise wrong(f"{path} is no snapshot: {exc}.", take) from exc
    if isinstance(raw, dict) and isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
        raise wrong(
            f"{path} is of a newer pytest-vdkprobe (format {raw['format']}, not {FORMAT}).",
            "use that version, or newer, to compare",
        )
    try:
        return msgspec.convert(raw, Snapshot)
    except msgspec.ValidationError as exc:
        raise wrong(f"{path} is no snapshot: {exc}.", take) from exc
