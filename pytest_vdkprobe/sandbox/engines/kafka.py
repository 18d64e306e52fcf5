"""Apache Kafka for the sandbox: the real broker, one node that is its own controller (KRaft)."""

from __future__ import annotations

import hashlib
import shutil
import signal
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from pytest_vdkprobe.connections.kafka import driver
from pytest_vdkprobe.connections.kafka_sockets import Unopened, direct
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines import artifacts, cache, java
from pytest_vdkprobe.sandbox.engines.engine_process import HOST, EngineProcess, free_port
from pytest_vdkprobe.sandbox.environment import Progress

OPTIONS = ("-Xmx384m", *java.QUICK)
FORMAT_LIMIT_S = 120.0
CALL_LIMIT_MS = 5000
READY_TOPIC = "vdkprobe-ready"
"""Where the start writes and reads one record; it is gone afterwards."""

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    # One partition instead of fifty: the first group and the first transaction are quicker.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    # Else the first consumer of a group waits three seconds for others.
    "group.initial.rebalance.delay.ms": "0",
    # Else nobody may ask to notice sooner than after six seconds that a consumer is dead.
    "group.min.session.timeout.ms": "500",
    "auto.create.topics.enable": "false",
}


class Kafka(java.JavaEngine):
    """A Kafka broker; `settings` are added to those in its server.properties."""

    name = "kafka"
    ready_limit_s = 120.0
    ask_with = signal.SIGTERM
    kill_with = signal.SIGKILL
    options = OPTIONS

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._settings = {**SETTINGS, **(settings or {})}

    @classmethod
    def provide(cls, progress: Progress | None = None) -> None:
        """Fetch the broker and format the folder that every start copies."""
        artifacts.fetch(cls.name, progress=progress)
        _template()

    @classmethod
    def class_path(cls) -> str:
        """The jars in the order of the lock file."""
        return _class_path()

    def _launch(self, process: EngineProcess) -> None:
        if not (process.folder / "data").exists():
            shutil.copytree(_template(), process.folder / "data")
        properties = _properties(process.folder, self._port, free_port(), self._settings)
        process.start(
            _command("kafka.Kafka", process.folder, [str(properties)], self.archive_options()),
            environ=java.environ(process.folder),
        )

    def _ready(self) -> bool:
        """Whether a record that is written can be read back."""
        kafka = driver()
        where = {
            "bootstrap_servers": self.address.endpoint,
            "client_id": "vdkprobe-ready",
            "proxy_url": direct(),
        }
        with Unopened() as client:
            admin = kafka.admin.KafkaAdminClient(
                **where, request_timeout_ms=CALL_LIMIT_MS, kafka_client=client.make
            )
            client.opened()
        try:
            admin.create_topics([kafka.admin.NewTopic(READY_TOPIC, 1, 1)])
            producer = kafka.KafkaProducer(**where, max_block_ms=CALL_LIMIT_MS)
            try:
                producer.send(READY_TOPIC, b"ready").get(timeout=CALL_LIMIT_MS / 1000)
            finally:
                producer.close(timeout=1)
            consumer = kafka.KafkaConsumer(**where, consumer_timeout_ms=CALL_LIMIT_MS)
            try:
                consumer.assign([kafka.TopicPartition(READY_TOPIC, 0)])
                consumer.seek_to_beginning()
                return bool(next(iter(consumer)).value == b"ready")
            finally:
                consumer.close()
        finally:
            admin.delete_topics([READY_TOPIC])
            admin.close()


def _class_path() -> str:
    """The jars in the order of the lock file: an archive of classes wants always the same."""
    folder = artifacts.fetched(Kafka.name)
    if folder is None:
        raise ProbeError("Kafka's files went from the cache.", to_try="`vdkprobe sandbox fetch`")
    return ":".join(str(folder / one.file_name) for one in artifacts.pinned(Kafka.name))


def _command(main: str, temp: Path, arguments: list[str], archive: list[str]) -> list[str]:
    return [
        *(str(java.java()), *OPTIONS, *archive, f"-Djava.io.tmpdir={temp}"),
        *("-cp", _class_path(), main, *arguments),
    ]


def _properties(folder: Path, port: int, controller: int, settings: Mapping[str, str]) -> Path:
    """Write server.properties."""
    content = {
        **settings,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "log.dirs": str(folder / "data"),
    }
    path = folder / "server.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in content.items()), "utf-8")
    return path


def _template() -> Path:
    """A formatted data folder. It holds no port, so one serves every start."""
    content = "\0".join([artifacts.folder_name(Kafka.name), *SETTINGS])
    name = f"kafka-data-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def build(folder: Path) -> None:
        parent = Path(tempfile.gettempdir())
        with EngineProcess(Kafka.name, parent=parent, kill_with=Kafka.kill_with) as process:
            properties = _properties(process.folder, 1, 2, SETTINGS)
            arguments = ["format", "--cluster-id", _cluster_id(), "--config", str(properties)]
            process.start(
                _command("kafka.tools.StorageTool", process.folder, arguments, []),
                environ=java.environ(process.folder),
            )
            code = process.join(FORMAT_LIMIT_S)
            if code != 0:
                raise ProbeError(
                    f"Kafka's data folder could not be formatted (exit code {code}).",
                    seen=process.tail(),
                )
            shutil.copytree(process.folder / "data", folder, dirs_exist_ok=True)

    return cache.make(name, build)


def _cluster_id() -> str:
    """A cluster id as Kafka wants it: 16 bytes in URL-safe base 64, without padding."""
    import base64  # noqa: PLC0415 - used once a machine

    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
