"""Findings speak: what, seen, expected, checked, what to try; always in that order."""

from __future__ import annotations

import copy
import pickle

import pytest

from pytest_vdkprobe import errors
from pytest_vdkprobe.errors import (
    ConfigError,
    Finding,
    NoEvidence,
    PlatformFailure,
    ProbeError,
    WaitFailure,
)
from pytest_vdkprobe.secrets import MASK, Secret

FINDINGS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Finding) and kind is not Finding
]


def test_a_finding_prints_its_lines_in_one_order() -> None:
    finding = Finding("It broke.", to_try="mend it", checked="GET /x", expected="b", seen="a")
    assert str(finding).splitlines() == [
        "It broke.",
        "  Seen:      a",
        "  Expected:  b",
        "  Checked:   GET /x",
        "  To try:    mend it",
    ]


def test_lines_that_say_nothing_are_left_out() -> None:
    assert str(Finding("It broke.", seen="", expected=None)) == "It broke."


def test_further_lines_stand_under_the_first() -> None:
    assert str(Finding("It broke.", seen="a\nb\n", to_try="c")).splitlines() == [
        "It broke.",
        "  Seen:      a",
        "             b",
        "  To try:    c",
    ]


def test_the_two_families_are_never_mixed() -> None:
    for kind in FINDINGS:
        families = [
            family
            for family in (ProbeError, PlatformFailure, NoEvidence)
            if issubclass(kind, family)
        ]
        assert len(families) == 1, kind


def test_only_what_the_platform_did_is_an_assertion() -> None:
    for kind in FINDINGS:
        assert issubclass(kind, AssertionError) == issubclass(kind, PlatformFailure)


def test_names_end_in_error_or_in_failure() -> None:
    for kind in FINDINGS:
        if kind is not NoEvidence:
            ending = "Failure" if issubclass(kind, PlatformFailure) else "Error"
            assert kind.__name__.endswith(ending)


def test_a_configuration_error_names_file_key_and_value() -> None:
    error = ConfigError("Bad.", file="platform.toml", key="control.url", value="x", to_try="y")
    assert "Checked:   file platform.toml, key control.url" in str(error)
    assert "Seen:      'x'" in str(error)
    assert (error.file, error.key, error.value) == ("platform.toml", "control.url", "x")


@pytest.mark.parametrize("value", [False, 0, "", []], ids=repr)
def test_an_empty_value_is_shown_too(value: object) -> None:
    assert f"Seen:      {value!r}" in str(ConfigError("Bad.", value=value))


def test_a_secret_value_is_not_shown() -> None:
    assert "hunter22" not in str(ConfigError("Bad.", value=Secret("hunter22", "a test")))


def test_a_long_value_is_cut() -> None:
    text = str(ConfigError("Bad.", value="x" * 100_000))
    assert len(text) < 400
    assert "(100002 characters)" in text


def test_a_long_value_is_not_cut_through_a_secret() -> None:
    Secret("cut-me-in-two-51c7", "a test")
    value = "x" * (errors.LONGEST_VALUE - 9) + "cut-me-in-two-51c7" + "x" * 300
    text = str(ConfigError("Bad.", value=value))
    assert MASK[:5] in text
    assert "cut" not in text


@pytest.mark.parametrize("copied", [copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize(
    "finding",
    [WaitFailure("Late.", seen="a", to_try="b"), ConfigError("Bad.", key="k", value=1)],
    ids=lambda finding: type(finding).__name__,
)
def test_a_finding_survives_copying_and_pickling(copied: object, finding: Finding) -> None:
    assert callable(copied)
    again = copied(finding)
    assert type(again) is type(finding)
    assert str(again) == str(finding)
    assert vars(again) == vars(finding)
