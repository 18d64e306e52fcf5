"""Environments are built once, whole or not at all, and say how to fetch them ahead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox import environment
from pytest_vdkprobe.sandbox.environment import Environment
from pytest_vdkprobe.sandbox.executor import BuildError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("VDKPROBE_CACHE", str(folder))
    return folder


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were built, by a build that only makes an interpreter's file."""
    made: list[Path] = []

    def install(env: Environment, text: str, **_: object) -> None:
        made.append(env.folder)
        env.python.parent.mkdir(parents=True)
        env.python.write_text(text)

    monkeypatch.setattr(environment, "_install", install)
    return made


def test_a_second_fetch_builds_nothing(builds: list[Path]) -> None:
    first = environment.fetch("vdk")
    assert environment.fetch("vdk") == first
    assert builds == [first.folder]


def test_nothing_is_found_before_it_was_fetched(builds: list[Path]) -> None:
    assert environment.find("vdk") is None
    made = environment.fetch("vdk")
    assert environment.find("vdk") == made
    assert environment.find("conformance") is None


def test_two_at_once_build_once(builds: list[Path]) -> None:
    found: list[Environment] = []
    threads = [
        threading.Thread(target=lambda: found.append(environment.fetch("vdk"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(builds) == 1
    assert len(set(found)) == 1
    assert len(found) == 4


def test_what_a_killed_build_left_is_never_taken_for_whole(builds: list[Path], cache: Path) -> None:
    whole = environment.fetch("vdk")
    (cache / f"{whole.key}.json").unlink()  # as if killed before the last step
    assert environment.find("vdk") is None
    again = environment.fetch("vdk")
    assert again.folder != whole.folder
    assert not whole.folder.exists()


def test_an_environment_whose_files_went_is_built_again(builds: list[Path]) -> None:
    environment.fetch("vdk").python.unlink()
    environment.fetch("vdk")
    assert len(builds) == 2


def test_a_broken_pointer_is_as_good_as_none(builds: list[Path], cache: Path) -> None:
    made = environment.fetch("vdk")
    for text in ("", "[]", "{}", '{"folder": 3}'):
        (cache / f"{made.key}.json").write_text(text)
        assert environment.find("vdk") is None


def test_a_failed_build_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def install(env: Environment, text: str, **_: object) -> None:
        env.folder.mkdir()
        raise BuildError("the index is away")

    monkeypatch.setattr(environment, "_install", install)
    with pytest.raises(ProbeError, match="the index is away"):
        environment.fetch("vdk")
    assert [path.suffix for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_other_pins_make_another_environment(
    builds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.fetch("vdk")
    monkeypatch.setattr(environment, "_requirements", lambda kind: "vdk-core==99")
    assert environment.find("vdk") is None


def test_without_an_index_the_error_names_the_command_that_fetches_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    told: list[str] = []
    with pytest.raises(ProbeError) as caught:
        environment.fetch("vdk", progress=told.append)
    assert "vdkprobe sandbox fetch" in str(caught.value)
    assert "No matching distribution found for aenum" in str(caught.value)
    assert told[0] == "vdk environment: creating a virtual environment"


def test_the_conformance_environment_names_its_own_option() -> None:
    error = environment._unbuildable("conformance", "why")
    assert "vdkprobe sandbox fetch --conformance" in str(error)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ProbeError, match="no 'kafka' environment"):
        environment.fetch("kafka")


def test_a_build_sees_pips_settings_and_none_of_our_secrets() -> None:
    given = {
        "PATH": "/bin",
        "PIP_INDEX_URL": "u",
        "PIP_TARGET": "elsewhere",
        "https_proxy": "p",
        "VDK_API_TOKEN": "t",
        "PYTHONPATH": "x",
    }
    seen = environment.build_environ(given)
    assert seen == {
        "PIP_RETRIES": "2",
        "PYTHONNOUSERSITE": "1",
        "PATH": "/bin",
        "PIP_INDEX_URL": "u",
        "https_proxy": "p",
    }


def test_every_requirement_is_pinned() -> None:
    for kind in environment.KINDS:
        lines = environment._requirements(kind).splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert len(pins) > 10
        assert [line for line in pins if "==" not in line] == []


class TestLayers:
    """A job's requirements, on top of the environment that runs jobs."""

    @pytest.fixture
    def base(self) -> Environment:
        """The environment of this test, in the role of the one that runs jobs."""
        return Environment("base", Path(sys.prefix))

    @pytest.fixture
    def job(self, tmp_path: Path) -> Path:
        """A job whose requirement lies beside it."""
        folder = tmp_path / "a-job"
        folder.mkdir()
        with zipfile.ZipFile(folder / "tiny_proof-1.0-py3-none-any.whl", "w") as wheel:
            info = "tiny_proof-1.0.dist-info"
            wheel.writestr("tiny_proof.py", "ANSWER = 42\n")
            wheel.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-proof\nVersion: 1.0\n"
            )
            wheel.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            wheel.writestr(f"{info}/RECORD", "")
        (folder / "requirements.txt").write_text("./tiny_proof-1.0-py3-none-any.whl\n")
        return folder

    def test_a_job_that_asks_for_nothing_gets_the_base(
        self, base: Environment, tmp_path: Path
    ) -> None:
        assert environment.layer(base, tmp_path) is base
        (tmp_path / "requirements.txt").write_text("# nothing\n\n")
        assert environment.layer(base, tmp_path) is base

    def test_a_job_that_asks_for_what_is_there_gets_the_base(
        self, base: Environment, tmp_path: Path
    ) -> None:
        (tmp_path / "requirements.txt").write_text("Kafka_Python\npluggy\n")
        assert environment.layer(base, tmp_path) is base

    def test_a_layer_sees_the_jobs_packages_and_the_bases(
        self, base: Environment, job: Path
    ) -> None:
        made = environment.layer(base, job)
        code = "import tiny_proof, pluggy; print(tiny_proof.ANSWER, pluggy.__file__)"
        said = subprocess.run(
            [made.python, "-c", code], capture_output=True, text=True, check=True, env={}
        ).stdout
        assert said.startswith("42 ")
        assert str(made.folder) not in said
        assert environment.layer(base, job) == made

    def test_a_changed_file_beside_the_requirements_makes_another_layer(
        self, base: Environment, job: Path, builds: list[Path]
    ) -> None:
        first = environment.layer(base, job)
        (job / "tiny_proof-1.0-py3-none-any.whl").write_bytes(b"changed")
        assert environment.layer(base, job) != first

    def test_a_requirement_that_does_not_exist_is_a_build_error(
        self, base: Environment, job: Path, cache: Path
    ) -> None:
        (job / "requirements.txt").write_text("./not_there-1.0-py3-none-any.whl\n")
        with pytest.raises(BuildError, match="not_there"):
            environment.layer(base, job)
        assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_build_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "BUILD_LIMIT_S", 0.3)
    os.mkfifo(tmp_path / "never")
    code = f"import subprocess; subprocess.run(['cat', {str(tmp_path / 'never')!r}])"
    with pytest.raises(BuildError, match="code -9"):
        environment._run([sys.executable, "-c", code], dict(os.environ), tell=print)


def test_the_pointer_tells_which_python_built_it(builds: list[Path], cache: Path) -> None:
    made = environment.fetch("vdk")
    pointer = json.loads((cache / f"{made.key}.json").read_text())
    assert pointer["python"] == sys.version
