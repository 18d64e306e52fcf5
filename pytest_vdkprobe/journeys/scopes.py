"""Fixtures of ours that somebody has overridden with another scope, told before anything runs.

pytest would tell it step by step, when the first fixture that is wider asks for the narrower one,
and by then the platform has been touched.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_vdkprobe.config.registry import place_of
from pytest_vdkprobe.errors import ConfigError

PREFIX = "vdk_"


def require_scopes(items: Iterable[pytest.Item]) -> None:
    """Raise ConfigError for the first override whose scope is not that of ours."""
    seen = set()
    for item in items:
        info = getattr(item, "_fixtureinfo", None)
        for name, chain in getattr(info, "name2fixturedefs", {}).items():
            overrides = tuple(chain[1:])
            if not name.startswith(PREFIX) or not overrides or overrides in seen:
                continue
            seen.add(overrides)
            ours, *others = chain
            for other in others:
                if other.scope != ours.scope:
                    raise ConfigError(
                        f"The fixture {name} is overridden with another scope.",
                        key=name,
                        value=other.scope,
                        expected=f"{ours.scope}, as what depends on it",
                        to_try=f'write @pytest.fixture(scope="{ours.scope}") in '
                        f"{place_of(other.func)}",
                    )
