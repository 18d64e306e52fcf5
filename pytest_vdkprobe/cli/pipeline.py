"""`vdkprobe pipeline`: the website-availability pipeline from Kafka to PostgreSQL.

Producers check websites and write what they find to Kafka, consumers write it to PostgreSQL, each
check once. The configuration is a .toml with a section [pipeline], or the .yaml of the pipeline
that this one replaces."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import redact

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.postgres import PostgresDatabase
    from pytest_vdkprobe.pipeline.configuration import Loaded
    from pytest_vdkprobe.pipeline.stopping import Stop

STOPS = """
SIGTERM and SIGINT end it in order: what is under way is finished and written first. At its end it
prints what it did as one line of JSON; all else goes to standard error."""

PRODUCER = f"""\
Check the websites of one shard, each on its own interval, and write the results to Kafka.

ID is the producer's number, from 1 to what `vdkprobe pipeline producers` says. New, changed and
deactivated websites are picked up while it runs. A website that can't be checked (no URL, a broken
regular expression) is told, and the others go on.
{STOPS}"""

USUAL = "config/config.yaml"
"""Where the pipeline before has its configuration; its configure-database names none."""

PRODUCERS = """\
Print how many producers must run so that every active website belongs to one: active websites
divided by websites per producer, rounded up."""


CONFIGURE = """\
Make what the pipeline needs: schema, tables and a role in PostgreSQL, topics in Kafka. From
nothing, from the tables of the pipeline before (their rows are kept), and again without harm.

The connection's user must own the schema. `pipeline.role` names the user that processes are to log
in as, and where its password is; it is granted just what they need."""

CONSUMER = f"""\
Read checks from Kafka and write them to PostgreSQL, each once. Any number may run at once, as far
as the topic has partitions. Offsets are committed after the rows; while the database is away it
waits, and what can't be read goes to the dead-letter topic, with the reason.
{STOPS}"""

RETENTION = """\
Drop the metrics of days that are older than today and the N days before it (UTC): whole partitions,
in moments, however many rows they have."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `pipeline`."""
    group = subparsers.add_parser(
        "pipeline",
        help="website availability from Kafka to PostgreSQL: producers, consumers, their database",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = group.add_subparsers(metavar="COMMAND", title="commands", required=True)

    configure = _command(
        commands,
        "configure-database",
        "make schema, tables, role and topics",
        CONFIGURE,
        config=USUAL,
    )
    configure.add_argument(
        "--dry-run", action="store_true", help="print the SQL, connect to nothing, change nothing"
    )
    configure.add_argument(
        "--prompt", action="store_true", help="ask for the database's password on the terminal"
    )
    configure.add_argument(
        "--without-topics", action="store_true", help="leave Kafka to somebody else"
    )
    configure.set_defaults(run=_configure_database)

    producer = _command(commands, "start-producer", "check the websites of one shard", PRODUCER)
    producer.add_argument("id", metavar="ID", type=int, help="the producer's number, from 1")
    _add_ends(producer, "check each website once, write, and end")
    producer.set_defaults(run=_start_producer)

    consumer = _command(commands, "start-consumer", "write checks to PostgreSQL", CONSUMER)
    _add_ends(consumer, "write what is there at the beginning, and end")
    consumer.set_defaults(run=_start_consumer)

    producers = _command(commands, "producers", "print how many producers must run", PRODUCERS)
    producers.set_defaults(run=_producers)

    retention = _command(commands, "retention", "drop old metrics", RETENTION)
    retention.add_argument(
        "--keep-days", metavar="N", type=_days, required=True, help="days before today to keep"
    )
    retention.add_argument("--dry-run", action="store_true", help="print the SQL, change nothing")
    retention.set_defaults(run=_retention)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    short: str,
    text: str,
    *,
    config: str | None = None,
) -> argparse.ArgumentParser:
    """A command with what all have in common; `config` is its configuration if none is named."""
    parser = commands.add_parser(
        name,
        help=short,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?" if config else None,
        default=config,
        help="a .toml with [pipeline], or a .yaml" + (f" (default: {config})" if config else ""),
    )
    parser.add_argument(
        "--secrets",
        metavar="DIR",
        help="a folder with credentials, one file a key, as Kubernetes mounts a Secret: username, "
        "password, ca_certificate, access_certificate, access_key",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one setting, e.g. pipeline.timeout_s=5; may be repeated; never a secret",
    )
    return parser


def _add_ends(parser: argparse.ArgumentParser, once: str) -> None:
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--once", action="store_true", help=once)
    ends.add_argument("--duration", metavar="S", type=float, help="end in order after S seconds")
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="end in order when standard input ends, too: when whoever started it is gone",
    )


def _loaded(arguments: argparse.Namespace, **more: object) -> Loaded:
    """The configuration; from now on the process's log goes to standard error, redacted."""
    from pytest_vdkprobe.cli.check import overrides_of  # noqa: PLC0415 - `vdkprobe --help` is quick
    from pytest_vdkprobe.pipeline.configuration import load_pipeline  # noqa: PLC0415 - as above

    _log_to_stderr()
    loaded = load_pipeline(
        arguments.config,
        secrets=arguments.secrets,
        overrides=overrides_of(arguments.overrides, option="--set"),
        **more,  # type: ignore[arg-type]  # as load_pipeline has them
    )
    for warning in (*loaded.warnings, *loaded.configuration.warnings):
        print(redact(f"warning: {warning}"), file=sys.stderr)
    return loaded


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The line without secrets."""
        return redact(super().format(record))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("pytest_vdkprobe").setLevel(logging.INFO)
    # It tells of each try to reach a broker; we tell what becomes of them.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _start_producer(arguments: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - `vdkprobe --help` is quick

    from pytest_vdkprobe.pipeline.producer import Producer  # noqa: PLC0415 - as above

    if arguments.id < 1:
        raise ConfigError("A producer's ID is 1 or more.", key="ID", value=arguments.id)
    loaded = _loaded(arguments)
    with _stop(arguments) as stop:
        producer = Producer(loaded.settings, arguments.id, base_dir=loaded.base_dir)
        account = producer.run(stop, once=arguments.once)
    print(msgspec.json.encode(account).decode(), flush=True)
    return 0


@contextmanager
def _stop(arguments: argparse.Namespace) -> Iterator[Stop]:
    from pytest_vdkprobe.pipeline.stopping import Stop  # noqa: PLC0415 - `vdkprobe --help` is quick

    stop = Stop(arguments.duration)
    if arguments.until_eof:
        stop.on_eof(sys.stdin.fileno())
    with stop.on_signals():
        yield stop


def _start_consumer(arguments: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - `vdkprobe --help` is quick

    from pytest_vdkprobe.pipeline.consumer import Consumer  # noqa: PLC0415 - as above

    loaded = _loaded(arguments)
    with _stop(arguments) as stop:
        consumer = Consumer(loaded.settings, base_dir=loaded.base_dir)
        account = consumer.run(stop, once=arguments.once)
    print(msgspec.json.encode(account).decode(), flush=True)
    return 0


def _configure_database(arguments: argparse.Namespace) -> int:
    from pytest_vdkprobe.connections.kafka import KafkaClients  # noqa: PLC0415 - as above
    from pytest_vdkprobe.pipeline import schema, topics  # noqa: PLC0415 - as above

    password = _asked() if arguments.prompt and not arguments.dry_run else None
    loaded = _loaded(arguments, password=password)
    settings = loaded.settings
    if arguments.dry_run:
        print(schema.dry_run(settings), end="")
        return 0
    with _database(loaded) as database:
        lines = schema.configure(settings, database, base_dir=loaded.base_dir)
    if not arguments.without_topics:
        clients = KafkaClients(settings.kafka, base_dir=loaded.base_dir, key="pipeline.kafka")
        lines += topics.configure(settings.kafka, clients)
    for line in lines:
        print(redact(line), flush=True)
    return 0


PROMPTED = "VDKPROBE_PIPELINE_PASSWORD"


def _asked() -> dict[str, str]:
    """The place of a password that is typed now; this process's own memory."""
    import getpass  # noqa: PLC0415 - if asked

    os.environ[PROMPTED] = getpass.getpass("Password of the database's user: ")
    return {"env": PROMPTED}


def _retention(arguments: argparse.Namespace) -> int:
    from pytest_vdkprobe.pipeline import retention  # noqa: PLC0415 - `vdkprobe --help` is quick

    loaded = _loaded(arguments)
    settings, keep_days = loaded.settings.database, arguments.keep_days
    with _database(loaded) as database:
        if arguments.dry_run:
            for statement in retention.statements(settings, database, keep_days=keep_days):
                print(f"{statement};")
            return 0
        dropped = retention.drop_old(settings, database, keep_days=keep_days)
    print(f"{dropped} partitions dropped, {keep_days} days before today kept")
    return 0


def _days(text: str) -> int:
    days = int(text)
    if not 0 <= days <= 36500:
        raise argparse.ArgumentTypeError("days are a number from 0 to 36500")
    return days


@contextmanager
def _database(loaded: Loaded) -> Iterator[PostgresDatabase]:
    from pytest_vdkprobe.connections.postgres import PostgresDatabase  # noqa: PLC0415 - as above

    database = PostgresDatabase(
        loaded.settings.database, base_dir=loaded.base_dir, key="pipeline.database"
    )
    try:
        yield database
    finally:
        database.close()


def _producers(arguments: argparse.Namespace) -> int:
    from pytest_vdkprobe.pipeline.sites import needed_producers  # noqa: PLC0415 - as above

    loaded = _loaded(arguments)
    print(needed_producers(loaded.settings, base_dir=loaded.base_dir))
    return 0
