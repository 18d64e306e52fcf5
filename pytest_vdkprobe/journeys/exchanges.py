"""The requests and answers of a step that did not pass, as a file to attach to a ticket."""

from __future__ import annotations

import json
import re
from typing import Any

from pytest_vdkprobe.durable import write_durably
from pytest_vdkprobe.journeys.steps import StepRecord
from pytest_vdkprobe.secrets import redact


def keep_exchanges(step: StepRecord) -> dict[str, str]:
    """Write them down, and return where; nothing when the step exchanged nothing.

    This is a diagnostic: that it could not be written is told, and changes no verdict.
    """
    try:
        exchanges = [_plain(exchange) for exchange in step.exchanges]
        if not exchanges:
            return {}
        name = f"vdkprobe-{step.run.run_id}-{step.journey}-{step.name}"
        path = step.run.report_folder / (re.sub(r"[^\w.]+", "-", name).strip("-") + ".json")
        text = json.dumps({"step": step.id, "op_id": step.op_id, "exchanges": exchanges}, indent=2)
        write_durably(path, redact(text).encode())
    except Exception as exc:  # noqa: BLE001 - no diagnostic may replace the cause it illustrates
        return {"exchanges_problem": redact(f"requests and answers could not be kept: {exc}")}
    return {"exchanges_file": str(path)}


def _plain(exchange: object) -> Any:
    to_dict = getattr(exchange, "to_dict", None)
    return to_dict() if callable(to_dict) else str(exchange)
