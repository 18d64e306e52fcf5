"""Names the table of this run in properties, for the SQL steps, and clears what a retry left.

SQL steps can only substitute text from arguments and properties, and a scheduled run has no
arguments; so what they need is written here, checked to be a harmless name first.
"""

import hashlib
import json
import re
from pathlib import Path

VALUES_FILE = "vdkprobe_values.json"
HARMLESS = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LONGEST_IDENTIFIER = 63  # PostgreSQL cuts what is longer, and two names could become one.


def run(job_input):
    arguments = job_input.get_arguments() or {}
    path = Path(str(job_input.get_job_directory())) / VALUES_FILE
    values = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    run_id = str(arguments.get("run_id", values.get("run_id")))
    nonce = str(arguments.get("nonce", "scheduled"))
    for text in (run_id, nonce):
        if not HARMLESS.fullmatch(text):
            raise ValueError(f"vdkprobe: {text!r} can't stand in SQL")

    prefix = str(values.get("table_prefix", "vdkprobe"))
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]{0,127}", prefix):
        raise ValueError(f"vdkprobe: {prefix!r} can't begin a table's name")
    schema, _, first = prefix.rpartition(".")
    name = re.sub(r"[^a-z0-9]", "_", "_".join([first, run_id, nonce]).lower())
    if len(name) > LONGEST_IDENTIFIER:
        name = name[:50] + "_" + hashlib.sha256(name.encode()).hexdigest()[:12]
    table = (schema + "." if schema else "") + name

    properties = dict(job_input.get_all_properties() or {})
    for other, value in properties.items():
        if isinstance(value, bool):
            # The service stores true and false, but vdk refuses to write them back.
            properties[other] = json.dumps(value)
    properties.update(
        vdkprobe_sql_table=table, vdkprobe_sql_run_id=run_id, vdkprobe_sql_nonce=nonce
    )
    job_input.set_all_properties(properties)
    job_input.execute_query("DROP TABLE IF EXISTS " + table)
