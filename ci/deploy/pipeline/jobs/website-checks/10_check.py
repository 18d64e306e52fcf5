"""Check each active website of shard 1 once, and write the results to Kafka.

The same producer as `vdkprobe pipeline start-producer`, run by VDK's schedule instead of its own. A
job for each shard; the argument `producer` says which.
"""

import logging
import pathlib

from pytest_vdkprobe.pipeline.configuration import load_pipeline
from pytest_vdkprobe.pipeline.producer import Producer
from pytest_vdkprobe.pipeline.stopping import Stop

log = logging.getLogger(__name__)


def run(job_input):
    number = int(job_input.get_arguments().get("producer", 1))
    config = job_input.get_arguments().get("config")
    loaded = load_pipeline(config or str(pathlib.Path(__file__).parent / "pipeline.toml"))
    account = Producer(loaded.settings, number, base_dir=loaded.base_dir).run(Stop(), once=True)
    log.info("%s", account)
