"""The real engines: they do what they are for, and nothing of them is left."""

from __future__ import annotations

from pytest_vdkprobe.connections.kafka import driver
from tests.integration.shared_engines import SharedEngines


def test_postgres_gives_each_worker_a_database_of_its_own(engines: SharedEngines) -> None:
    import psycopg2

    where = engines.postgres
    connection = psycopg2.connect(
        host=where.host, port=where.port, user=where.user, dbname=engines.database
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("select current_database(), current_setting('server_version')")
            found = cursor.fetchone()
    finally:
        connection.close()

    assert found is not None
    assert found[0] == engines.database
    assert found[1].startswith("18.")


def test_kafka_takes_records_and_gives_them_back_in_order(engines: SharedEngines) -> None:
    kafka = driver()
    where = engines.kafka.endpoint
    topic = f"{engines.topic_prefix}round-trip"
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=where)
    admin.create_topics([kafka.admin.NewTopic(topic, 1, 1)])
    producer = kafka.KafkaProducer(bootstrap_servers=where)
    for number in range(10):
        producer.send(topic, str(number).encode())
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=where, consumer_timeout_ms=10_000)
    consumer.assign([kafka.TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    seen = [next(consumer).value for _ in range(10)]
    consumer.close()
    admin.delete_topics([topic])
    admin.close()

    assert seen == [str(number).encode() for number in range(10)]


def test_trino_gives_each_worker_a_schema_of_its_own(engines: SharedEngines) -> None:
    import trino

    where = engines.trino
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
        host=where.host, port=where.port, user=where.user, catalog="memory", schema=engines.schema
    )
    try:
        cursor = connection.cursor()
        for statement in (
            "create table round_trip as select 1 a, 'x' b",
            "select a, b from round_trip",
        ):
            cursor.execute(statement)
            rows = cursor.fetchall()
        cursor.execute("drop table round_trip")
        cursor.fetchall()
    finally:
        connection.close()

    assert rows == [[1, "x"]]
