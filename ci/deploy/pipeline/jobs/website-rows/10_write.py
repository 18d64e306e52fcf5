"""Write the checks that are in Kafka to PostgreSQL, each once, and end.

The same consumer as `vdkprobe pipeline start-consumer --once`; what it did not commit comes again
with the next run, and changes nothing.
"""

import logging
import pathlib

from pytest_vdkprobe.pipeline.configuration import load_pipeline
from pytest_vdkprobe.pipeline.consumer import Consumer
from pytest_vdkprobe.pipeline.stopping import Stop

log = logging.getLogger(__name__)


def run(job_input):
    config = job_input.get_arguments().get("config")
    loaded = load_pipeline(config or str(pathlib.Path(__file__).parent / "pipeline.toml"))
    account = Consumer(loaded.settings, base_dir=loaded.base_dir).run(Stop(300), once=True)
    log.info("%s", account)
