"""A connection string is read once, and its password never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.store.address import Address, default_file

PASSWORD = "hunter2:with@odd/signs"


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgresql+psycopg2", "postgres", "POSTGRESQL+PSYCOPG2"]
)
def test_postgresql_is_known_by_its_names(scheme: str) -> None:
    address = Address.parse(f"{scheme}://me:secret@db:5433/history", source="the test")
    assert address.dialect == "postgresql"
    assert address.url == "postgresql+psycopg2://me:secret@db:5433/history"


@pytest.mark.parametrize(
    ("rest", "password"),
    [
        ("me:one@two/three%40four:five@db/history", "one@two/three@four:five"),
        ("me:p%40%25%3Aw@db/history", "p@%:w"),
        ("me:one@db/history?options=a@b", "one"),
        ("me:@db/history", ""),
    ],
)
def test_a_password_is_all_up_to_the_last_at_sign(rest: str, password: str) -> None:
    found = make_url(Address.parse(f"postgresql://{rest}", source="the test").url)
    assert (found.password, found.host, found.database) == (password, "db", "history")


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("sqlite:///history.db", "history.db"),
        ("sqlite:////var/lib/history.db", "/var/lib/history.db"),
        ("sqlite+pysqlite:///a%20b.db", "a b.db"),
    ],
)
def test_sqlite_is_a_file(text: str, file: str) -> None:
    address = Address.parse(text, source="the test")
    assert (address.dialect, address.file) == ("sqlite", Path(file))


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://me:{PASSWORD}@db/history",
        f"mysql://me:{PASSWORD}@db/history",
        f"postgresql:me:{PASSWORD}@db",
        f"postgresql://db/history?password={PASSWORD}&sslmode=require",
    ],
)
def test_no_message_shows_a_password_even_of_a_string_that_is_no_good(text: str) -> None:
    try:
        said = Address.parse(text, source="the test").shown
    except ConfigError as exc:
        said = redact(str(exc))
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no ://"),
        ("localhost/history", "it has no ://"),
        ("mysql://db/history", "'mysql' is no database that is known here"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_what_is_no_address_is_refused_with_one_that_is(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        Address.parse(text, source="the command line")
    assert "the command line" in caught.value.what
    assert "sqlite:///" in str(caught.value)


def test_a_password_on_the_command_line_is_warned_about() -> None:
    text = "postgresql://me:secret@db/history"
    assert "VDKPROBE_HISTORY" in Address.parse(text, source="the command line").warnings[0]
    assert Address.parse(text, source="environment VDKPROBE_HISTORY").warnings == ()
    assert Address.parse("postgresql://me@db/x", source="the command line").warnings == ()


def test_an_address_is_shown_as_it_is_but_for_its_password() -> None:
    address = Address.parse("postgresql://me:secret-9@db:5433/history", source="the test")
    assert redact(address.shown) == "postgresql://me:[redacted]@db:5433/history"
    assert "secret-9" not in repr(address)
    assert redact(Address.parse("sqlite:///my.db", source="the test").shown) == "sqlite:///my.db"


def test_the_default_is_a_file_of_the_users_own(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    assert default_file(environ) == tmp_path / "vdkprobe" / "history.db"
