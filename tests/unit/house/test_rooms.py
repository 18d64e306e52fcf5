"""Each section's entry in the table of rooms leads to what it names."""

from __future__ import annotations

import msgspec
import pytest

from pytest_vdkprobe.config.sections import SECTIONS
from pytest_vdkprobe.rooms import ROOMS, load


@pytest.mark.parametrize("name", ROOMS)
def test_what_an_entry_names_is_there(name: str) -> None:
    room = ROOMS[name]
    assert issubclass(load(room.settings), msgspec.Struct)
    for place in (room.problems, room.trials, room.plan):
        assert place is None or callable(load(place))
    assert bool(room.trials) == bool(room.tried)
    assert room.problems or not room.named


def test_every_section_has_an_entry_but_the_names_of_scenarios() -> None:
    # Other tests may have registered sections of users' own, which have none.
    assert {*ROOMS} | {"scenarios"} <= {*SECTIONS}
