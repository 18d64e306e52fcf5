"""Every folder of conftest_examples/ does what its README says, on a sandbox."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.docs.blocks import ROOT

EXAMPLES = ROOT / "conftest_examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name[0] != "_")


class Example:
    """A copy of an example's folder, and a platform for it."""

    def __init__(self, name: str, folder: Path, platform: Sandbox) -> None:
        litter = shutil.ignore_patterns("__pycache__")
        shutil.copytree(EXAMPLES / name, folder, ignore=litter)
        (folder / "pytest.ini").write_text("[pytest]\n")
        self.folder = folder
        readme = (folder / "README.md").read_text(encoding="utf-8")
        self.shown = _block(readme, "text").strip()
        self.command = shlex.split(_block(readme, "console").removeprefix("$ "))
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "VDKPROBE_"))
        }
        if "[control]" in (folder / "platform.toml").read_text(encoding="utf-8"):
            self.environ |= {
                "VDKPROBE_CONTROL__URL": platform.url,
                "VDKPROBE_CONTROL__AUTH__URL": platform.token_url,
                "VDK_API_TOKEN": platform.tokens.api_token,
            }

    def play(self, *args: str, **more: str) -> tuple[str, int]:
        """What the README's command prints, and its exit code."""
        done = subprocess.run(
            [sys.executable, "-m", *self.command, *args],
            cwd=self.folder,
            env=self.environ | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout, done.returncode


def _block(text: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no block in {language}"
    return found[1]


@pytest.fixture(scope="module")
def platform() -> Iterator[Sandbox]:
    """A platform that answers at once: what is tried here are the examples."""
    with Sandbox(executor="instant", auth=True, team="platform") as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_what_its_readme_says(name: str, tmp_path: Path, platform: Sandbox) -> None:
    text, code = Example(name, tmp_path / name, platform).play()
    assert code == 0, text
    readme_shows = Example(name, tmp_path / "again", platform).shown
    assert readme_shows in " ".join(text.split()) or readme_shows in text, text


def test_own_verification_can_fail(tmp_path: Path, platform: Sandbox) -> None:
    example = Example("own_job", tmp_path / "x", platform)
    job = example.folder / "jobs" / "count" / "10_count.py"
    job.write_text(job.read_text().replace('["a", "b", "c"]', '["b", "a", "c"]'))
    text, code = example.play()
    assert code == 1, text
    assert "The job counted other things." in text


def test_own_ends_see_what_is_lost(tmp_path: Path, platform: Sandbox) -> None:
    example = Example("own_ends", tmp_path / "x", platform)
    ends = example.folder / "conftest.py"
    ends.write_text(ends.read_text().replace("for r in records]", "for r in records[1:]]"))
    text, code = example.play()
    assert code == 1, text
    assert "lost" in text


def test_own_ends_leave_nothing_behind(tmp_path: Path, platform: Sandbox) -> None:
    example = Example("own_ends", tmp_path / "x", platform)
    leases = {"VDKPROBE_RUN__LEASE_FOLDER": str(tmp_path / "leases")}
    assert example.play(**leases)[1] == 0
    assert _left(example, tmp_path) == ([], [])
    ends = example.folder / "conftest.py"
    killed = "        import os, signal\n        os.kill(os.getpid(), signal.SIGKILL)\n"
    text = ends.read_text()
    sending = "    def send(self, records, *, deadline):\n"
    assert sending in text
    ends.write_text(text.replace(sending, sending + killed))
    assert example.play(**leases)[1] == -9
    (database,), (_,) = _left(example, tmp_path)
    # A namesake that does not carry the lease's mark is somebody else's.
    database.unlink()
    with contextlib.closing(sqlite3.connect(database)) as foreign:
        foreign.execute("create table precious (row)")
    ends.write_text(text)
    told, code = example.play(**leases)
    assert code == 0, told
    assert "is a namesake: not ours, left alone" in " ".join(told.split())
    assert _left(example, tmp_path) == ([database], [])
    database.unlink()
    ends.write_text(text.replace(sending, sending + killed))
    assert example.play(**leases)[1] == -9
    ends.write_text(text)
    told, code = example.play(**leases)
    assert code == 0, told
    assert "of an earlier run: sqlite" in " ".join(told.split())
    assert _left(example, tmp_path) == ([], [])


def _left(example: Example, folder: Path) -> tuple[list[Path], list[Path]]:
    """The databases and the leases that are there."""
    return sorted(example.folder.glob("*.db")), sorted((folder / "leases").glob("*.json*"))


def test_two_profiles_in_one_table_are_told_apart(tmp_path: Path, platform: Sandbox) -> None:
    example = Example("own_ends", tmp_path / "x", platform)
    text, code = example.play("--vdk-set", 'routes.events.profiles=["small", "typed"]')
    assert code == 0, text


def test_a_chat_hears_of_changes_and_of_nothing_else(tmp_path: Path, platform: Sandbox) -> None:
    heard: list[str] = []

    class Chat(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(json.loads(body)["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chat) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        example = Example("chat", tmp_path / "x", platform)
        chat = {"CHAT_URL": f"http://127.0.0.1:{server.server_port}/hook"}
        assert example.play(**chat)[1] == 0
        assert example.play(**chat)[1] == 0
        assert heard == []
        text, code = example.play("--vdk-set", "control.keytab=bytes", **chat)
        server.shutdown()
    assert code == 1, text
    (told,) = heard
    assert told.endswith("heartbeat[hello-platform]: pass -> fail")


def test_a_rule_of_the_house_keeps_production_from_being_checked_quickly(
    tmp_path: Path, platform: Sandbox
) -> None:
    example = Example("profiles", tmp_path / "x", platform)
    text, code = example.play("--profile=prod", "--vdk-quick")
    assert code == 4, text
    assert "Production is never checked quickly." in text


def test_the_night_is_compared_with_the_last_good_one(tmp_path: Path, platform: Sandbox) -> None:
    example = Example("nightly", tmp_path / "x", platform)
    assert example.play()[1] == 0
    text, code = example.play("--vdk-set", "control.keytab=bytes")
    assert code == 1, text
    assert "newly failing  heartbeat[hello-platform]::keytab" in text
    assert "heartbeat[hello-platform]: fail" in (example.folder / "night.md").read_text()


def test_there_is_one_for_each_thing_that_can_be_made_ones_own() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"({name}/README.md)" not in index] == []
    assert len(NAMES) >= 8
    for name in NAMES:
        files = {path.name for path in (EXAMPLES / name).iterdir()}
        assert {"README.md", "conftest.py", "platform.toml"} <= files
