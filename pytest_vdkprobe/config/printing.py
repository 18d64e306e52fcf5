"""Settings as they may be shown: flat, short, and without anything that could be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from pytest_vdkprobe.config.origin import Key
from pytest_vdkprobe.config.overrides import Given
from pytest_vdkprobe.config.ownkind import OwnKind
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.secrets import MASK, redact

_SECRET_NAME = re.compile(
    r"(^|[_-])(token|secret|password|passwd|pass|passphrase|credentials?|api_?key)$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


def is_secret_name(key: Key) -> bool:
    """Whether a setting of this name holds, or names the place of, a secret."""
    return any(_SECRET_NAME.search(part) for part in key)


def holds_credentials(text: str) -> bool:
    """Whether it is an address with a user or a password in it."""
    return bool(_USERINFO.search(text))


def rows(value: object, key: Key) -> Iterator[tuple[Key, object]]:
    """The settings inside `value`, one per leaf: tables and typed sections are walked alike."""
    value = _bare(value)
    if isinstance(value, SecretRef):
        yield key, value
    elif isinstance(value, dict):
        if value.keys() and value.keys() <= {"env", "file", "command", "ini_key"}:
            yield key, _as_reference(value)
        else:
            for name, item in value.items():
                yield from rows(item, (*key, str(name)))
    elif isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        if tag is not None:
            yield (*key, value.__struct_config__.tag_field or "kind"), tag
        for field in msgspec.structs.fields(value):
            yield from rows(getattr(value, field.name), (*key, field.encode_name))
    elif isinstance(value, list | tuple) and any(
        isinstance(item, dict | msgspec.Struct) for item in value
    ):
        for index, item in enumerate(value):
            yield from rows(item, (*key, str(index)))
    else:
        yield key, value


def _bare(value: object) -> object:
    if isinstance(value, Given):
        return value.parsed
    return {"kind": value.name, **value.table} if isinstance(value, OwnKind) else value


def _as_reference(table: dict[str, Any]) -> object:
    try:
        return msgspec.convert(table, SecretRef)
    except msgspec.ValidationError:
        return MASK


def redacted(value: object, key: Key) -> object:
    """`value` with the same shape, and every leaf as it may be shown."""
    if isinstance(value, Given):
        value = value.parsed
    if isinstance(value, dict):
        found = list(rows(value, key))
        if len(found) == 1 and found[0][0] == key:
            return printable(found[0][1], key)
        return {name: redacted(item, (*key, str(name))) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, (*key, str(index))) for index, item in enumerate(value)]
    if isinstance(value, bool | int | float) and not is_secret_name(key):
        return value
    return printable(value, key)


def printable(value: object, key: Key) -> str:
    """One line for one setting."""
    if isinstance(value, SecretRef):
        return f"secret from {value}"
    if is_secret_name(key):
        return MASK
    return redact(_USERINFO.sub(f"{MASK}@", _text(value)).replace("\n", "\\n"))


def _text(value: object) -> str:
    if isinstance(value, Given):
        return _text(value.parsed)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return str(value)
