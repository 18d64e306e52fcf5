"""The configured endpoints: the one of a name, and what `vdkprobe check --connect` tries of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pytest_vdkprobe.control.errors import public_url
from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings
from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

SECTION = "endpoints"


def find(configuration: Configuration, name: str) -> tuple[str, EndpointTasksSettings]:
    """The key and the settings of the endpoint called `name`. Raises ConfigError for none."""
    found = configuration.sections(SECTION, EndpointTasksSettings)
    for index, settings in enumerate(found):
        if settings.name == name:
            return f"{SECTION}.{index}", settings
    raise ConfigError(
        f"There is no endpoint called {name}.",
        file=configuration.name,
        key=SECTION,
        value=name,
        expected="one of " + ", ".join(settings.name for settings in found),
    )


def plan(configuration: Configuration, *, run_id: str) -> list[str]:
    """How often each is called; nothing is created by that, as far as the probe knows."""
    del run_id
    return [
        f"  calls to endpoint {one.name}: {one.tasks} x {one.method} {public_url(one.url)}, "
        f"one every {one.interval_s:g} s"
        for one in configuration.sections(SECTION, EndpointTasksSettings)
    ]


def trials(configuration: Configuration) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each endpoint: what to call it, and what reaches it and logs in; no task is made."""
    from pytest_vdkprobe.control.endpoint import Endpoint  # noqa: PLC0415 - loads requests

    for index, settings in enumerate(configuration.sections(SECTION, EndpointTasksSettings)):

        def reach(key: str = f"{SECTION}.{index}", end: EndpointTasksSettings = settings) -> str:
            with Endpoint(end, key=key, base_dir=configuration.base_dir) as endpoint:
                endpoint.check()
                return f"{endpoint.place} answers"

        yield f"endpoint {settings.name}", reach
