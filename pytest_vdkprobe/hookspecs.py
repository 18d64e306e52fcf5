"""Hooks that users may implement in a `conftest.py` or a plugin of their own.

They are registered whether or not the plugin is active: a `conftest.py` that implements one must
not break a bare `pytest`, which calls hooks that nobody specified unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


@pytest.hookspec(firstresult=True)
def pytest_vdkprobe_subjects(
    config: pytest.Config, configuration: Configuration, kind: str
) -> Sequence[str] | None:
    """Name the subjects that a scenario marked `vdk_journey(kind)` is run for.

    Called once per scenario while tests are collected, in every xdist worker: the names must come
    out the same, in the same order, each time. The first implementation that returns a list wins;
    None leaves it to the next, and at last to the `name` of each `[[kind]]` table.

    In a `conftest.py`::

        def pytest_vdkprobe_subjects(config, configuration, kind):
            return ["blue", "green"] if kind == "tenants" else None
    """


def pytest_vdkprobe_step_finished(config: pytest.Config, step: Mapping[str, object]) -> None:
    """A step has its verdict.

    Called for each step once, in the process that reports (under xdist: the controller), with the
    entry that the step has in `--vdk-report`: journey, step, verdict, duration_s, evidence ... All
    texts are redacted. What is returned is ignored.

    In a `conftest.py`::

        def pytest_vdkprobe_step_finished(config, step):
            print(step["journey"], step["step"], step["verdict"])
    """
