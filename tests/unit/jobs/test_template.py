"""A job's directory is checked on loading and rendered with values as data."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs import folder as folder_module
from pytest_vdkprobe.jobs.settings import Contacts, JobSettings
from pytest_vdkprobe.jobs.template import JobTemplate, load_template, shipped_templates

STEP = b"def run(job_input):\n    pass\n"
VALUES = {"run_id": "7f3a90c2", "revision": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's own job."""
    own = tmp_path / "mine"
    own.mkdir()
    (own / "10_hello.py").write_bytes(STEP)
    (own / "20_more.sql").write_text("SELECT 1")
    (own / "config.ini").write_text(
        "[owner]\nteam = blue\n[job]\nschedule_cron = 5 4 * * *\npython_version = 3.11\n"
        "[contacts]\nnotified_on_job_success = a@example.org; b@example.org\n"
    )
    (own / "requirements.txt").write_text("faker\n")
    (own / "data").mkdir()
    (own / "data" / "x.csv").write_bytes(b"1,2\r\n")
    return own


def refused(path: Path | str, **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_template(path, file="platform.toml", key="jobs.0.path", **options)
    return caught.value


def test_the_shipped_templates_are_proof_and_sql() -> None:
    assert shipped_templates() == ("proof", "sql")
    for name in shipped_templates():
        template = load_template(name)
        assert template.shipped
        assert template.proves
        assert template.origin == f"template {name}"


def test_values_arrive_as_canonical_json() -> None:
    values = {"b": 'quote " and \\ and \n', "a": {"d": 1, "c": [None, True, 0.5]}, "é": "\ud800"}
    text = load_template("proof").render(values).files["vdkprobe_values.json"]
    assert json.loads(text) == values
    reordered = dict(reversed(values.items()))
    assert load_template("proof").render(reordered).files["vdkprobe_values.json"] == text


def test_values_never_reach_the_code() -> None:
    plain = load_template("proof").render(VALUES)
    nasty = load_template("proof").render(VALUES | {"x": "'''); import os #"})
    assert {name for name in plain.files if plain.files[name] != nasty.files[name]} == {
        "vdkprobe_values.json"
    }


@pytest.mark.parametrize(
    "value", [float("nan"), b"bytes", {1, 2}, object()], ids=["NaN", "bytes", "set", "object"]
)
def test_values_that_json_can_not_hold_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="must be JSON"):
        load_template("proof").render({"x": value})


def test_rendering_twice_gives_the_same_bytes() -> None:
    first, second = (load_template("proof").render(dict(VALUES)) for _ in range(2))
    assert first.files == second.files
    assert first.digest == second.digest
    assert first.zip("hello") == second.zip("hello")


def test_another_revision_is_another_digest() -> None:
    template = load_template("proof")
    assert template.render(VALUES).digest != template.render(VALUES | {"revision": 2}).digest


def test_a_shipped_template_gets_a_config_ini_from_its_settings() -> None:
    settings = JobSettings(
        name="hello-platform",
        schedule="*/5 * * * *",
        python_version="3.11",
        db_default_type="TRINO",
        contacts=Contacts(notified_on_job_deploy=("50%@example.org", "b@example.org")),
    )
    job = load_template("proof", settings=settings, team="blue").render(VALUES)
    parser = configparser.ConfigParser()
    parser.read_string(job.files["config.ini"].decode())
    assert parser["owner"]["team"] == "blue"
    assert dict(parser["job"]) == {
        "schedule_cron": "*/5 * * * *",
        "python_version": "3.11",
    }
    assert dict(parser["vdk"]) == {"db_default_type": "TRINO"}
    assert parser["contacts"]["notified_on_job_deploy"] == "50%@example.org;b@example.org"
    assert (job.schedule, job.python_version) == ("*/5 * * * *", "3.11")
    assert job.contacts == settings.contacts


def test_without_settings_a_shipped_config_ini_says_nothing() -> None:
    assert load_template("proof").render(VALUES).files["config.ini"] == b""


def test_a_users_directory_is_kept_byte_for_byte(folder: Path) -> None:
    settings = JobSettings(name="hello-platform", path=str(folder), schedule="* * * * *")
    job = load_template(folder, settings=settings).render(VALUES)
    assert job.files == {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_users_directory_keeps_its_schedule_python_version_and_contacts(folder: Path) -> None:
    template = load_template(folder)
    assert template.schedule == "5 4 * * *"
    assert template.python_version == "3.11"
    assert template.contacts.notified_on_job_success == ("a@example.org", "b@example.org")
    assert template.ini.team == "blue"
    assert not template.proves
    job = load_template(folder, settings=JobSettings(name="hello-platform")).render({})
    assert (job.schedule, job.python_version) == ("5 4 * * *", "3.11")


def test_settings_override_a_users_directory_only_beside_its_files(folder: Path) -> None:
    settings = JobSettings(name="hello-platform", schedule="", python_version="3.12")
    job = load_template(folder, settings=settings).render(VALUES)
    assert (job.schedule, job.python_version) == (None, "3.12")
    assert job.files["config.ini"] == (folder / "config.ini").read_bytes()


def test_a_users_directory_gets_values_only_if_it_wants_some(folder: Path) -> None:
    settings = JobSettings(name="hello-platform", values={"colour": "blue"})
    job = load_template(folder, settings=settings).render(VALUES)
    assert json.loads(job.files["vdkprobe_values.json"]) == VALUES | {"colour": "blue"}


def test_a_users_own_values_file_is_never_replaced(folder: Path) -> None:
    (folder / "vdkprobe_values.json").write_text("{}")
    assert load_template(folder).render(VALUES).files["vdkprobe_values.json"] == b"{}"
    template = load_template(folder, settings=JobSettings(name="x", values={"a": 1}))
    with pytest.raises(ConfigError, match="already has"):
        template.render(VALUES)


def test_a_relative_path_starts_from_the_configuration(folder: Path) -> None:
    assert load_template("mine", base_dir=folder.parent).origin == str(folder)


def test_a_missing_directory_is_refused_with_its_nearest_neighbour(folder: Path) -> None:
    error = refused(folder.parent / "mime")
    assert (error.file, error.key) == ("platform.toml", "jobs.0.path")
    assert error.value == str(folder.parent / "mime")
    assert f"did you mean {str(folder)!r}" in (error.to_try or "")


def test_a_missing_directory_without_neighbours_is_refused_too(tmp_path: Path) -> None:
    assert "create it" in (refused(tmp_path / "no" / "such").to_try or "")
    assert "create it" in (refused("no\0such", base_dir=tmp_path).to_try or "")


def test_a_file_is_not_a_job(folder: Path) -> None:
    error = refused(folder / "10_hello.py")
    assert str(folder) in (error.to_try or "")


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        ({}, "empty"),
        ({"readme.md": b""}, "add a step"),
        ({"10_hello.py": b"def go(job_input): pass"}, "define run(job_input) in 10_hello.py"),
        ({"job/10_hello.py": STEP}, "is the job in job/?"),
    ],
    ids=["empty", "no code", "no run", "nested"],
)
def test_a_directory_without_steps_is_refused(
    tmp_path: Path, files: dict[str, bytes], advice: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    error = refused(tmp_path)
    assert "no steps" in error.what
    assert advice in (error.to_try or "")


def test_a_step_may_be_written_in_any_line_ending_and_case(tmp_path: Path) -> None:
    (tmp_path / "A.PY").write_bytes(b'"""x"""\r\rdef run(\r  job_input): pass')
    (tmp_path / "b.SQL").write_bytes(b"")
    assert load_template(tmp_path).steps == ("A.PY", "b.SQL")


@pytest.mark.parametrize("name", ["hello.keytab", "sub/X.KEYTAB"])
def test_a_keytab_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"secret")
    error = refused(folder)
    assert "keytab" in error.what
    assert name in error.what


def test_caches_and_editors_files_stay_behind(folder: Path) -> None:
    before = load_template(folder).files
    for name in ("__pycache__/a.pyc", ".git/HEAD", ".idea/x", "x.pyc", ".10_hello.py.swp", "a~"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert load_template(folder).files == before
    (folder / ".vdkignore").write_bytes(b"x")
    assert ".vdkignore" in load_template(folder).files


def test_a_link_inside_is_followed(folder: Path) -> None:
    (folder / "linked.csv").symlink_to("data/x.csv")
    (folder / "more").symlink_to("data")
    files = load_template(folder).files
    assert files["linked.csv"] == files["more/x.csv"] == b"1,2\r\n"


@pytest.mark.parametrize(
    ("target", "why"),
    [("/etc/hostname", "out of"), ("..", "out of"), (".", "links back"), ("nothing", "to nothing")],
)
def test_a_link_that_leads_elsewhere_is_refused(folder: Path, target: str, why: str) -> None:
    (folder / "data" / "link").symlink_to(target if target.startswith("/") else Path("..") / target)
    assert why in refused(folder).what


def test_a_job_may_itself_be_a_link(folder: Path) -> None:
    (folder.parent / "linked").symlink_to(folder)
    assert load_template(folder.parent / "linked").files == load_template(folder).files


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "neither a file nor a folder" in refused(folder).what


def test_a_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.csv")).write_bytes(b"")
    error = refused(folder)
    assert "not UTF-8" in error.what
    str(error).encode()


def test_a_large_job_is_warned_about(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_template(folder).warnings == ()
    monkeypatch.setattr("pytest_vdkprobe.jobs.template.LARGE_BYTES", 100)
    (warning,) = load_template(folder).warnings
    assert "each upload is a git commit" in warning


def test_a_whole_disk_is_not_read_as_a_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MOST_FILES", 3)
    assert "too large" in refused(folder).what


def test_a_job_without_config_ini_is_a_job(tmp_path: Path) -> None:
    (tmp_path / "10.sql").write_bytes(b"SELECT 1")
    template = load_template(tmp_path)
    assert template.schedule is None
    assert template.contacts == Contacts()


def test_an_own_job_that_proves_gets_the_values_that_proving_needs(folder: Path) -> None:
    settings = JobSettings(name="hello-platform", path=str(folder), proves=True)
    template = load_template(folder, settings=settings)
    assert template.proves
    assert json.loads(template.render(VALUES).files["vdkprobe_values.json"]) == VALUES


def test_loading_a_job_imports_neither_requests_nor_croniter() -> None:
    code = (
        "import sys\n"
        "from pytest_vdkprobe.jobs.template import load_template\n"
        "load_template('proof').render({}).zip('hello')\n"
        "print(sorted({'requests', 'croniter', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180
    )
    assert done.stdout.strip() == "[]"


def test_templates_are_values_that_can_be_compared() -> None:
    assert load_template("proof") == load_template("proof")
    changed = msgspec.structs.replace(load_template("proof"), name="other")
    assert isinstance(changed, JobTemplate)
    assert changed != load_template("proof")
