"""Fills the source table by ingestion, when that is what this run is for.

Half of the rows are sent as objects and half as a table, so that both ways of VDK are used. Runs on
the platform, so it uses the standard library only and any Python from 3.7 on.
"""


def run(job_input):
    arguments = job_input.get_arguments() or {}
    if arguments.get("do") != "fill":
        return
    into = {
        "destination_table": arguments["source"],
        "method": arguments["method"],
        "target": arguments["target"],
    }
    columns, rows = arguments["columns"], arguments["rows"]
    # VDK's own trino plugin makes the text "None" of a null; what is left out is null there.
    leave_out_nulls = arguments["method"].lower() == "trino"
    whole = [row for row in rows if None not in row]
    half = len(whole) // 2
    for row in [row for row in rows if None in row] + whole[:half]:
        payload = dict(zip(columns, row))  # noqa: B905 - strict= came with Python 3.10
        if leave_out_nulls:
            payload = {name: value for name, value in payload.items() if value is not None}
        job_input.send_object_for_ingestion(payload=payload, **into)
    job_input.send_tabular_data_for_ingestion(whole[half:], column_names=columns, **into)
    print("vdkprobe-tables nonce={} sent={}".format(arguments["nonce"], len(rows)), flush=True)
    job_input.skip_remaining_steps()
