"""What is written as TOML reads back as what it was."""

from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_vdkprobe.config.toml import as_toml

TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = st.one_of(
    TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=8
)
TABLES = st.dictionaries(TEXT, VALUES, max_size=4)


# Slow to make on a machine under load, which is no fault of what is tested.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(TEXT, TABLES | st.lists(TABLES, min_size=1, max_size=3), max_size=3))
def test_every_table_reads_back(tables: dict[str, object]) -> None:
    assert tomllib.loads(as_toml(tables)) == tables


def test_none_is_left_out() -> None:
    assert as_toml({"control": {"url": "u", "ca_file": None}}) == '[control]\nurl = "u"\n'


def test_infinity_reads_back() -> None:
    assert tomllib.loads(as_toml({"a": {"b": math.inf}})) == {"a": {"b": math.inf}}


def test_what_toml_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="no form in TOML"):
        as_toml({"a": {"b": object()}})
    with pytest.raises(TypeError, match="neither a table"):
        as_toml({"a": 1})
