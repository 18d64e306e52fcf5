"""What was sent against what reads back, field by field, in words short enough for a report."""

from __future__ import annotations

import json
from typing import Any

from pytest_vdkprobe.secrets import redact

LONGEST = 120


def short(value: object) -> str:
    """A value as JSON, cut where a report's line would break."""
    # Redacted before it is cut: half a secret would not be recognised later.
    text = redact(json.dumps(value, ensure_ascii=False, default=repr))
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested document as one flat dictionary of dotted paths, without what was not sent."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(leaves(value, f"{prefix}{key}."))
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat


def differences(sent: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """The fields that were sent and read back otherwise: path, sent, found.

    An empty text or list that reads back as null says the same and is no difference.
    """
    got = leaves(found)
    return [
        (path, want, got.get(path))
        for path, want in leaves(sent).items()
        if got.get(path) != want and (want or got.get(path))
    ]
