"""The pipeline's configuration: a native [pipeline], or the YAML of the pipeline before it.

Credentials come from where the file says, from the environment (VDKPROBE_PIPELINE__DATABASE__USER
and the like), or from a folder with one file a key, as Kubernetes mounts a Secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_vdkprobe.config import Configuration, from_tables, load
from pytest_vdkprobe.config.native import read_native
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipeline.seed_yaml import read_seed_yaml
from pytest_vdkprobe.pipeline.settings import PipelineSettings

YAML = (".yaml", ".yml")
SECTION = "pipeline"
MOUNTED = {
    "username": ("database", "user"),
    "password": ("database", "password"),
    "ca_certificate": ("kafka", "tls", "ca"),
    "access_certificate": ("kafka", "tls", "certificate"),
    "access_key": ("kafka", "tls", "key"),
}
"""The file of each credential, by the names that the pipeline before gave them, and its setting."""


class Loaded(NamedTuple):
    """The settings, and what is needed to tell of them."""

    settings: PipelineSettings
    configuration: Configuration
    warnings: tuple[str, ...]

    @property
    def base_dir(self) -> Path:
        """Where relative paths of secrets start from."""
        return self.configuration.base_dir


def load_pipeline(
    spec: str,
    *,
    secrets: str | None = None,
    password: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """The configuration in the file `spec`.

    `secrets` is the folder with mounted credentials; what the file itself says goes before it.
    `password` is the place of the database's, instead of any other. Raises ConfigError, before
    anything is connected to, for whatever is wrong.
    """
    path = Path(os.path.expanduser(spec))  # noqa: PTH111 - Path raises for an unknown user
    warnings: tuple[str, ...] = ()
    names: dict[str, str] = {}
    if path.suffix.lower() in YAML:
        file = read_seed_yaml(path, spec)
        tables: dict[str, Any] = {SECTION: file.pipeline}
        secrets, names, warnings = secrets or file.secrets, file.secret_names, file.warnings
    elif path.suffix.lower() == ".toml":
        tables = read_native(path)
    else:
        load(spec, environ={})  # raises, and says what a configuration is called
        raise ConfigError(
            f"{spec!r} is not a configuration of a pipeline.",
            file=spec,
            expected="a .toml with the section [pipeline], or a .yaml",
        )
    if not isinstance(tables.get(SECTION), dict):
        raise ConfigError(
            f"{spec} has no section [{SECTION}].",
            file=spec,
            key=SECTION,
            to_try="write [pipeline] with kafka = { ... } and database = { ... }",
        )
    if secrets:
        _add_mounted(tables[SECTION], path.parent / secrets, names)
    if password:
        tables[SECTION].setdefault("database", {})["password"] = dict(password)
    configuration = from_tables(
        spec, tables, kind="native", overrides=overrides, environ=environ, base_dir=path.parent
    )
    configuration.learn_secrets()
    return Loaded(configuration.section(SECTION, PipelineSettings), configuration, warnings)


def _add_mounted(section: dict[str, Any], folder: Path, names: Mapping[str, str]) -> None:
    """Let settings that are not there come from the files of a mounted folder."""
    if not folder.is_dir():
        raise ConfigError(
            f"The folder of secrets {folder} is not there.",
            key="--secrets",
            to_try="mount the Secret as a volume there, one file a key",
        )
    for name, (part, *place) in MOUNTED.items():
        # Several secrets may be mounted side by side, each in a folder of its name.
        places = [folder / names[part] / name] if names.get(part) else []
        places += [folder / part / name, folder / name]
        found = next((path for path in places if path.is_file()), None)
        table = section.setdefault(part, {})
        if place[0] == "tls" and "tls" not in table:
            continue
        for level in place[:-1]:
            table = table.setdefault(level, {}) if isinstance(table, dict) else {}
        if (
            found is None
            or not isinstance(table, dict)
            or {place[-1], f"{place[-1]}_file"} & {*table}
        ):
            continue
        if name == "username":
            table[place[-1]] = _text(found)
        else:
            table[place[-1]] = {"file": str(found.absolute())}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or "it is no text in UTF-8"
        raise ConfigError(f"The file {path} can't be read: {why}.", key="--secrets") from exc
