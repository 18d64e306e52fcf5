"""A step that sends a route's records with VDK's own ingestion, each once and at its time.

Everything about them comes from the arguments: the payloads are made anew from run id and number.
Before the first record it says in the property `vdkprobe_proof` when it began, and it refuses to
begin twice: a platform that starts a failed pod again must not send a number again. Whether VDK has
really sent them shows when the job ends. With `read_back`, what VDK's file ingestion wrote is
handed back in the property `vdkprobe_file`, since nobody else sees this machine's files.
"""

import base64
import json
import logging
import threading
import time
import zlib
from pathlib import Path

import vdkprobe_payloads as payloads

log = logging.getLogger(__name__)

PROOF = "vdkprobe_proof"
FILE = "vdkprobe_file"
BLOCK = 50
"""Records that are sent one way before as many are sent the other way."""
LONGEST_BLOCK_S = 0.05
"""How long the first of a block's rows may wait for the last."""
LARGEST_PROPERTY = 4_000_000
FILE_LIMIT_S = 60.0
FILE_PAUSE_S = 0.05
FILE_SETTLES_S = 0.5


def run(job_input):
    arguments = job_input.get_arguments()
    if arguments["method"] == "kafka":
        import kafka_ingestion  # noqa: PLC0415 - other methods have no Kafka driver

        kafka_ingestion.register(job_input, **arguments.get("kafka", {}))
    proof = {name: arguments[name] for name in ("run_id", "nonce", "profile", "method")}
    proof["started_us"] = begin(job_input, proof)
    folder = Path(str(job_input.get_temporary_write_directory()))
    target = arguments["target"]
    if arguments.get("read_back"):
        target = str(folder / "vdkprobe-{nonce}".format(**proof))
    send(job_input, arguments, proof["started_us"], target)
    proof["handed"] = arguments["count"]
    found = {PROOF: json.dumps(proof, sort_keys=True)}
    if arguments.get("read_back"):
        found[FILE] = read_back(Path(target + ".json"), arguments["count"])
    write_properties(job_input, found)
    tell("vdkprobe-ingestion nonce={nonce} handed={handed}".format(**proof))


def begin(job_input, proof):
    """When the first record is due, noted for who waits; raises if that was noted before."""
    before = json.loads(job_input.get_property(PROOF) or "{}")
    if before.get("nonce") == proof["nonce"]:
        raise RuntimeError("vdkprobe: this execution has begun to send before; not again")
    started_us = time.time_ns() // 1000
    write_properties(job_input, {PROOF: json.dumps(dict(proof, started_us=started_us))})
    tell("vdkprobe-ingestion run_id={run_id} nonce={nonce} profile={profile}".format(**proof))
    return started_us


def send(job_input, arguments, started_us, target):
    """Hand each record to VDK at its time: a block as objects, the next as rows, and so on.

    Rows go together when the last of them is due: what went before its time would look quicker, or
    in time, when it is not.
    """
    never = threading.Event()
    first, count = arguments["first"], arguments["count"]
    rate = arguments["rate_per_s"]
    block = max(1, min(BLOCK, count // 2, int(rate * LONGEST_BLOCK_S)))

    def wait_for(seq):
        due_us = started_us + round(seq * 1_000_000 / rate)
        never.wait(max(0.0, (due_us - time.time_ns() // 1000) / 1e6))

    for start in range(0, count, block):
        seqs = range(first + start, first + min(start + block, count))
        documents = [document(arguments, seq, started_us) for seq in seqs]
        place = {"method": arguments["method"], "target": target}
        place["destination_table"] = arguments["table"]
        if start // block % 2:
            wait_for(seqs[-1])
            names = sorted({name for found in documents for name in found})
            for columns in grouped(documents, names):
                rows = [[found[name] for name in columns[0]] for found in columns[1]]
                job_input.send_tabular_data_for_ingestion(rows, list(columns[0]), **place)
        else:
            for seq, found in zip(seqs, documents):  # noqa: B905 - strict= came with Python 3.10
                wait_for(seq)
                job_input.send_object_for_ingestion(found, **place)


def grouped(documents, names):
    """Documents with the same columns together, as rows have to be; in their order."""
    groups = []
    for found in documents:
        columns = tuple(name for name in names if name in found)
        if not groups or groups[-1][0] != columns:
            groups.append((columns, []))
        groups[-1][1].append(found)
    return groups


def document(arguments, seq, started_us):
    """Record `seq` as this ingestion method takes it."""
    body = payloads.text(arguments["profile"], arguments["run_id"], seq)
    found = {
        "run_id": arguments["run_id"],
        "seq": seq,
        "sent_at_us": started_us + round(seq * 1_000_000 / arguments["rate_per_s"]),
        "body": body,
        "digest": payloads.digest(body),
    }
    # The text has exact decimals and times as texts already; NaN and the like become some here.
    found.update(json.loads(body, parse_constant=str))
    if arguments["method"] == "trino":
        # vdk-trino would write a null as the text "None", but a missing column as null.
        return {name: value for name, value in found.items() if value is not None}
    if arguments["method"] == "postgres":
        return {name: for_postgres(value) for name, value in found.items()}
    return found


def for_postgres(value):
    """Floats and JSON as texts, which the columns' own types read; a literal would lose -0.0."""
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def read_back(path, count):
    """What VDK wrote, as chunks with the times when they were seen; waits until all is there."""
    never = threading.Event()
    chunks, content, quiet_since = [], b"", None
    deadline = time.monotonic() + FILE_LIMIT_S
    while time.monotonic() < deadline:
        more = path.read_bytes()[len(content) :] if path.is_file() else b""
        now = time.monotonic()
        if more:
            chunks.append([time.time_ns() // 1000, len(more)])
            content += more
            quiet_since = now
        # Each object ends in the only brace that begins a line.
        elif content.count(b"\n}") >= count and now - quiet_since > FILE_SETTLES_S:
            break
        never.wait(FILE_PAUSE_S)
    packed = base64.b64encode(zlib.compress(content)).decode("ascii")
    if len(packed) > LARGEST_PROPERTY:
        raise RuntimeError(
            f"vdkprobe: the file has {len(packed)} characters when packed, too many for a property:"
            " send fewer records by a job (routes.records)"
        )
    return json.dumps({"chunks": chunks, "content": packed})


def write_properties(job_input, found):
    """Add these properties to those that are there; vdk can only write all of them."""
    properties = dict(job_input.get_all_properties() or {})
    for other, value in properties.items():
        if isinstance(value, bool):
            # The service stores true and false, but vdk refuses to write them back.
            properties[other] = json.dumps(value)
    properties.update(found)
    job_input.set_all_properties(properties)


def tell(text):
    # Both ways, because a platform's log configuration may drop either.
    log.info(text)
    print(text, flush=True)
