"""Trace ids that a run can be asked for again: the same run and number always have the same.

They travel in the header `traceparent` (W3C Trace Context, section 3.2), which tracing systems take
up, AWS X-Ray through OpenTelemetry included; reports name them, so that a task that failed can be
looked up there.
"""

from __future__ import annotations

import hashlib

HEADER = "traceparent"


def trace_id(run_id: str, number: int) -> str:
    """32 hex digits for one event or task."""
    return hashlib.md5(f"{run_id}/{number}".encode(), usedforsecurity=False).hexdigest()


def traceparent(run_id: str, number: int) -> str:
    """The header's value: version, trace, its first span, and that it was chosen to be kept."""
    trace = trace_id(run_id, number)
    return f"00-{trace}-{trace[:16]}-01"
