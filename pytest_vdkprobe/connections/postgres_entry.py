"""Why PostgreSQL could not be connected to: the setting that is at fault, and what to try.

libpq says it in English prose; here each such text becomes a finding of its own kind, because what
passes by itself can be waited for and a wrong password can't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import one_line
from pytest_vdkprobe.errors import (
    BusyError,
    ConfigError,
    LoginError,
    ProbeError,
    TransportError,
)

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.postgres import PostgresConnection

UNOPENED: tuple[tuple[str, type[ProbeError], str, str], ...] = (
    ("too many connections for role", BusyError, "user", "raise the role's CONNECTION LIMIT"),
    ("too many connections for", BusyError, "database", "raise the database's CONNECTION LIMIT"),
    ("too many clients", BusyError, "host", "raise max_connections, or put a pooler in front"),
    ("connection slots are", BusyError, "host", "raise max_connections, or put a pooler in front"),
    ("administrator command", BusyError, "host", "wait: the server shuts down or restarts"),
    ("not currently accepting", BusyError, "database", "ALTER DATABASE ... ALLOW_CONNECTIONS true"),
    ("could not translate host name", TransportError, "host", "check the host's name and DNS"),
    ("Connection refused", TransportError, "port", "check host and port: is PostgreSQL up there?"),
    ("timeout expired", TransportError, "host", "check host, port and the firewalls between"),
    ("No route to host", TransportError, "host", "check host, port and the firewalls between"),
    ("Network is unreachable", TransportError, "host", "check host, port and this machine's net"),
    ("does not support SSL", TransportError, "tls", "leave tls out, or let the server speak it"),
    ("certificate verify failed", TransportError, "tls.ca_file", "name the authority that signed"),
    ("does not match host name", TransportError, "tls", "use the host's name as certified"),
    ("the database system is", BusyError, "host", "wait: it is starting or shutting down"),
    ("could not load private key", ConfigError, "tls.key_file", "PEM, readable for you alone?"),
    ("private key file", ConfigError, "tls.key_file", "chmod 600: PEM, readable for you alone"),
    ("could not read certificate", ConfigError, "tls.certificate_file", "is it PEM?"),
    ("could not read root certificate", ConfigError, "tls.ca_file", "is it PEM?"),
    ("SSL error", TransportError, "tls", "does the server want a certificate of ours?"),
    ("no encryption", TransportError, "tls", "the server wants TLS: write tls = {}"),
    ("no password supplied", LoginError, "password", "name where the password is: password"),
    ("password authentication failed", LoginError, "password", "check user and password"),
    ("pg_hba.conf", LoginError, "user", "the server's pg_hba.conf must let this user in"),
    ("authentication failed", LoginError, "user", "check user and password"),
    ("role ", LoginError, "user", "check user: the server knows no such role"),
    ("permission denied for database", LoginError, "database", "GRANT CONNECT ON DATABASE"),
    ("database ", ConfigError, "database", "check its name; \\l in psql lists those there are"),
)
"""Words in libpq's message (in English), what they mean, which setting, what to try; in order."""

MEANING: dict[type[ProbeError], str] = {
    LoginError: "refuses our login",
    BusyError: "takes nobody in just now",
    TransportError: "can't be reached",
}


IN_A_STRING: dict[str, tuple[str, str]] = {
    "tls": ("sslmode", "add sslmode=require, or what else the server wants, to the string"),
    "tls.ca_file": ("sslrootcert", "let sslrootcert name the authority that signed"),
    "tls.key_file": ("sslkey", "let sslkey name a file in PEM, readable for you alone"),
    "tls.certificate_file": ("sslcert", "let sslcert name a file in PEM"),
    "password": ("password", "check user and password in USER:PASSWORD@HOST"),
}
"""What a connection string calls a setting, where that is not the same, and what to try there."""


def unopened(
    settings: PostgresConnection, said: str, *, key: str = "", string: str = ""
) -> ProbeError:
    """Why no connection came about, in words of ours.

    `key` is where the settings stand; or `string` says where the connection string came from that
    they were read out of.
    """
    seen = one_line(said)
    checked = f"user {settings.user}"
    if not string:
        checked += ", TLS" if settings.tls else ", no TLS"
    for words, kind, field, to_try in UNOPENED:
        if words not in said:
            continue
        setting = f"{key}.{field}"
        if string:
            name, to_try = IN_A_STRING.get(field, (field, to_try))  # noqa: PLW2901 - said there
            setting = f"{name} in the connection string in {string}"
        if kind is ConfigError:
            return ConfigError(
                f"PostgreSQL at {settings.place} can't be used: {_end(seen)}.",
                key=setting,
                to_try=to_try,
            )
        return kind(
            f"PostgreSQL at {settings.place} {MEANING[kind]}: {_end(seen)}.",
            checked=f"{checked}; setting {setting}",
            to_try=to_try,
        )
    return TransportError(
        f"PostgreSQL at {settings.place} can't be reached: {_end(seen)}.",
        checked=checked,
        to_try="look at the server's log",
    )


def _end(said: str) -> str:
    """The last part of libpq's message, which names the reason."""
    for sign in ("FATAL: ", "failed: "):
        said = said.rpartition(sign)[2]
    return said.partition(" Is the server running")[0].strip().rstrip(".?")
