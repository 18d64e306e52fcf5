"""Write the checks that are in Kafka to PostgreSQL, each once, and end.

The same consumer as `vdkprobe pipeline start-consumer --once`; what it did not commit comes again
with the next run, and changes nothing. Deployed several times under names of their own, the jobs
share the topic's partitions. The property PIPELINE_PASSWORD holds the database user's password.
"""

import logging
import os
import pathlib

from pytest_vdkprobe.pipeline.configuration import load_pipeline
from pytest_vdkprobe.pipeline.consumer import Consumer
from pytest_vdkprobe.pipeline.stopping import Stop

log = logging.getLogger(__name__)


def run(job_input):
    properties = job_input.get_all_properties()
    given = {**properties, **job_input.get_arguments()}
    if "PIPELINE_PASSWORD" in properties:
        os.environ["PIPELINE_PASSWORD"] = str(properties["PIPELINE_PASSWORD"])
    loaded = load_pipeline(
        given.get("config") or str(pathlib.Path(__file__).parent / "pipeline.toml")
    )
    account = Consumer(loaded.settings, base_dir=loaded.base_dir).run(Stop(300), once=True)
    log.info("%s", account)
