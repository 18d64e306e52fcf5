"""Where a database is: a connection string, read once, with its password out of sight.

Commands of the orchestrator that was before us take the connection string as an argument, with the
password in it. So whatever the string is good for, its password becomes a `Secret` before anything
can go wrong, and no message ever shows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.leases import default_folder
from pytest_vdkprobe.secrets import MASK, Secret

SQLITE = ("sqlite", "sqlite+pysqlite")
POSTGRESQL = ("postgresql", "postgresql+psycopg2", "postgres")
FORMS = "postgresql+psycopg2://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///FILE"

_LOGIN = r"(?s)(?P<user>[^:/@?]*):(?P<password>.*)@[^@]*$"
_QUERY = r"(?i)(?P<name>\b(?:ssl)?password=)(?P<password>[^&]*)"
"""Compiled where an address is read: a run with the history in its usual place reads none."""


class Address(msgspec.Struct, frozen=True):
    """A database: `dialect` is sqlite, with the `file`, or postgresql; `shown` has no secret."""

    dialect: str
    url: str
    """As it was given: the password in it is known to the redactor, the rest may be told."""
    shown: str
    source: str
    file: Path | None = None
    has_password: bool = False

    def __repr__(self) -> str:
        return f"<address {self.shown}>"

    @classmethod
    def parse(cls, text: str, *, source: str) -> Address:
        """Read a connection string; `source` says where it came from. Raises ConfigError."""
        text = text.strip()
        shown, has_password = _without_passwords(text)
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator:
            raise _malformed(shown, source, "it has no ://")
        if scheme in SQLITE:
            return cls("sqlite", text, shown, source, file=_file(rest, source))
        if scheme not in POSTGRESQL:
            raise _malformed(shown, source, f"{scheme!r} is no database that is known here")
        url = "postgresql+psycopg2://" + _with_whole_password(rest)
        return cls("postgresql", url, shown, source, has_password=has_password)

    @classmethod
    def of_file(cls, file: Path, *, source: str) -> Address:
        """A SQLite file."""
        url = f"sqlite:///{file}"
        return cls("sqlite", url, url, source, file=file)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be said to whoever wrote it there."""
        if self.source != "the command line" or not self.has_password:
            return ()
        said = (
            "the connection string on the command line holds a password, which other users of"
            " this machine can see; let VDKPROBE_HISTORY or --database-file hold it"
        )
        return (said,)


def learn_passwords(text: str) -> None:
    """Let no message show the password that a text may hold, whatever else the text is."""
    _without_passwords(text)


def default_file(environ: Mapping[str, str] | None = None) -> Path:
    """The user's own history, beside the leases."""
    return default_folder(os.environ if environ is None else environ).parent / "history.db"


def _file(rest: str, source: str) -> Path:
    path = unquote(rest.partition("?")[0])
    if not path.startswith("/") or path in ("/", "/:memory:"):
        raise ConfigError(
            f"The SQLite address in {source} names no file.",
            value=f"sqlite://{rest}",
            expected="sqlite:///relative/file.db or sqlite:////absolute/file.db",
            to_try="name a file: what is kept in memory only is gone when the command ends",
        )
    return Path(path[1:])


def _with_whole_password(rest: str) -> str:
    """With each @ in the password escaped: what follows one would be taken for the host, and told.

    The orchestrator's SQLAlchemy took all up to the last one for the password, as we do.
    """
    before, question, query = rest.partition("?")
    login = re.match(_LOGIN, before)
    if login is None:
        return rest
    start, end = login.span("password")
    return before[:start] + before[start:end].replace("@", "%40") + before[end:] + question + query


def _without_passwords(text: str) -> tuple[str, bool]:
    """The string as it may be shown, and whether it held a password."""
    found = False
    start = text.find("://") + 3 if "://" in text else 0
    login = re.compile(_LOGIN).match(text, start)
    if login and login["password"]:
        found = True
        _hide(login["password"])
        short = re.compile(_LOGIN).match(text.partition("?")[0], start)
        if short:
            _hide(short["password"])  # there may be an @ in the query too
        text = f"{text[: login.start('password')]}{MASK}{text[login.end('password') :]}"

    def masked(match: re.Match[str]) -> str:
        _hide(match["password"])
        return match["name"] + MASK

    shown = re.sub(_QUERY, masked, text)
    return shown, found or shown != text


def _hide(password: str) -> None:
    for form in {password, unquote(password)}:
        Secret(form, "the connection string")


def _malformed(shown: str, source: str, why: str) -> ConfigError:
    return ConfigError(
        f"The connection string in {source} can't be used: {why}.",
        value=shown,
        to_try=f"write it like {FORMS}",
    )
