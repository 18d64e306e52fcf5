"""Data-job templates: a directory, checked on loading, rendered with values as data.

Values reach a job as one JSON file in its folder, or as execution arguments, and are never pasted
into code: a quote in a value is then a quote, not a broken or a rewritten step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.config import registry
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs import jobini
from pytest_vdkprobe.jobs.folder import LARGE_BYTES, read_folder, steps_of
from pytest_vdkprobe.jobs.jobini import JobIni
from pytest_vdkprobe.jobs.packing import digest, pack
from pytest_vdkprobe.jobs.settings import Contacts

if TYPE_CHECKING:
    from pytest_vdkprobe.jobs.settings import JobSettings

VALUES_FILE = "vdkprobe_values.json"
INGESTION = "ingestion"
"""The template that sends a route's records; it is no heartbeat, so nobody names it for one."""
TABLES = "tables"
"""The one that moves rows between tables, likewise."""
_SHIPPED = Path(__file__).parent / "templates"


class RenderedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it will be uploaded, with what the API calls around the upload need to say."""

    files: dict[str, bytes]
    schedule: str | None
    python_version: str | None
    contacts: Contacts
    digest: str
    """SHA-256 over names and contents: equal exactly when the upload is."""

    def zip(self, top_folder: str) -> bytes:
        """The upload, byte-identical each time."""
        return pack(self.files, top_folder)


class JobTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A job's directory, loaded and checked."""

    name: str
    origin: str
    """Where it comes from, for people: `template proof` or the folder."""
    files: dict[str, bytes]
    steps: tuple[str, ...]
    shipped: bool
    proves: bool
    """Whether it follows the proof protocol, so that it can fail and hang on demand."""
    ini: JobIni
    values: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()

    @property
    def schedule(self) -> str | None:
        """Its own five-field cron, or None."""
        return self.ini.schedule

    @property
    def python_version(self) -> str | None:
        """The Python that it asks for, or None for the platform's default."""
        return self.ini.python_version

    @property
    def contacts(self) -> Contacts:
        """Whom it wants mailed."""
        return self.ini.contacts

    def render(self, values: Mapping[str, Any]) -> RenderedJob:
        """The job with `values` in its `vdkprobe_values.json`.

        A user's own directory stays byte for byte what it is, unless its settings give it values
        of their own: then it gets both. Raises ConfigError for what JSON can't hold.
        """
        files = dict(self.files)
        if self.shipped:
            files[jobini.NAME] = jobini.write_ini(self.ini)
        if self.shipped or self.values or self.proves:
            if VALUES_FILE in self.files:
                raise ConfigError(
                    f"The job's directory already has a {VALUES_FILE}, which would be replaced.",
                    key="values",
                    value=self.origin,
                    to_try="remove the file, or the values from the settings",
                )
            files[VALUES_FILE] = _canonical({**self.values, **values})
        return RenderedJob(
            files=files,
            schedule=self.schedule,
            python_version=self.python_version,
            contacts=self.contacts,
            digest=digest(files),
        )


def shipped_templates() -> tuple[str, ...]:
    """The names of the templates that come with the package, for whoever heartbeats a job."""
    return tuple(sorted(path.parent.name for path in _SHIPPED.glob("*/*_proof.py")))


def register_template(name: str, make: Callable[..., str | Path] | str | Path) -> None:
    """Let jobs have `template = "name"`: a job's folder, or a function that is given the entry's
    JobSettings and returns one, perhaps written by itself.

    Raises ConfigError, which says what is lacking.
    """
    if not isinstance(make, str | Path):
        registry.refuse_unless_called_with("template", name, make, {}, make)
    TEMPLATES.add(name, make, brought=make)


TEMPLATES: registry.Registry[Callable[..., str | Path] | str | Path] = registry.Registry(
    "template", register_template, shipped_templates
)
"""What users have brought."""


def _made(name: str, settings: JobSettings | None, file: str | None, key: str) -> Path | None:
    """The folder of a template that a user has brought; None if nobody has."""
    make = TEMPLATES.get(name)
    if make is None:
        return None
    if isinstance(make, str | Path):
        return Path(make).absolute()
    with registry.of_users(f"The template {name}", file=file, key=key):
        folder = make(settings)
    if isinstance(folder, str | Path):
        return Path(folder).absolute()
    raise ConfigError(
        f"The template {name} made no folder.",
        file=file,
        key=key,
        value=folder,
        expected="the path of a job's folder",
        to_try=f"return one in {registry.place_of(make)}",
    )


def load_template(
    name_or_path: str | Path,
    *,
    settings: JobSettings | None = None,
    team: str | None = None,
    base_dir: Path | None = None,
    file: str | None = None,
    key: str = "jobs.path",
) -> JobTemplate:
    """Load a shipped template by name, or a directory by path (relative ones from `base_dir`).

    `settings` override what a config.ini says: in the file of a shipped template, and only beside
    the files of a user's own. `team` is written into a shipped template's config.ini. Raises
    ConfigError, naming `file` and `key`, for a directory that is not a job.
    """
    if isinstance(name_or_path, str) and name_or_path in (*shipped_templates(), INGESTION, TABLES):
        folder = _SHIPPED / name_or_path
        template = JobTemplate(
            name=name_or_path,
            origin=f"template {name_or_path}",
            files=(files := read_folder(folder)),
            steps=steps_of(files),
            shipped=True,
            proves=True,
            ini=JobIni(team=team),
        )
    else:
        own = None
        if settings is not None and settings.path is None and isinstance(name_or_path, str):
            own = _made(name_or_path, settings, file, key)
        template = _load_own(own or name_or_path, base_dir, file, key)
    return template if settings is None else _configured(template, settings)


def _load_own(
    name_or_path: str | Path, base_dir: Path | None, file: str | None, key: str
) -> JobTemplate:
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError:
        path = Path(name_or_path)
    folder = (base_dir or Path()) / path
    files = read_folder(folder, file=file, key=key)
    steps = steps_of(files)
    if not steps:
        raise ConfigError(
            "The job's directory has no steps.",
            file=file,
            key=key,
            value=str(folder),
            expected="*.sql files, or *.py files with `def run(job_input)`, not in subfolders",
            to_try=_without_steps(files),
        )
    ini = JobIni()
    if jobini.NAME in files:
        ini = jobini.read_ini(files[jobini.NAME], file=str(folder / jobini.NAME))
    size = sum(map(len, files.values()))
    warnings = list(ini.warnings)
    if size > LARGE_BYTES:
        warnings.append(
            f"{folder}: {size / 2**20:.0f} MB in {len(files)} files; each upload is a git commit"
            " of the platform and goes into an image"
        )
    return JobTemplate(
        name=folder.resolve().name,
        origin=str(folder),
        files=files,
        steps=steps,
        shipped=False,
        proves=False,
        ini=ini,
        warnings=tuple(warnings),
    )


def _configured(template: JobTemplate, settings: JobSettings) -> JobTemplate:
    """The template with what its settings override; only what is set there counts."""
    own = template.ini
    # An empty schedule is an answer of its own: this job is not to be scheduled.
    schedule = own.schedule if settings.schedule is None else settings.schedule or None
    ini = msgspec.structs.replace(
        own,
        team=settings.team or own.team,
        schedule=schedule,
        python_version=settings.python_version or own.python_version,
        db_default_type=settings.db_default_type or own.db_default_type,
        contacts=settings.contacts or own.contacts,
        vdk={name: _as_ini(value) for name, value in settings.vdk.items()},
    )
    return msgspec.structs.replace(
        template,
        ini=ini,
        values=dict(settings.values),
        proves=template.proves or settings.proves,
    )


def _as_ini(value: str | float) -> str:
    """As vdk reads it from an ini: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_steps(files: dict[str, bytes]) -> str:
    python = [name for name in files if name.lower().endswith(".py")]
    if not files:
        return "the folder is empty: is the path right?"
    nested = sorted({name.split("/")[0] for name in python if "/" in name})
    if nested:
        return f"vdk looks at the top folder only: is the job in {nested[0]}/?"
    if python:
        return f"define run(job_input) in {min(python)}"
    return "add a step, for example 10_hello.py with `def run(job_input): ...`"


def _canonical(values: Mapping[str, Any]) -> bytes:
    """JSON that is the same for the same values, whatever their order."""
    try:
        text = json.dumps(dict(values), sort_keys=True, allow_nan=False, indent=1)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ConfigError(
            f"A job's values must be JSON: {exc}.",
            key="values",
            expected="strings, finite numbers, booleans, lists and tables",
            to_try="write dates and the like as strings; a secret does not belong into a job",
        ) from exc
    return text.encode() + b"\n"
