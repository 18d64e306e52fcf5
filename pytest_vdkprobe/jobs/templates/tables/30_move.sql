INSERT INTO {vdkprobe_destination} ({vdkprobe_listed})
SELECT {vdkprobe_listed} FROM {vdkprobe_view}
