"""One configuration, and what differs by environment: `pytest --profile=stage`."""

import tomllib
from pathlib import Path

import pytest

from pytest_vdkprobe.api import ConfigError

HERE = Path(__file__).parent


def pytest_addoption(parser):
    names = sorted(path.stem for path in (HERE / "profiles").glob("*.toml"))
    parser.addoption("--profile", choices=names, default="dev", help="which platform (dev)")


def settings(table, above=""):
    """`{"run": {"timeout_s": 3}}` as `run.timeout_s=3`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from settings(value, f"{above}{key}.")
        else:
            yield f"{above}{key}={str(value).lower() if isinstance(value, bool) else value}"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    profile = config.getoption("profile")
    differs = tomllib.loads((HERE / "profiles" / f"{profile}.toml").read_text())
    config.option.vdk_config = str(HERE / "platform.toml")
    config.option.vdk_set = [*settings(differs), *(config.option.vdk_set or [])]


def pytest_vdkprobe_configured(config, configuration):
    """Production is looked at with all steps, or not at all."""
    if config.getoption("profile") == "prod" and config.getoption("vdk_quick"):
        return ConfigError("Production is never checked quickly.", key="--vdk-quick")
    return None
