"""Reads back what the SQL steps wrote, drops the table, and stops the job if a row is wrong.

Only then does the proof step run, so a proof of this job says that SQL worked from end to end.
"""

import logging

log = logging.getLogger(__name__)


def run(job_input):
    table = job_input.get_property("vdkprobe_sql_table")
    run_id = job_input.get_property("vdkprobe_sql_run_id")
    nonce = job_input.get_property("vdkprobe_sql_nonce")
    expected = [(run_id, nonce, seq) for seq in (1, 2, 3)]
    # The name was checked in 05_prepare.py; no database takes a table's name as a parameter.
    query = f"SELECT run_id, nonce, seq FROM {table} ORDER BY seq"  # noqa: S608 - checked name
    found = [tuple(row) for row in job_input.execute_query(query)]
    job_input.execute_query("DROP TABLE IF EXISTS " + table)
    text = f"vdkprobe-sql table={table} rows={len(found)} nonce={nonce}"
    log.info(text)
    print(text, flush=True)
    if found != expected:
        raise RuntimeError(f"vdkprobe: wrote {expected}, read back {found}")
