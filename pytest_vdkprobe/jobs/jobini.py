"""A job's config.ini: read strictly where it is the user's, written where the template is ours.

vdk itself ignores what it does not know, so a misspelt `shedule_cron` is a job that never runs.
What is near to a key that vdk knows is refused here; what is far from all of them is told.
"""

from __future__ import annotations

import configparser
import io
import re

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.names import check_cron
from pytest_vdkprobe.jobs.settings import Contacts

NAME = "config.ini"
CONTACT_LISTS = Contacts.__struct_fields__
KNOWN = {
    "owner": ("team",),
    "job": ("schedule_cron", "python_version", "db_default_type"),
    "contacts": (
        *CONTACT_LISTS,
        "enable_execution_notifications",
        "enable_attempt_notifications",
        "notification_delay_period_minutes",
    ),
}
"""What vdk-core reads (builtin_plugins/config/job_config.py); [vdk] and [vdk_*] take anything."""


class JobIni(msgspec.Struct, frozen=True, kw_only=True):
    """What a config.ini says; what it leaves out is None or empty."""

    team: str | None = None
    schedule: str | None = None
    python_version: str | None = None
    db_default_type: str | None = None
    contacts: Contacts = Contacts()
    vdk: dict[str, str] = {}
    """What else the section [vdk] is to say: settings of vdk and its plugins."""
    enable_execution_notifications: bool = True
    notification_delay_period_minutes: int = 240
    """Both defaults are vdk-core's own."""
    warnings: tuple[str, ...] = ()


def read_ini(raw: bytes, *, file: str) -> JobIni:
    """Read a job's config.ini as vdk does. Raises ConfigError with the key `section.option`."""
    parser = configparser.ConfigParser()
    try:
        parser.read_string(raw.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise ConfigError(
            f"The job's {NAME} is not text in UTF-8.",
            file=file,
            to_try="save it as UTF-8: vdk can't read it either",
        ) from exc
    except configparser.Error as exc:
        raise ConfigError(
            f"The job's {NAME} can't be read: {_one_line(exc)}",
            file=file,
            to_try="correct that line: vdk refuses the file too",
        ) from exc
    return _Reading(parser, file).ini()


def write_ini(ini: JobIni) -> bytes:
    """A config.ini with just what is set; values are escaped, never interpreted."""
    sections = {
        "owner": {"team": ini.team},
        "job": {
            "schedule_cron": ini.schedule,
            "python_version": ini.python_version,
        },
        # Under [job], where its documentation has it, vdk-core 0.3 never looks.
        "vdk": {**ini.vdk, "db_default_type": ini.db_default_type},
        "contacts": {name: ";".join(getattr(ini.contacts, name)) or None for name in CONTACT_LISTS},
    }
    parser = configparser.ConfigParser()
    for section, options in sections.items():
        given = {name: value for name, value in options.items() if value}
        if given:
            parser[section] = {name: _escaped(value) for name, value in given.items()}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue().encode()


class _Reading:
    def __init__(self, parser: configparser.ConfigParser, file: str) -> None:
        self.parser = parser
        self.file = file
        self.warnings: list[str] = []

    def ini(self) -> JobIni:
        self.check_known()
        schedule = self.text("job", "schedule_cron")
        if schedule:
            check_cron(schedule, file=self.file, key="job.schedule_cron")
        return JobIni(
            team=self.text("owner", "team"),
            schedule=schedule,
            python_version=self.text("job", "python_version"),
            db_default_type=self.text("vdk", "db_default_type")
            or self.text("job", "db_default_type"),
            contacts=Contacts(**{name: self.addresses(name) for name in CONTACT_LISTS}),
            enable_execution_notifications=self.flag("enable_execution_notifications"),
            notification_delay_period_minutes=self.minutes("notification_delay_period_minutes"),
            warnings=tuple(self.warnings),
        )

    def check_known(self) -> None:
        for section in self.parser.sections():
            if section == "vdk" or section.startswith("vdk_"):
                continue
            if section not in KNOWN:
                self.unknown(f"[{section}]", section, [*KNOWN, "vdk"], key=section)
                continue
            for option in self.parser.options(section):
                if option not in KNOWN[section] and option not in self.parser.defaults():
                    self.unknown(
                        f"{option} in [{section}]",
                        option,
                        list(KNOWN[section]),
                        key=f"{section}.{option}",
                    )

    def unknown(self, what: str, said: str, known: list[str], *, key: str) -> None:
        import difflib  # noqa: PLC0415 - only for a message

        near = difflib.get_close_matches(said.lower(), known, 1, 0.75)
        if not near:
            self.warnings.append(f"{self.file}: vdk does not read {what}")
            return
        raise ConfigError(
            f"vdk would ignore {what}.",
            file=self.file,
            key=key,
            value=said,
            expected=", ".join(known),
            to_try=f"did you mean {near[0]!r}?",
        )

    def text(self, section: str, option: str) -> str | None:
        try:
            return self.parser.get(section, option, fallback="").strip() or None
        except configparser.InterpolationError as exc:
            raise ConfigError(
                f"A value in the job's {NAME} can't be read: {_one_line(exc)}",
                file=self.file,
                key=f"{section}.{option}",
                to_try="write a literal % twice: %%",
            ) from exc

    def addresses(self, option: str) -> tuple[str, ...]:
        text = self.text("contacts", option) or ""
        return tuple(part.strip() for part in re.split("[;,]", text) if part.strip())

    def flag(self, option: str) -> bool:
        text = self.text("contacts", option)
        if text is None:
            return True
        if text.lower() not in configparser.ConfigParser.BOOLEAN_STATES:
            raise self.unusable(option, text, "true or false")
        return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]

    def minutes(self, option: str) -> int:
        text = self.text("contacts", option)
        if text is None:
            return 240
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
            raise self.unusable(option, text, "a positive whole number of minutes")
        return int(text)

    def unusable(self, option: str, text: str, expected: str) -> ConfigError:
        return ConfigError(
            f"A value in the job's {NAME} is unusable.",
            file=self.file,
            key=f"contacts.{option}",
            value=text,
            expected=expected,
            to_try="correct it: vdk refuses it too",
        )


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())


def _escaped(value: str) -> str:
    """The value on one line, with what configparser would interpret written as a literal."""
    return " ".join(value.split()).replace("%", "%%")
