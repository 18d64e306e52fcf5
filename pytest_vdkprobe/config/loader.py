"""The one way to a configuration: file, environment and command line laid over each other.

Precedence, decided by what is set and never by what is true: command line, then `VDKPROBE_*`, then
the file (for vdk-heartbeat's: its own environment names, then its ini), then the type's default.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vdkprobe.config import overrides as layers
from pytest_vdkprobe.config.configuration import Configuration, Kind
from pytest_vdkprobe.config.native import check_sections, read_native
from pytest_vdkprobe.config.origin import Key, Origin
from pytest_vdkprobe.errors import ConfigError

NATIVE = (".toml",)
HEARTBEAT = (".ini", ".conf", ".cfg")


def load(
    spec: str,
    *,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    local: Mapping[str, Any] | None = None,
) -> Configuration:
    """The configuration that `spec` names: a .toml, an .ini of vdk-heartbeat, or `env`.

    `local` are the sandbox's tables, for an environment that asks for local services only.

    `overrides` are the settings of --vdk-set by their dotted key; `environ` is the process's own
    unless given. Raises ConfigError, before anything is connected to, for whatever is wrong.
    """
    environ = os.environ if environ is None else environ
    if spec == "env":
        return _environment(overrides, environ, local)
    path = Path(os.path.expanduser(spec))  # noqa: PTH111 - Path raises for an unknown user
    suffix = path.suffix.lower()
    if suffix in NATIVE:
        tables = read_native(path)
        return _layered(spec, "native", tables, overrides, environ, base_dir=path.parent)
    if suffix in HEARTBEAT:
        return _heartbeat(path, spec, overrides, environ)
    if spec == "sandbox":
        raise ConfigError(
            "The sandbox's configuration comes from the sandbox, once it is up.",
            key="sandbox",
            to_try="run pytest --vdk-config=sandbox, or vdkprobe sandbox up",
        )
    if path.is_dir():
        read_native(path)  # raises, and names the files inside
    raise ConfigError(
        f"{spec!r} is not a configuration: its name does not say of which kind.",
        file=spec,
        expected="a .toml (ours), an .ini, .conf or .cfg (vdk-heartbeat's), sandbox or env",
        to_try="give the file's whole name",
    )


def from_tables(
    name: str,
    tables: Mapping[str, Any],
    *,
    kind: Kind = "sandbox",
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    base_dir: Path | None = None,
) -> Configuration:
    """A configuration that stands in no file, such as the sandbox's; overrides count as ever."""
    environ = os.environ if environ is None else environ
    own = copy.deepcopy(dict(tables))
    check_sections(own, name)
    return _layered(name, kind, own, overrides, environ, base_dir=base_dir)


def _environment(
    overrides: Mapping[str, str] | None,
    environ: Mapping[str, str],
    local: Mapping[str, Any] | None,
) -> Configuration:
    """What vdk-heartbeat's variables amount to, or the dataplatform-probe's, or both."""
    from pytest_vdkprobe.config import dataplatform_probe as probe  # noqa: PLC0415 - env only
    from pytest_vdkprobe.config.heartbeat_keys import CLI_KEYS, KEYS  # noqa: PLC0415 - as above

    addresses = [name for name, key in KEYS.items() if key == "control.url"] + [CLI_KEYS[0]]
    is_heartbeat = any(environ.get(name) for name in addresses)
    if not probe.is_meant(environ):
        meant = is_heartbeat or any(environ.get(name) for name in (*KEYS, *CLI_KEYS))
        if not meant and not overrides and not any(layers.from_environment(environ)):
            raise probe.nothing_set(environ, (*KEYS, *CLI_KEYS))
        return _heartbeat(None, "environment", overrides, environ)
    if local is None and probe.is_local(environ):
        # Without the sandbox these variables would name the real platform.
        raise ConfigError(
            "LOCAL_SERVICES_ONLY asks for the sandbox's services, which only a run starts.",
            key="LOCAL_SERVICES_ONLY (environment)",
            value=environ["LOCAL_SERVICES_ONLY"],
            to_try="pytest --vdk-config=env --vdk-plan; or unset it, for the platform itself",
        )
    found = probe.DataplatformProbe(environ, local=local)
    tables, origins, warnings = found.tables, found.origins, found.warnings
    hints: Mapping[Key, str] = {}
    if is_heartbeat and local is None:
        from pytest_vdkprobe.config.heartbeat import read_heartbeat  # noqa: PLC0415 - if it is

        legacy = read_heartbeat(None, environ)
        tables = {**legacy.tables, **tables}
        origins = {**legacy.origins, **origins}
        warnings = [*legacy.warnings, *warnings]
        hints = legacy.hints
    return _layered(
        "environment",
        "env",
        tables,
        overrides,
        environ,
        base_dir=Path(),
        origins=origins,
        warnings=warnings,
        hints=hints,
    )


def _heartbeat(
    path: Path | None,
    name: str,
    overrides: Mapping[str, str] | None,
    environ: Mapping[str, str],
) -> Configuration:
    from pytest_vdkprobe.config.heartbeat import read_heartbeat  # noqa: PLC0415 - legacy only

    legacy = read_heartbeat(path, environ)
    return _layered(
        name,
        "env" if path is None else "heartbeat",
        legacy.tables,
        overrides,
        environ,
        # vdk-heartbeat looks for its jobs from where it is called, not from its ini.
        base_dir=Path(),
        origins=legacy.origins,
        warnings=legacy.warnings,
        hints=legacy.hints,
    )


def _layered(
    name: str,
    kind: Kind,
    tables: dict[str, Any],
    overrides: Mapping[str, str] | None,
    environ: Mapping[str, str],
    *,
    base_dir: Path | None,
    origins: Mapping[Key, Origin] | None = None,
    warnings: list[str] | None = None,
    hints: Mapping[Key, str] | None = None,
) -> Configuration:
    """The tables with the environment's and then the command line's settings put over them."""
    found = dict(origins or {})
    given = [*layers.from_environment(environ), *layers.from_command_line(overrides or {})]
    for override in given:
        place = layers.apply(override, tables)
        for key in [key for key in found if key[: len(place)] == place]:
            del found[key]
        found[place] = override.origin
    return Configuration(
        name,
        kind,
        tables,
        origins=found,
        base_dir=base_dir,
        warnings=(*(warnings or ()), *layers.suspicious(environ)),
        hints=hints,
    )
