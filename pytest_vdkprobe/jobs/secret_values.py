"""Secrets among a job's arguments and properties: tables that name a secret's place, opened.

A job may need a password as an argument, and must not find it in a configuration, where it would
be committed and printed. So `{ env = "NAME" }`, and the other forms of a secret, may stand wherever
a value may; what is read there is known to the redactor from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ConfigError

PLACE = {"env", "file", "command", "ini_key"}


def opened(values: Mapping[str, Any], *, base_dir: Path | None, key: str) -> dict[str, Any]:
    """`values` with each secret in place of its table; `key` is the setting that holds them.

    Raises ConfigError for a secret that can't be read.
    """
    return {name: _opened(value, base_dir, f"{key}.{name}") for name, value in values.items()}


def _opened(value: Any, base_dir: Path | None, key: str) -> Any:
    if isinstance(value, dict):
        if not value or not value.keys() <= PLACE:
            return opened(value, base_dir=base_dir, key=key)
        try:
            place = msgspec.convert(value, SecretRef)
        except msgspec.ValidationError as exc:
            raise ConfigError(f"This names no place of a secret: {exc}.", key=key) from exc
        return place.resolve(base_dir=base_dir, key=key).reveal()
    if isinstance(value, list):
        return [_opened(item, base_dir, f"{key}.{at}") for at, item in enumerate(value)]
    return value
