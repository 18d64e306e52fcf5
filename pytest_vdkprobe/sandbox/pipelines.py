"""The pipeline of `--vdk-config=sandbox`: real processes on real Kafka and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.sandbox.engines.restart import command

if TYPE_CHECKING:
    from pytest_vdkprobe.sandbox.engines.messages import Run


def pipelines(engines: Run) -> list[dict[str, Any]]:
    """The `[[pipelines]]` of a sandbox with these engines, which start when they are looked up.

    Restarts are offered and not asked for: in a run on several processes others use the engines.
    """
    return [
        {
            "name": "availability",
            "kafka": {"servers": ["{kafka_servers}"]},
            "database": {
                "host": "{postgres_host}",
                "port": "{postgres_port}",
                "user": "{postgres_user}",
                "database": "postgres",
            },
            "checks_s": 2.0,
            "session_timeout_s": 2.0,
            "restart": {
                "broker": command(engines, "kafka"),
                "database": command(engines, "postgres"),
            },
        }
    ]
