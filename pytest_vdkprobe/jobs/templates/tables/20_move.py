"""Moves the rows with Python or with one of VDK's templates, when that is what this run is for.

With Python every row goes through this process: read with a query, written with parameters.
"""


def run(job_input):
    arguments = job_input.get_arguments() or {}
    do = arguments.get("do")
    if do == "sql":
        return
    if do == "python":
        rows = move_rows(job_input, arguments)
        print("vdkprobe-tables nonce={} rows={}".format(arguments["nonce"], rows), flush=True)
    elif do in arguments.get("templates", ()):
        job_input.execute_template(do, arguments["template"], database=arguments["database"])
        print("vdkprobe-tables nonce={} template={}".format(arguments["nonce"], do), flush=True)
    else:
        raise ValueError(f"vdkprobe: the argument do is {do!r}")
    job_input.skip_remaining_steps()


def move_rows(job_input, arguments):
    listed, source, destination = arguments["listed"], arguments["view"], arguments["destination"]
    # Our own names, quoted by the probe; no database takes one as a parameter.
    rows = job_input.execute_query(f"SELECT {listed} FROM {source}")  # noqa: S608 - as said
    width = len(rows[0])
    sign = "?" if arguments["database"] == "trino" else "%s"
    signs = "(" + ", ".join([sign] * width) + ")"
    if sign == "%s":
        # Where % introduces a parameter, one that is meant as such is written twice.
        listed, destination = listed.replace("%", "%%"), destination.replace("%", "%%")
    values = ", ".join([signs] * len(rows))
    insert = f"INSERT INTO {destination} ({listed}) VALUES {values}"  # noqa: S608 - as said
    connection = job_input.get_managed_connection()
    cursor = connection.cursor()
    cursor.execute(insert, [value for row in rows for value in row])
    if sign == "?":
        cursor.fetchall()
    else:
        connection.commit()
    return len(rows)
