"""The section [history]: under which name runs are remembered, and how many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.leases import clean_url

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

LONGEST_NAME = 200


class HistorySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is remembered of runs, and for how long."""

    pipeline: str | None = None
    """The name under which runs are remembered and compared; default: the platform's address and
    team. Give two ways of checking one platform, that take different times, names of their own."""
    keep: int = 500
    """How many runs are kept; the last good one always is."""


def find_problems(configuration: Configuration) -> list[ConfigError]:
    """What is wrong with the section."""
    problems = configuration.problems({"history": HistorySettings})
    if problems:
        return problems
    settings = configuration.section("history", HistorySettings)
    name = settings.pipeline
    if name is not None and not (name.strip() and len(name) <= LONGEST_NAME):
        problems.append(
            ConfigError(
                "The name under which runs are remembered can't be this.",
                file=configuration.name,
                key="history.pipeline",
                value=name,
                expected=f"1 to {LONGEST_NAME} characters",
            )
        )
    if settings.keep < 1:
        problems.append(
            ConfigError(
                "One run is kept at least.",
                file=configuration.name,
                key="history.keep",
                value=settings.keep,
                to_try="write 500, say; or run with --vdk-history=off",
            )
        )
    return problems


def pipeline_of(configuration: Configuration) -> str:
    """The name under which runs of this configuration are remembered."""
    named = configuration.section("history", HistorySettings).pipeline
    if named is not None:
        return named
    tables = configuration.redacted_tables()
    if configuration.kind == "sandbox":
        # Each has another address; how its jobs are run decides how long they take.
        executor = tables.get("sandbox", {}).get("executor", "vdk")
        return "sandbox" if executor == "vdk" else f"sandbox-{executor}"
    control = tables.get("control", {})
    if "url" not in control:
        return configuration.name[:LONGEST_NAME]
    address = clean_url(str(control["url"])).partition("://")[2].strip("/")
    return f"{address}/{control.get('team', '')}"[:LONGEST_NAME]
