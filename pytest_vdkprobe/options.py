"""Options: each from the command line, the environment or the ini file, in this order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.plugin import OPTIONS

FLAGS = ("quick", "plan", "sweep", "changed")
TRUE = ("1", "true", "yes", "on")
FALSE = ("", "0", "false", "no", "off")


def option(config: pytest.Config, name: str) -> Any:
    """An option's value: command line before environment before ini file."""
    return option_with_source(config, name)[0]


def given_options(config: pytest.Config) -> list[tuple[str, str, str]]:
    """Every option that was given, as (name, value, source)."""
    given = [
        (f"--vdk-{name}", *option_with_source(config, name.replace("-", "_")))
        for name, *_ in OPTIONS
    ]
    return [
        (name, ", ".join(value) if isinstance(value, list) else str(value), source)
        for name, value, source in given
        if value
    ]


def option_with_source(config: pytest.Config, name: str) -> tuple[Any, str]:
    """An option's value, and where it comes from."""
    given = config.getoption(f"vdk_{name}")
    if given is not None:
        return given, "command line"
    variable = f"VDKPROBE_{name.upper()}"
    text = os.environ.get(variable)
    if not text:
        return config.getini(f"vdk_{name}"), "ini file"
    if name == "set":
        return text.splitlines(), f"environment {variable}"
    if name in FLAGS:
        if text.lower() not in TRUE + FALSE:
            raise ConfigError(
                "An environment variable is neither true nor false.",
                key=variable,
                value=text,
                expected="1 or 0",
            )
        return text.lower() in TRUE, f"environment {variable}"
    return text, f"environment {variable}"


def path_option(config: pytest.Config, name: str) -> Path | None:
    """An option that is a path: from where pytest was called, or from where the ini file lies."""
    text = option(config, name)
    if not text:
        return None
    path = Path(text).expanduser()
    if option_with_source(config, name)[1] == "ini file" and config.inipath is not None:
        return config.inipath.parent / path
    return config.invocation_params.dir / path
