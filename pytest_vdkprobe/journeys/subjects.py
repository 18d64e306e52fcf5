"""What a scenario is run for: what a hook says, else the names in the configuration's lists."""

from __future__ import annotations

import msgspec
import pytest

from pytest_vdkprobe.config.entry_names import find_problems
from pytest_vdkprobe.journeys.answers import asked, wrong_answer
from pytest_vdkprobe.journeys.run import RUN_KEY


class Named(msgspec.Struct, frozen=True):
    """All that journeys need to know of the tables they are run for."""

    name: str


def subjects(config: pytest.Config, kind: str) -> list[str]:
    """What a scenario of that kind is run for: what a hook says, else the names in `[[kind]]`."""
    configuration = config.stash[RUN_KEY].configuration
    told = asked(config, "pytest_vdkprobe_subjects", configuration=configuration, kind=kind)
    if told is not None and not (
        isinstance(told, list | tuple) and all(isinstance(name, str) for name in told)
    ):
        expected = f"a list of the names that {kind} has, or None"
        raise wrong_answer(config, "pytest_vdkprobe_subjects", told, expected)
    if told is None:
        names = [table.name for table in configuration.sections(kind, Named)]
    else:
        names = list(told)
    for problem in find_problems(kind, names, file=None if told else configuration.name):
        raise problem
    return names
