"""What the configuration's tests start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pytest_vdkprobe.config import Configuration, load

Loader = Callable[..., Configuration]


@pytest.fixture
def native(tmp_path: Path) -> Loader:
    """Loads a text as a native configuration, in an environment of its own."""

    def load_text(
        text: str,
        overrides: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Configuration:
        path = tmp_path / "platform.toml"
        path.write_text(text, "utf-8")
        return load(str(path), overrides=overrides, environ=environ or {})

    return load_text


@pytest.fixture
def legacy(tmp_path: Path) -> Loader:
    """Loads lines of an ini's DEFAULT section as vdk-heartbeat's configuration."""

    def load_text(text: str = "", environ: Mapping[str, str] | None = None) -> Configuration:
        path = tmp_path / "heartbeat.ini"
        path.write_text(f"[DEFAULT]\n{text}", "utf-8")
        return load(str(path), environ=environ or {})

    return load_text
