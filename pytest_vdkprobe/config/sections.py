"""The top-level sections that a configuration may have.

Each room validates its own section with its own type, and does so only when it is used. The names
are known here, so that a misspelt section is refused before anything is created although nobody
would ever have asked for it.
"""

from __future__ import annotations

from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.errors import ConfigError

SECTIONS: dict[str, bool] = {
    "control": False,
    "jobs": True,
    "routes": True,
    "events": True,
    "endpoints": True,
    "pipeline": False,
    "pipelines": True,
    "tables": True,
    "run": False,
    "scenarios": False,
    "watch": False,
    "metrics": False,
    "sandbox": False,
    "legacy": False,
    "upgrade": False,
    "history": False,
}
"""Name, and whether it is an array of tables (`[[jobs]]`) rather than one table (`[control]`)."""


def register_section(name: str, *, many: bool = False) -> None:
    """Let configurations have the section `[name]`, or `[[name]]` if `many`.

    To be called before the configuration is loaded: by a room when the plugin is activated, or in
    a user's `conftest.py`. Registering one name in both shapes is a ConfigError.
    """
    if SECTIONS.setdefault(name, many) != many:
        shapes = f"[{name}] and [[{name}]]"
        raise ConfigError(
            f"The section {name} is registered as {shapes}.", key=name, to_try="choose another name"
        )


def shape_of(name: str) -> str:
    """How the section's header is written in TOML."""
    return f"[[{name}]]" if SECTIONS.get(name) else f"[{name}]"


def unknown_section(name: str) -> tuple[str, str]:
    """What to say of a section that nobody registered, and what to try instead."""
    return f"There is no section [{name}].", did_you_mean(name, SECTIONS)
