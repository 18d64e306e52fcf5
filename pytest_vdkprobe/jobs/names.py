"""Names and schedules a platform takes, checked before anything is created.

The Control Service refuses a bad name with a bare 400, and takes a bad cron with 201 only to never
show the deployment: both are caught here, where the setting at fault can still be named.
"""

from __future__ import annotations

import hashlib
import re

from pytest_vdkprobe.errors import ConfigError

NAME_RULE = "a lower-case letter, then 5 to 49 lower-case letters, digits and hyphens"
LONGEST_NAME = 45
"""What vdkcli takes (the service: 50), so that an operator can remove by hand what we made."""

_NAME = re.compile(r"[a-z][a-z0-9-]{5,49}")
_CRON_TEXT = re.compile(r"[0-9A-Za-z*/,?\- \t]+")
_HASH_LENGTH = 6


def check_name(name: str, *, file: str | None = None, key: str = "name") -> None:
    """Raise ConfigError unless the Control Service would take `name`."""
    if _NAME.fullmatch(name):
        return
    tidy = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-").lstrip("0123456789-")
    if len(tidy) < 6:
        tidy = f"{tidy or 'vdkprobe'}-job"
    raise ConfigError(
        "The Control Service would refuse this name of a data job.",
        file=file,
        key=key,
        value=name,
        expected=f"{NAME_RULE} (6 to 50 characters)",
        to_try=f'write name = "{tidy[:LONGEST_NAME]}"',
    )


def with_suffix(name: str, suffix: str) -> str:
    """`name` and `suffix` joined by a hyphen, in at most 45 characters, distinct names staying so.

    A name that must be cut gives its last characters for a hash of the whole.
    """
    joined = f"{name}-{suffix}"
    if len(joined) <= LONGEST_NAME:
        return joined
    room = LONGEST_NAME - len(suffix) - _HASH_LENGTH - 2
    return f"{name[:room].rstrip('-')}-{_hash(name)}-{suffix}"


def run_suffix(run_id: str) -> str:
    """A run id as it can stand in a name: unchanged if it can, else cut and with a hash."""
    tidy = re.sub(r"[^a-z0-9-]+", "-", run_id.lower()).strip("-")
    if tidy == run_id and len(tidy) <= 20:
        return tidy
    return f"{tidy[:12].rstrip('-')}-{_hash(run_id)}".lstrip("-")


def check_cron(cron: str, *, file: str | None = None, key: str = "schedule") -> None:
    """Raise ConfigError unless `cron` is a schedule that Kubernetes runs: five fields, in UTC.

    Stricter than croniter where Kubernetes is (robfig/cron's standard parser): no seconds, no
    `L`, `#`, `H`, and Sunday is 0, not 7.
    """
    fields = cron.split()
    if len(fields) != 5:
        raise _bad_cron(cron, f"it has {len(fields)} of five fields", file=file, key=key)
    if not _CRON_TEXT.fullmatch(cron):
        raise _bad_cron(cron, "it has characters of another dialect", file=file, key=key)
    # Here and not above: a run without a schedule saves the 55 ms. Its types are not published.
    from croniter import croniter  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        expanded, _ = croniter.expand(cron)
    except (ValueError, KeyError) as exc:
        raise _bad_cron(cron, str(exc) or "it does not parse", file=file, key=key) from exc
    if re.search(r"[A-Za-z]", "".join(fields[:3])) or "l" in expanded[2]:
        raise _bad_cron(cron, "names stand only for months and weekdays", file=file, key=key)
    if any(int(first) > int(last) for first, last in re.findall(r"([0-9]+)-([0-9]+)", cron)):
        raise _bad_cron(cron, "a range ends before it starts", file=file, key=key)
    if re.search(r"(?<![0-9/])7(?![0-9])", fields[4]):
        raise _bad_cron(cron, "Kubernetes counts weekdays from 0 to 6", file=file, key=key)


def _bad_cron(cron: str, why: str, *, file: str | None, key: str) -> ConfigError:
    return ConfigError(
        f"This is not a schedule that the platform can run: {why}. It would be accepted, and the"
        " deployment would never appear.",
        file=file,
        key=key,
        value=cron,
        expected="five fields, in UTC: minute hour day-of-month month day-of-week",
        to_try='write for example "*/5 * * * *", every five minutes',
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
