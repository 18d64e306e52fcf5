"""Check each active website of this job's shards once, and write the results to Kafka.

The same producer as `vdkprobe pipeline start-producer`, run by VDK's schedule instead of its own.
As it stands it checks the websites of every shard, one shard after the other. Where that takes
longer than the schedule leaves, deploy it N times under names of their own, and give each the
property `producers` (N) and a `producer` of its own (1 to N): the shards are shared out among them,
and each belongs to exactly one, however many websites there will be. Arguments of an execution go
before properties. The property PIPELINE_PASSWORD holds the database user's password.
"""

import logging
import os
import pathlib

from pytest_vdkprobe.pipeline.configuration import load_pipeline
from pytest_vdkprobe.pipeline.producer import Producer
from pytest_vdkprobe.pipeline.sites import needed_producers, shards_of
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
    needed = needed_producers(loaded.settings, base_dir=loaded.base_dir)
    shards = shards_of(given.get("producer", 1), given.get("producers", 1), needed)
    log.info("shards %s of %d", list(shards), needed)
    for shard in shards:
        account = Producer(loaded.settings, shard, base_dir=loaded.base_dir).run(Stop(), once=True)
        log.info("%s", account)
