"""Where a secret is to be read from: an environment variable, a file or a command.

A configuration names the place and never holds the value, so it can be committed, printed and
passed around; the value is read at the last moment and is a `Secret` from then on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import Secret, redact

COMMAND_TIMEOUT_S = 30.0
"""Long enough for a password manager's round trip, short enough to notice one that asks a human."""

FORMS = 'write { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", "ARGUMENT"] }'


class SecretRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The place of one secret: exactly one of `env`, `file` and `command`.

    `ini_key` goes with `file` and takes that key of an ini file's DEFAULT section instead of the
    whole file: vdk-heartbeat's configurations keep their tokens that way.
    """

    env: str | None = None
    file: FilePath | None = None
    command: tuple[str, ...] | None = None
    ini_key: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("env", "file", "command") if getattr(self, name)]
        if len(given) != 1:
            said = f"{' and '.join(given)} are given" if given else "nothing is given"
            raise ValueError(f"a secret has exactly one place, and here {said}; {FORMS}")
        if self.ini_key and not self.file:
            raise ValueError("ini_key goes with file, the ini that holds it")

    def __str__(self) -> str:
        if self.env:
            return f"environment {self.env}"
        if self.command:
            # Only the program: its arguments may name vaults and users, and a habit of printing
            # them would one day print a password.
            return f"command {self.command[0]}"
        return f"file {self.file}" + (f", key {self.ini_key}" if self.ini_key else "")

    def resolve(
        self,
        environ: Mapping[str, str] | None = None,
        base_dir: Path | None = None,
        *,
        key: str | None = None,
        several_lines: bool = False,
    ) -> Secret:
        """Read the secret now; relative files and commands start from `base_dir`.

        Raises ConfigError, with `key` as the setting at fault, when there is no usable value: none
        at all, an empty one, or one of several lines where it is no key in PEM.
        """
        environ = os.environ if environ is None else environ
        base_dir = base_dir or Path()
        if self.env:
            value = self._from_environment(environ, key)
        elif self.command:
            value = self._from_command(self.command, environ, base_dir, key)
        else:
            value = self._from_file(base_dir / (self.file or ""), key)
        value = value.rstrip("\r\n")
        if not value.strip():
            raise ConfigError(f"The secret in {self} is empty.", key=key, to_try=f"Fill {self}.")
        if not several_lines and ("\n" in value or "\r" in value):
            raise ConfigError(
                f"The secret in {self} has {len(value.splitlines())} lines.",
                key=key,
                expected="one line with nothing but the secret",
                to_try=f"Leave only the secret in {self}.",
            )
        return Secret(value, str(self))

    def _from_environment(self, environ: Mapping[str, str], key: str | None) -> str:
        value = environ.get(self.env or "")
        if value is None:
            raise ConfigError(
                f"The environment variable {self.env}, which should hold a secret, is not set.",
                key=key,
                to_try=f"export {self.env}=... before the run, or let a file or command hold it.",
            )
        return value

    def _from_file(self, path: Path, key: str | None) -> str:
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or "it is not text in UTF-8"
            raise ConfigError(
                f"The secret's file {path} can't be read: {why}.",
                key=key,
                to_try="Check the path (relative ones start from the configuration's folder).",
            ) from exc
        return _ini_value(text, path, self.ini_key) if self.ini_key else text

    def _from_command(
        self, command: tuple[str, ...], environ: Mapping[str, str], base_dir: Path, key: str | None
    ) -> str:
        import subprocess  # noqa: PLC0415 - few configurations need it, all would pay for it

        try:
            # The whole environment, unlike other processes of ours: a password manager is the
            # user's own program and finds its agent, its address and its home there.
            done = subprocess.run(
                command,
                env=dict(environ),
                cwd=base_dir,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
            text = done.stdout.decode("utf-8")
        except subprocess.TimeoutExpired as exc:
            raise ConfigError(
                f"The {self} printed no secret within {COMMAND_TIMEOUT_S:.0f} s.",
                key=key,
                to_try="Run it by hand: it may be waiting for input, and gets none here.",
            ) from exc
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or "its output is not text in UTF-8"
            raise ConfigError(
                f"The {self}, which should print a secret, can't be used: {why}.",
                key=key,
                to_try="Check the program's name and that it is on PATH.",
            ) from exc
        if done.returncode:
            said = redact(done.stderr.decode("utf-8", "replace").strip()[:300])
            raise ConfigError(
                f"The {self}, which should print a secret, ended with exit code {done.returncode}"
                + (f": {said}" if said else "."),
                key=key,
                to_try="Run it by hand and look at what it says.",
            )
        return text


def _ini_value(text: str, path: Path, name: str) -> str:
    import configparser  # noqa: PLC0415 - only vdk-heartbeat's configurations need it

    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
        value = parser.defaults().get(name.lower())
        return "" if value is None else parser.get("DEFAULT", name)
    except configparser.Error as exc:
        # The cause's text quotes the line, and the line is the secret.
        raise ConfigError(
            f"The key {name} can't be read from {path}: {type(exc).__name__}.",
            file=str(path),
            key=name,
            to_try="A % in a value must be written twice: %%.",
        ) from None
