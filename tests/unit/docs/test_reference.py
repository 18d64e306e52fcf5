"""The reference is complete: every option, key, environment name, fixture and hook stands in it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe import fixtures, hookspecs, plugin
from pytest_vdkprobe.config.dataplatform_probe import KEYS as PROBE_KEYS
from pytest_vdkprobe.config.heartbeat_keys import CLI_KEYS, KEYS
from pytest_vdkprobe.config.legacy import LegacySettings
from pytest_vdkprobe.config.ownkind import OwnKind
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings
from pytest_vdkprobe.events.settings import EventsSettings
from pytest_vdkprobe.history.settings import HistorySettings
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.journeys.settings import RunSettings
from pytest_vdkprobe.pipeline.settings import PipelineSettings
from pytest_vdkprobe.pipelines.settings import PipelineCheck
from pytest_vdkprobe.routes.kinds import SHIPPED, SIDES, kind_of
from pytest_vdkprobe.routes.settings import RouteSettings
from pytest_vdkprobe.sandbox.session import SandboxSettings
from pytest_vdkprobe.tables.settings import TablesSettings
from pytest_vdkprobe.upgrade.settings import UpgradeSettings
from pytest_vdkprobe.verdicts import EXIT_CODES, Verdict
from pytest_vdkprobe.watch.settings import MetricsSettings, WatchSettings
from tests.unit.docs.blocks import PAGES, REFERENCE, ROOT

SECTIONS = {
    "control": ControlSettings,
    "jobs": JobSettings,
    "routes": RouteSettings,
    "endpoints": EndpointTasksSettings,
    "tables": TablesSettings,
    "events": EventsSettings,
    "run": RunSettings,
    "pipeline": PipelineSettings,
    "watch": WatchSettings,
    "metrics": MetricsSettings,
    "pipelines": PipelineCheck,
    "sandbox": SandboxSettings,
    "legacy": LegacySettings,
    "upgrade": UpgradeSettings,
    "history": HistorySettings,
}


def structs(kind: object) -> Iterator[type[msgspec.Struct]]:
    """A settings type and every settings type inside it."""
    for inner in (kind, *getattr(kind, "__args__", ())):
        if isinstance(inner, type) and issubclass(inner, OwnKind):
            continue  # nobody writes it
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield inner
            for field in msgspec.structs.fields(inner):
                if field.type is not inner:
                    yield from structs(field.type)
        elif inner is not kind:
            yield from structs(inner)


def part(section: str) -> str:
    """What the page says between the section's headline and the next."""
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    found = re.search(rf"^## `\[+{section}\]+`.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no headline for [{section}]"
    return found.group()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_configuration_key_is_explained(section: str) -> None:
    text = part(section)
    missing = {
        f"{struct.__name__}.{field.name}"
        for struct in structs(SECTIONS[section])
        if struct is not SecretRef or section == "control"  # explained once
        for field in msgspec.structs.fields(struct)
        if not re.search(rf"\b{field.encode_name}\b", text)
    }
    assert missing == set()


def test_every_kind_of_login_is_explained() -> None:
    tags = {
        str(struct.__struct_config__.tag)
        for struct in structs(ControlSettings)
        if struct.__struct_config__.tag is not None
    }
    assert {tag for tag in tags if f"`{tag}`" not in part("control")} == set()


@pytest.mark.parametrize("name", [name for name, *_ in plugin.OPTIONS])
def test_every_option_stands_there_with_its_twins(name: str) -> None:
    word = name.replace("-", "_")
    for spelling in (f"`--vdk-{name}", f"`VDKPROBE_{word.upper()}`", f"`vdk_{word}`"):
        assert spelling in REFERENCE


@pytest.mark.parametrize("name", sorted({*SHIPPED["target"], *SHIPPED["reader"]}))
def test_every_key_of_a_routes_ends_is_explained(name: str) -> None:
    text = (ROOT / "docs" / "reference" / "routes.md").read_text(encoding="utf-8")
    found = re.search(rf"^## `{name}`.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no headline for {name}"
    kinds = [kind_of(side, name) for side in SIDES if name in SHIPPED[side]]
    missing = {
        field.name
        for kind in kinds
        for struct in structs(kind.settings)
        if struct is not SecretRef  # explained once
        for field in msgspec.structs.fields(struct)
        if f"`{field.name}`" not in found.group()
    }
    assert missing == set()


def test_every_environment_name_in_the_code_is_explained() -> None:
    used = {
        name
        for path in [*(ROOT / "pytest_vdkprobe").rglob("*.py"), *(ROOT / "ci").iterdir()]
        if path.is_file()
        for name in re.findall(r"\bVDKPROBE_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))
        if "__" not in name
    }
    examples = {"VDKPROBE_NAME", "VDKPROBE_SECTION"}
    assert {name for name in used - examples if name not in REFERENCE} == set()


def test_every_key_of_vdk_heartbeat_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "from-vdk-heartbeat.md").read_text(encoding="utf-8")
    assert {key for key in (*KEYS, *CLI_KEYS) if f"`{key}`" not in page} == set()


def test_every_key_of_the_dataplatform_probe_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "from-dataplatform-probe.md").read_text(encoding="utf-8")
    assert {key for key in PROBE_KEYS if f"`{key}`" not in page} == set()


def test_every_fixture_is_explained() -> None:
    names = {name for name in vars(fixtures) if name.startswith("vdk_")}
    assert {name for name in names if f"`{name}`" not in REFERENCE} == set()


def test_every_hook_is_explained() -> None:
    names = {name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction)}
    hooks = {name for name in names if name.startswith("pytest_vdkprobe_")}
    assert hooks
    assert {name for name in hooks if f"`{name}`" not in REFERENCE} == set()


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_its_exit_code(verdict: Verdict) -> None:
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    assert f"`{verdict}`" in page or verdict is Verdict.PASS
    assert f"\n| {EXIT_CODES[verdict]} |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
