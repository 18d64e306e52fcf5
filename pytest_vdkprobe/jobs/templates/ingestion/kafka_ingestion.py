"""Kafka as an ingestion method of VDK, which has none of its own: each object becomes one message.

`target` is the brokers (`host:port,host:port`), `destination_table` the topic. Copy this file into
a job, put `kafka-python` into its requirements.txt and call `register(job_input)` before the first
record; or put it into a package of your own and name it as an entry point of the group
`vdk.plugin.run`, and every job of the platform has the method `kafka`.
"""

import json
import threading

try:
    from vdk.api.plugin.hook_markers import hookimpl
except ImportError:  # read by somebody who has no vdk

    def hookimpl(function):
        return function


TIMEOUT_S = 60


class KafkaIngestion:
    """What VDK wants of an ingestion plugin. `options` are those of kafka-python's KafkaProducer.

    VDK calls it from several threads. All of them share one producer for each set of brokers.
    """

    def __init__(self, **options):
        # Idempotence lets the client repeat what failed, without a message being there twice.
        self._options = {"acks": "all", "enable_idempotence": True}
        self._options.update(options)
        self._producers = {}
        self._lock = threading.Lock()

    def ingest_payload(
        self, payload, destination_table=None, target=None, collection_id=None, metadata=None
    ):
        """Send the objects, and return when the brokers have all of them; raises if they don't."""
        if not target or not destination_table:
            raise ValueError(
                "kafka: name the brokers as target, and the topic as destination_table"
            )
        producer = self._producer(target)
        reports = [
            producer.send(destination_table, json.dumps(found, default=str).encode("utf-8"))
            for found in payload
        ]
        for report in reports:
            report.get(timeout=TIMEOUT_S)

    def _producer(self, servers):
        from kafka import KafkaProducer  # noqa: PLC0415 - VDK loads plugins for every job

        with self._lock:
            if servers not in self._producers:
                self._producers[servers] = KafkaProducer(
                    bootstrap_servers=servers.split(","), **self._options
                )
            return self._producers[servers]


def register(job_input, **options):
    """Give this run of vdk the method `kafka`, without a package: for a job that brings the file.

    VDK hands the registry to packaged plugins only, so it is taken from where `job_input` keeps it.
    """
    plugin = KafkaIngestion(**options)
    job_input._JobInput__ingester.add_ingester_factory_method("kafka", lambda: plugin)


@hookimpl
def initialize_job(context):
    """The same for a package: VDK calls it before each job."""
    context.ingester.add_ingester_factory_method("kafka", KafkaIngestion)
