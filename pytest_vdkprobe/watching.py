"""From options to what exports metrics: a watch, or a push at the end of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.options import option, path_option
from pytest_vdkprobe.problems import find_problems
from pytest_vdkprobe.secrets import REDACTOR, redact

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.watch.plugin import Watch

FILES = ("native", "heartbeat")
"""Kinds of configuration that lie in a file, which may change."""


def watching(
    config: pytest.Config,
    run: Run,
    tables: dict[str, Any] | None,
    load_again: Callable[[], Configuration],
) -> Watch:
    """The supervisor of a watch. Raises UsageError for what is wrong with how it was asked for."""
    from pytest_vdkprobe.watch.plugin import Watch  # noqa: PLC0415 - only for a watch
    from pytest_vdkprobe.watch.settings import PORT, parse_duration  # noqa: PLC0415 - ditto

    def load() -> Configuration:
        configuration = load_again()
        configuration.learn_secrets()
        problems, _ = find_problems(configuration, need_control=False)
        for problem in problems:
            raise problem
        return configuration

    config.option.xmlpath = None
    try:
        return Watch(
            run,
            config,
            tables=tables,
            load=load,
            watched=path_option(config, "config") if run.configuration.kind in FILES else None,
            duration_s=parse_duration(str(option(config, "watch"))),
            port=_port(option(config, "metrics_port"), PORT),
            file=path_option(config, "metrics_file"),
            gateway=_gateway(config),
        )
    except ProbeError as problem:
        raise pytest.UsageError(redact(str(problem))) from problem


def pushing(config: pytest.Config, run: Run) -> Callable[[], None] | None:
    """What pushes this run's metrics, if that was asked for."""
    gateway = _gateway(config)
    if gateway is None:
        return None
    from pytest_vdkprobe.observe.exposition import Exposition  # noqa: PLC0415 - if asked for
    from pytest_vdkprobe.watch.notices import Push  # noqa: PLC0415 - as above
    from pytest_vdkprobe.watch.settings import MetricsSettings  # noqa: PLC0415 - as above

    settings = run.configuration.section("metrics", MetricsSettings)
    return Push(gateway, Exposition(run.metrics.cells.items), settings)


def _gateway(config: pytest.Config) -> str | None:
    """The Pushgateway's address."""
    from pytest_vdkprobe.watch.settings import is_url  # noqa: PLC0415 - only if asked for

    text: str = option(config, "pushgateway")
    credentials, at, _ = text.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        # Nobody would take them to the gateway, and the header would print them.
        REDACTOR.add(credentials.partition(":")[2])
        raise pytest.UsageError(
            str(
                ConfigError(
                    "Credentials don't belong in the address of --vdk-pushgateway.",
                    key="--vdk-pushgateway",
                    to_try="leave them out, and let the network say who may push",
                )
            )
        )
    if not text or is_url(text):
        return text or None
    raise pytest.UsageError(
        str(
            ConfigError(
                "--vdk-pushgateway takes an address.",
                key="--vdk-pushgateway",
                value=text,
                to_try="write --vdk-pushgateway=http://pushgateway.example.org:9091",
            )
        )
    )


def _port(text: str | None, default: int) -> int:
    if not text:
        return default
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise ConfigError(
        "--vdk-metrics-port takes the number of a port.",
        key="--vdk-metrics-port",
        value=text,
        expected="0 to 65535",
        to_try="write --vdk-metrics-port=8001, or 0 for one that is free",
    )
