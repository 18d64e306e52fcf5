"""Users' own code is typed as ours is: an annotated conftest.py passes mypy --strict."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from pytest_vdkprobe import api
from tests.unit.docs.blocks import ROOT

RECORDED = Path(__file__).parent.parent / "data" / "api.txt"

CONFTEST = """
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import pytest
import requests

from pytest_vdkprobe.api import (
    Auth,
    ColumnType,
    ConfigError,
    Configuration,
    ControlClient,
    ControlSettings,
    DataJobSubject,
    Deadline,
    Expectation,
    Finding,
    JobSettings,
    Kinds,
    LeaseStore,
    Observation,
    Outcome,
    PostForm,
    Reader,
    Record,
    Route,
    Run,
    Secret,
    SendResult,
    StepRecord,
    Target,
    wait_until,
)


class Settings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mine"
):
    path: str


class Ends:
    losses: Mapping[str, str] = {}
    batch = 10

    def __init__(
        self, settings: Settings, *, leases: LeaseStore | None, base_dir: object
    ) -> None:
        self.path = settings.path

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self, columns: Mapping[str, ColumnType]) -> None: ...

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        return [SendResult(Outcome.ACKNOWLEDGED) for _ in records]

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        return Observation()

    def remove(self) -> None: ...

    def close(self) -> None: ...


class Login:
    kind = "mine"

    def __init__(self, settings: Settings, resolve: object) -> None: ...

    def authorize(self, post: PostForm) -> Mapping[str, str | Secret]:
        return {"X-Card": Secret("4711", "a card")}

    def refresh(self) -> bool:
        return False


def both(ends: Ends, login: Login) -> tuple[Target, Reader, Auth]:
    return ends, ends, login


def folder_of(settings: JobSettings) -> str:
    return str(settings.values["folder"])


def pytest_vdkprobe_register(config: pytest.Config, kinds: Kinds) -> None:
    kinds.target("mine", Settings, Ends)
    kinds.reader("mine", Settings, Ends)
    kinds.auth("mine", Settings, Login)
    kinds.template("mine", folder_of)
    kinds.section("tenants", many=True)


def pytest_vdkprobe_configured(
    config: pytest.Config, configuration: Configuration
) -> ConfigError | None:
    return None if "jobs" in configuration else ConfigError("no jobs", key="jobs")


def pytest_vdkprobe_verdict(
    config: pytest.Config, step: Mapping[str, object], finding: Finding | None
) -> Mapping[str, object] | None:
    return {"evidence": str(finding)} if finding is not None else None


def pytest_vdkprobe_step_starting(config: pytest.Config, step: StepRecord) -> None:
    step.evidence(step.id)


@pytest.fixture(scope="session")
def vdk_http(vdk_http: requests.Session) -> requests.Session:
    vdk_http.headers["X-Tenant"] = "blue"
    return vdk_http


@pytest.fixture(scope="session")
def vdk_control_settings(vdk_control_settings: ControlSettings) -> ControlSettings:
    return msgspec.structs.replace(vdk_control_settings, retries=1)


@pytest.fixture(scope="module")
def vdk_job(
    vdk_job: DataJobSubject, vdk_control: ControlClient, vdk_run: Run
) -> Iterator[DataJobSubject]:
    wait_until(
        "the platform to wake",
        vdk_control.info,
        done=lambda info: info.api_version is not None,
        deadline=Deadline.after(10, "ten seconds"),
    )
    yield vdk_job


def test_mine(vdk_route: Route, vdk_step: StepRecord) -> None:
    vdk_step.evidence(vdk_route.name)
"""


@pytest.mark.timeout(300)
def test_an_annotated_conftest_passes_mypy_strict(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    # As mypy treats what is installed; here it finds the package in the checkout.
    silent = "[mypy]\n[mypy-pytest_vdkprobe.*]\nfollow_imports = silent\n"
    (tmp_path / "mypy.ini").write_text(silent)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), "."],
        cwd=tmp_path,
        # mypy does not follow the import hook of an editable install.
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files("pytest_vdkprobe").joinpath("py.typed").is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["pytest_vdkprobe"]


def described() -> str:
    """Every public name with the signatures that users call, a line each."""
    lines = []
    for name in sorted(api.__all__):
        thing = getattr(api, name)
        if not isinstance(thing, type):
            lines.append(f"{name}{_signature(thing) if inspect.isfunction(thing) else ''}")
            continue
        fields: tuple[str, ...] = getattr(thing, "__struct_fields__", ())
        fields += tuple(getattr(thing, "__members__", ()))
        # Errors, protocols and enumerations have no constructor of their own to speak of.
        plain = not (fields or issubclass(thing, BaseException) or hasattr(thing, "_is_protocol"))
        lines.append(f"class {name}{_signature(thing) if plain else ''}")
        lines += [f"  {field}" for field in fields]
        for member, value in sorted(vars(thing).items()):
            if member[0] == "_" or not (inspect.isfunction(value) or isinstance(value, property)):
                continue
            shown = "" if isinstance(value, property) else _signature(value)
            lines.append(f"  .{member}{shown}")
    return "\n".join(lines) + "\n"


def _signature(thing: object) -> str:
    """The names of its parameters, and which may be left out."""
    try:
        found = inspect.signature(thing)  # type: ignore[arg-type]  # what is not callable has none
    except (TypeError, ValueError):
        return ""
    parts = []
    keyword_only = False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        optional = parameter.default is not parameter.empty
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        if parameter.kind is parameter.VAR_POSITIONAL:
            stars, keyword_only = "*", True
        parts.append(f"{stars}{parameter.name}{'=' if optional else ''}")
    return f"({', '.join(parts)})"


def test_public_names_and_signatures_change_on_purpose_only() -> None:
    to_try = f"if it is meant: python -m tests.unit.test_types > {RECORDED.relative_to(ROOT)}"
    assert described() == RECORDED.read_text(encoding="utf-8"), to_try


if __name__ == "__main__":
    print(described(), end="")
