CREATE TABLE {vdkprobe_sql_table} (run_id VARCHAR(64), nonce VARCHAR(64), seq INTEGER)
