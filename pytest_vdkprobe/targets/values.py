"""Values of records as the texts that SQL engines read them from."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from pytest_vdkprobe.records import wire_value


def text_of(value: Any) -> str | None:
    """A value as a text, which the column's own type reads exactly: numbers of Python and of SQL
    would each be rounded, or lose their sign, by a type in between."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return str(wire_value(value))
