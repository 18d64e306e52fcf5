"""What the hook `pytest_vdkprobe_register` is given: where users bring kinds of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kinds:
    """Takes in targets, readers, logins, job templates and sections, and checks each at once.

    Raises ConfigError, which says what is lacking, by name and place. Nothing is loaded before
    somebody brings something.
    """

    def target(self, name: str, settings: type, make: Callable[..., Any] | None = None) -> None:
        """Let routes have `target = { kind = "name", ... }`; as api.register_target."""
        from pytest_vdkprobe.routes.kinds import register_target  # noqa: PLC0415 - as said above

        register_target(name, settings, make)

    def reader(self, name: str, settings: type, make: Callable[..., Any] | None = None) -> None:
        """Let routes have `reader = { kind = "name", ... }`; as api.register_reader."""
        from pytest_vdkprobe.routes.kinds import register_reader  # noqa: PLC0415 - as said above

        register_reader(name, settings, make)

    def auth(self, name: str, settings: type, make: Callable[..., Any] | None = None) -> None:
        """Let `control.auth` be `{ kind = "name", ... }`; as api.register_auth."""
        from pytest_vdkprobe.control.settings import register_auth  # noqa: PLC0415 - as said above

        register_auth(name, settings, make)

    def template(self, name: str, make: Callable[..., str | Path] | str | Path) -> None:
        """Let jobs have `template = "name"`; as api.register_template."""
        from pytest_vdkprobe.jobs.template import register_template  # noqa: PLC0415 - as said above

        register_template(name, make)

    def section(self, name: str, *, many: bool = False) -> None:
        """Let configurations have `[name]`, or `[[name]]` if `many`; as api.register_section."""
        from pytest_vdkprobe.config.sections import register_section  # noqa: PLC0415 - ditto

        register_section(name, many=many)
