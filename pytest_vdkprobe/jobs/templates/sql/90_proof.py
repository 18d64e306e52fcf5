"""A step that proves that it ran: who asked for it, with what, and when.

It writes a marker to the log and a JSON text to the property `vdkprobe_proof`, then does what the
argument `mode` says: `prove` is done, `fail` raises in user code, `hang` waits to be cancelled.
Runs on the platform, so it uses the standard library only and any Python from 3.7 on.
"""

import json
import logging
import threading
from datetime import datetime, timezone
from pathlib import Path

log = logging.getLogger(__name__)

PROPERTY = "vdkprobe_proof"
VALUES_FILE = "vdkprobe_values.json"
MODES = ("prove", "fail", "hang")


def run(job_input):
    arguments = job_input.get_arguments() or {}
    values = read_values(job_input)
    proof = {
        "run_id": arguments.get("run_id", values.get("run_id")),
        "nonce": arguments.get("nonce", "scheduled"),
        "mode": arguments.get("mode", "prove"),
        # datetime.UTC came with Python 3.11, and this runs on older ones.
        "at": datetime.now(timezone.utc).isoformat(),  # noqa: UP017
        "revision": values.get("revision"),
        "arguments": arguments,
    }
    marker = "vdkprobe-proof run_id={run_id} nonce={nonce} mode={mode} revision={revision}"
    tell(marker.format(**proof))
    write_property(job_input, PROPERTY, json.dumps(proof, sort_keys=True, default=str))

    if proof["mode"] not in MODES:
        raise ValueError("vdkprobe: the argument mode is none of " + ", ".join(MODES))
    if proof["mode"] == "fail":
        raise ValueError("vdkprobe: this run was asked to fail in user code")
    if proof["mode"] == "hang":
        hang(float(arguments.get("hang_s", 600)))


def read_values(job_input):
    path = Path(str(job_input.get_job_directory())) / VALUES_FILE
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def tell(text):
    # Both ways, because a platform's log configuration may drop either.
    log.info(text)
    print(text, flush=True)


def write_property(job_input, name, text):
    """Add one property to those that are there; vdk can only write all of them."""
    properties = dict(job_input.get_all_properties() or {})
    for other, value in properties.items():
        if isinstance(value, bool):
            # The service stores true and false, but vdk refuses to write them back.
            properties[other] = json.dumps(value)
    properties[name] = text
    job_input.set_all_properties(properties)


def hang(seconds):
    """Wait in short naps, each a chance for a signal, a cancellation or a debugger to get in."""
    never = threading.Event()
    for _ in range(int(seconds * 10)):
        never.wait(0.1)
