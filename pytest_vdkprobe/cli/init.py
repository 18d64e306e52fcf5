"""`vdkprobe init [FILE]`: a configuration to start from, with a line on each thing to decide."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_vdkprobe.cli.new_file import require_native, write_new

FILE = "platform.toml"
SCHEMA = "vdkprobe.schema.json"
TEMPLATE = """\
#:schema ./vdkprobe.schema.json
# A configuration of pytest-vdkprobe. Editors complete and check it by the schema beside it, which
# `vdkprobe schema > vdkprobe.schema.json` writes anew. Next:
#   vdkprobe check platform.toml --connect      is it usable, and does what it points to answer?
#   pytest --vdk-config=platform.toml --vdk-plan   what would be created where?
#   pytest --vdk-config=platform.toml           check the platform

[control]
url = "https://control.example.org"    # the Control Service, without /data-jobs
team = "platform"                      # the team that owns the probe's jobs
# ca_file = "ca.pem"                   # an authority of your own
# secrets_enabled = true               # where the platform has a secrets store

# How to log in. A secret is never written here, only where it is: { env = ... }, { file = ... } or
# { command = [...] }. Other kinds: "client-credentials", "bearer", "none".
[control.auth]
kind = "api-token"
url = "https://login.example.org/token"
token = { env = "VDK_API_TOKEN" }

[[jobs]]                               # each becomes a heartbeat
name = "hello-platform"
template = "proof"                     # or: path = "jobs/mine"
# limits = { deploy = 900 }            # seconds, by step
# skip = { keytab = "no Kerberos here" }
# expected = [{ step = "secrets", until = 2026-12-31, because = "OPS-12" }]

# [[routes]]                           # each becomes an ingestion check: what goes in, comes out
# name = "events"
# target = { kind = "http", url = "https://ingest.example.org/events" }
# reader = { kind = "trino", host = "trino.example.org", user = "me", table = "lake.probe.events" }
# within_s = 60

# [[endpoints]]                        # each is called on a schedule, and its answers are judged
# name = "api"
# url = "https://api.example.org/health"
# expect = { status = [200], within_s = 2 }

# [scenarios]                          # which checks run, and whose
# tenants = "checks/test_tenants.py"   # one of your own
# upgrade = false                      # left out

# [run]
# timeout_s = 1800                     # one deadline over all
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `init`."""
    parser = subparsers.add_parser(
        "init",
        help="write a commented configuration to start from",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default=FILE, help=f"where to (default: {FILE})"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, and the schema beside it; never over what is there."""
    from pytest_vdkprobe.cli.schema import as_text  # noqa: PLC0415 - loads every room's types

    file = Path(arguments.file)
    require_native(file)
    text = TEMPLATE.replace(FILE, file.name)
    write_new(file, text)
    write_new(file.parent / SCHEMA, as_text(), over=True)
    print(
        f"{file} is written, and {SCHEMA} beside it. Edit it, then: vdkprobe check {file}",
        file=sys.stderr,
    )
    return 0
