"""The sandbox of one pytest run: `--vdk-config=sandbox` starts it, the end of the run stops it.

It lives in the process that called pytest. xdist's workers and whoever else takes part get its
address with the configuration's tables and speak to it over loopback, as to any platform.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pytest_vdkprobe.sandbox.engine_addresses import EngineAddresses
from pytest_vdkprobe.sandbox.extra import require_extra
from pytest_vdkprobe.sandbox.faults import Fault
from pytest_vdkprobe.sandbox.pipelines import pipelines
from pytest_vdkprobe.sandbox.routes import endpoints, events, routes, tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.sandbox.server import Sandbox

ENGINES = "engines"
"""Beside the configuration's tables: by what other processes of the run ask for engines."""

TICK_S = 5.0
"""A cron minute of a sandbox: long enough for a job of the real vdk, short enough to wait for."""


class SandboxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[sandbox]` section; with `--vdk-config=sandbox` it is set by `--vdk-set sandbox.KEY=`.

    Left out, a knob has the default that is told in the how-to; times are seconds.
    """

    executor: Literal["vdk", "instant"] = "vdk"
    """`vdk` runs jobs with the real `vdk run`; `instant` runs simple steps in this process."""
    tick_s: float = TICK_S
    """How long a cron minute lasts."""
    auth: bool = True
    """Whether calls need a login, by an API token that lies in a file of the sandbox."""
    tls: bool = False
    keytab: Literal["bytes", "empty", "absent"] = "empty"
    secrets: bool = True
    deploy_delay_s: float = 0.0
    start_delay_s: float = 0.0
    seed: int = 0
    """Of the dice that faults with a share roll."""
    faults: tuple[Fault, ...] = ()
    """Ways to be wrong on purpose, from the start."""


def start(
    configuration: Configuration, *, at_end: Callable[[Callable[[], None]], object]
) -> dict[str, Any]:
    """Start the sandbox that `configuration` asks for; returns the native tables that lead to it.

    `at_end` is given the function that stops it. Raises ProbeError when the extra is not installed
    or vdk's environment can't be made, and ConfigError for a knob or a fault that does not exist.
    """
    require_extra()
    from pytest_vdkprobe.sandbox.engines import sharing  # noqa: PLC0415 - only for a sandbox
    from pytest_vdkprobe.sandbox.server import Sandbox  # noqa: PLC0415 - loads a web server

    settings = configuration.section("sandbox", SandboxSettings)
    if settings.executor == "vdk":
        from pytest_vdkprobe.sandbox import environment  # noqa: PLC0415 - only for the real vdk

        environment.fetch("vdk", progress=_tell)
    knobs = msgspec.structs.asdict(settings)
    planted = knobs.pop("faults")
    engines = sharing.begin()
    at_end(partial(sharing.end, engines))
    sandbox: Sandbox = Sandbox(**knobs, engines=engines)
    at_end(sandbox.stop)
    sandbox.start()
    for fault in planted:
        sandbox.faults.plant(fault)
    return {
        **tables_of(sandbox),
        "routes": routes(url=sandbox.url, folder=sandbox.folder, jobs=settings.executor == "vdk"),
        **probes(sandbox),
        "tables": tables(by_job=settings.executor == "vdk"),
        "pipelines": pipelines(engines),
        ENGINES: EngineAddresses(engines).tell(),
    }


def tables_of(sandbox: Sandbox) -> dict[str, Any]:
    """The native tables of a sandbox that runs, its shorter cron minute included."""
    tables: dict[str, Any] = sandbox.configuration()
    tables["control"]["cron_minute_s"] = sandbox.tick_s
    return tables


def probes(sandbox: Sandbox) -> dict[str, Any]:
    """The tables of what is probed beside the Control Service and its routes."""
    url, ca_file = sandbox.url, sandbox.ca_file
    return {
        "events": events(url=url, login=sandbox.client_login(), ca_file=ca_file),
        "endpoints": endpoints(url=url, ca_file=ca_file),
    }


def _tell(line: str) -> None:
    """Progress of what takes longer than two seconds, before pytest has a reporter."""
    print(line, file=sys.stderr, flush=True)
