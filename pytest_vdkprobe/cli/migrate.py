"""`vdkprobe migrate FILE.ini` or `--from-env`: what another tool was told, as a native file.

vdk-heartbeat's ini and the other probes' environment variables work as they are; whoever wants to
change more than they can say gets a native file that means the same. Each line tells which key it
comes from. Secrets are never written: they stay in, or move to, the environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.cli.new_file import require_native, write_new
from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.config.origin import Key

PATHS = ("path", "junit_path", "ca_file")
"""Settings that are relative to where pytest is called there, and to the file here."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `migrate`."""
    parser = subparsers.add_parser(
        "migrate",
        help="write a native configuration from vdk-heartbeat's ini or from the environment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "ini", metavar="FILE.ini", nargs="?", help="a configuration of vdk-heartbeat"
    )
    parser.add_argument(
        "--from-env",
        action="store_true",
        help="from the environment variables of vdk-heartbeat and the other probes instead",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE.toml", help="write it there; never over another file"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file to stdout or where -o says; exit code 0, or 4 for what can't be read."""
    if bool(arguments.ini) == bool(arguments.from_env):
        raise ConfigError(
            "Name one thing to migrate from.",
            key="vdkprobe migrate",
            expected="FILE.ini, or --from-env",
            to_try="vdkprobe migrate heartbeat.ini -o platform.toml",
        )
    from pytest_vdkprobe.config import load  # noqa: PLC0415 - `vdkprobe --help` is quick

    configuration = load("env" if arguments.from_env else arguments.ini)
    if configuration.kind == "native":
        raise ConfigError(
            f"{configuration.name} is a native configuration already.", file=configuration.name
        )
    output = Path(arguments.output) if arguments.output else None
    if output is not None:
        require_native(output)
    text = as_native(configuration, folder=output.parent if output else Path())
    if output is None:
        print(text, end="")
        return 0
    write_new(output, text)
    print(f"{output} is written. Try: pytest --vdk-config={output} --vdk-plan", file=sys.stderr)
    return 0


def as_native(configuration: Configuration, *, folder: Path) -> str:
    """The configuration as a native file that lies in `folder`."""
    from pytest_vdkprobe.config.sections import SECTIONS  # noqa: PLC0415 - as above
    from pytest_vdkprobe.config.toml import as_toml  # noqa: PLC0415 - as above

    migration = Migration(configuration, folder)
    raw = configuration.raw_tables()
    tables = {name: migration.rewritten(raw[name], (name,)) for name in SECTIONS if name in raw}
    name = configuration.name
    head = [f"# Written by vdkprobe migrate from {name}; it means the same."]
    head += [f"# Note: {text}" for text in configuration.warnings if "in plain" not in text]
    head += [
        f"# {key} stood in {name} in plain. Here it comes from the environment: export {key}=..."
        for key in dict.fromkeys(migration.to_export)
    ]
    return "\n".join([*head, "", as_toml(tables, comments=migration.comments)])


class Migration:
    """Rewrites settings for another file, and notes what each comes from."""

    def __init__(self, configuration: Configuration, folder: Path) -> None:
        self.configuration = configuration
        self.folder = folder
        self.comments: dict[Key, str] = {}
        self.to_export: list[str] = []
        """Secrets that the file held in plain."""

    def rewritten(self, value: Any, key: Key) -> Any:
        """The value as it is written there."""
        from pytest_vdkprobe.config.origin import dotted  # noqa: PLC0415 - as above
        from pytest_vdkprobe.config.printing import holds_credentials  # noqa: PLC0415 - as above

        if isinstance(value, Mapping) and set(value) == {"file", "ini_key"}:
            self.to_export.append(value["ini_key"])
            return {"env": value["ini_key"]}
        if isinstance(value, Mapping):
            made = {name: self.rewritten(one, (*key, name)) for name, one in value.items()}
            for name in made:
                self._comment((*key, name))
            return made
        if isinstance(value, list):
            return [self.rewritten(one, (*key, str(at))) for at, one in enumerate(value)]
        if isinstance(value, str) and holds_credentials(value):
            raise ConfigError(
                "An address holds a user or a password, and a configuration must not.",
                file=self.configuration.name,
                key=dotted(key),
                to_try=f"take them out of {self._named(key) or 'it'}, and log in by other settings",
            )
        if key[-1] in PATHS and isinstance(value, str) and not Path(value).is_absolute():
            place = self.configuration.base_dir / value
            return Path(os.path.relpath(place, self.folder)).as_posix()
        return value

    def _comment(self, key: Key) -> None:
        """Which keys a line comes from; one that holds a table, from all that are in it."""
        named = self._named(key)
        if named:
            self.comments[key] = named

    def _named(self, key: Key) -> str:
        named = [
            origin.text.rpartition(" key ")[2].removeprefix("environment ")
            for place, origin in self.configuration.origins()
            if place[: len(key)] == key
        ]
        return ", ".join(dict.fromkeys(named))
