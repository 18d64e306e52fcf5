"""What is shown of CI systems and clusters parses, is valid, and calls what exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vdkprobe.config import load
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.journeys.settings import RunSettings
from tests.unit.docs.blocks import Block, blocks
from tests.unit.docs.test_blocks import ALIASES, help_of

YAML = blocks("yaml")
KUBERNETES = [block for block in YAML if block.flags == "kubernetes"]
VERSION = "1.31"


def documents(block: Block) -> list[Any]:
    """The documents of a block."""
    return list(yaml.safe_load_all(block.text))


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_parses_and_calls_pytest_with_options_that_exist(block: Block) -> None:
    assert all(documents(block))
    known = help_of("pytest")
    options = re.findall(r"(?<![\w-])(--(?:vdk-[a-z-]+|junitxml))", block.text)
    assert [one for one in options if ALIASES.get(one, one) not in known] == []


@pytest.mark.parametrize("block", KUBERNETES, ids=str)
def test_manifests_are_what_kubernetes_takes(block: Block) -> None:
    validator = importlib.import_module("kubernetes_validate")
    for document in documents(block):
        validator.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("block", KUBERNETES, ids=str)
def test_a_configuration_in_a_manifest_is_usable(block: Block, tmp_path: Path) -> None:
    for document in documents(block):
        for name, text in document.get("data", {}).items():
            file = tmp_path / name
            file.write_text(text)
            sections = {"control": ControlSettings, "jobs": JobSettings, "run": RunSettings}
            assert load(str(file), environ={}).problems(sections) == []


def test_deadlines_nest_so_that_a_run_can_clean_up() -> None:
    (block,) = KUBERNETES
    job = next(d for d in documents(block) if d["kind"] == "CronJob")["spec"]["jobTemplate"]["spec"]
    text = next(d for d in documents(block) if d["kind"] == "ConfigMap")["data"]["platform.toml"]
    limits = {key: int(value) for key, value in re.findall(r"(\w+) = (\d+)", text)}
    assert limits["timeout_s"] + limits["grace_s"] < job["activeDeadlineSeconds"]
    assert limits["grace_s"] < job["template"]["spec"]["terminationGracePeriodSeconds"]


def test_each_ci_system_is_there() -> None:
    flags = {block.flags for block in YAML}
    assert flags >= {"github-workflow", "gitlab-ci", "kubernetes"}
    workflow = yaml.safe_load(next(b for b in YAML if b.flags == "github-workflow").text)
    steps = workflow["jobs"]["check"]["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)


def test_leases_outlive_a_job_that_failed_or_was_cancelled() -> None:
    texts = {block.flags: yaml.safe_load(block.text) for block in YAML if "kube" not in block.flags}
    steps = texts["github-workflow"]["jobs"]["check"]["steps"]
    # What the action of this name alone saves, it saves after a success only.
    assert not any(step.get("uses", "").startswith("actions/cache@") for step in steps)
    (save,) = [s for s in steps if s.get("uses", "").startswith("actions/cache/save@")]
    assert save["if"] == "always()"
    assert texts["gitlab-ci"]["platform"]["cache"]["when"] == "always"
