INSERT INTO {vdkprobe_sql_table} VALUES
    ('{vdkprobe_sql_run_id}', '{vdkprobe_sql_nonce}', 1),
    ('{vdkprobe_sql_run_id}', '{vdkprobe_sql_nonce}', 2),
    ('{vdkprobe_sql_run_id}', '{vdkprobe_sql_nonce}', 3)
