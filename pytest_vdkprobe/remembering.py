"""From options to a history: where runs are remembered, what is compared, what is left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys import scheduling
from pytest_vdkprobe.journeys.changed import Consisting, Known, know
from pytest_vdkprobe.store.address import Address, default_file

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.results import Results
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.observe.history import History

OFF = "off"
LAST = "last"
RUN_ID = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{3,35}")
"""The beginning of an execution's id, or all of it."""


class Memory(NamedTuple):
    """What is asked of the history; no address where it is off."""

    address: Address | None
    explicit: bool
    compare: str | None
    changed: bool


HISTORY_KEY: pytest.StashKey[Address | None] = pytest.StashKey()
"""Where pytest's config keeps the history's address; None where none is kept."""


def memory(history: tuple[Any, str], compare: tuple[Any, str], *, changed: bool) -> Memory:
    """From each option's value and source. Raises ConfigError for what can't be."""
    text, source = str(history[0] or "").strip(), history[1]
    wanted = _run_wanted(compare[0])
    if text.lower() == OFF:
        for name, asked in (("--vdk-compare", wanted is not None), ("--vdk-changed", changed)):
            if asked:
                raise ConfigError(
                    f"{name} needs a history, and it is off.",
                    key="--vdk-history",
                    value=f"{text} ({source})",
                    to_try=f"leave one of the two out: without --vdk-history, {default_file()}"
                    " is used",
                )
        return Memory(None, explicit=True, compare=None, changed=False)
    if text:
        address = Address.parse(text, source=f"--vdk-history ({source})")
        return Memory(address, explicit=True, compare=wanted, changed=changed)
    address = Address.of_file(default_file(), source="the default of --vdk-history")
    return Memory(address, explicit=False, compare=wanted, changed=changed)


def known_to_workers(config: pytest.Config) -> Consisting | None:
    """On a worker: what the controller knows of the past; None where no history is kept."""
    text = scheduling.from_controller(config).get("known")
    if text is None:
        return None
    return Consisting(msgspec.json.decode(text, type=Known | None))


def remember(asked: Memory, run: Run, results: Results) -> tuple[History, Consisting] | None:
    """What writes this run down, and what says of what it consists."""
    if asked.address is None:
        return None
    from pytest_vdkprobe.observe import history  # noqa: PLC0415 - `off` costs nothing

    address = asked.address
    known = None
    if asked.changed:
        known = know(lambda: history.good_journeys(address, run), lambda: history.versions_now(run))
    consisting = Consisting(known)
    kept = history.History(
        address,
        results,
        explicit=asked.explicit,
        compare=asked.compare,
        consisting=consisting,
    )
    return kept, consisting


def as_text(consisting: Consisting) -> str:
    """What is known of the past, for workers."""
    return msgspec.json.encode(consisting.known).decode()


def _run_wanted(given: object) -> str | None:
    text = str(given or "").strip()
    if text.lower() in ("", "0", "no", "false", OFF):
        return None
    if text.lower() in (LAST, "1", "yes", "true", "on"):
        return LAST
    if RUN_ID.fullmatch(text):
        return text
    raise ConfigError(
        "--vdk-compare takes a run's id, or nothing.",
        key="--vdk-compare",
        value=text,
        expected="the beginning of a run's id, such as 5de50244",
        to_try="write --vdk-compare= before a path that follows it, or put the path first",
    )
