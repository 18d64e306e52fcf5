"""What users bring of their own, by each way, and what is said of what lacks something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vdkprobe.config.configuration import Configuration
from pytest_vdkprobe.config.loader import from_tables
from pytest_vdkprobe.control.auth import make_auth
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import Secret
from tests.plugin.conftest import PLATFORM, STUB_JOB, THREE, Probe

CARD = """
import msgspec
from pytest_vdkprobe.api import SecretRef
class CardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True,
                   tag_field="kind", tag="card"):
    pin: SecretRef
    reader: str = "left"
class Card:
    kind = "card"
    settings = CardSettings
    def __init__(self, settings, resolve):
        self.pin = resolve(settings.pin, "control.auth.pin")
        self.reader = settings.reader
    def authorize(self, post):
        return {"X-Card": self.pin, "X-Reader": self.reader}
    def refresh(self):
        return False
"""
REGISTER = "def pytest_vdkprobe_register(config, kinds):\n    kinds."
HEADERS = """
@step
def test_login(vdk_auth, vdk_step):
    headers = vdk_auth.authorize(None)
    assert headers["X-Card"].reveal() == "4711-0815"
    vdk_step.evidence(vdk_auth.kind + headers["X-Reader"])
"""


def with_auth(probe: Probe, auth: str) -> None:
    """Log in in this way."""
    probe.write("platform.toml", PLATFORM.replace("[[jobs]]", f"auth = {auth}\n[[jobs]]"))


def said_of(probe: Probe, *args: str) -> str:
    """What a run is refused with."""
    result = probe.run(*args)
    text = result.stderr.str() + result.stdout.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    return text


def test_a_login_of_the_users_own_is_typed_made_and_printed_like_ours(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARD_PIN", "4711-0815")
    probe.write("conftest.py", CARD + REGISTER + 'auth("card", Card)\n')
    with_auth(probe, '{ kind = "card", pin = { env = "CARD_PIN" }, reader = "right" }')
    probe.scenario(HEADERS)
    result = probe.run("test_mine.py", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*control.auth.kind*= card *", "*control.auth.pin*secret from environment CARD_PIN*"]
    )
    assert "4711-0815" not in result.stdout.str()


@pytest.mark.parametrize(
    ("auth", "texts"),
    [
        ('{ kind = "card" }', ["control.auth.pin is missing"]),
        ('{ kind = "card", pim = 1 }', ["has no setting pim", "did you mean pin?"]),
        ('{ kind = "cart" }', ["one of api-token, bearer, card,", "did you mean card?"]),
        ('{ kind = "card", pin = "4711" }', ["only names its place"]),
    ],
)
def test_a_table_of_the_users_own_kind_is_checked_like_ours(
    probe: Probe, auth: str, texts: list[str]
) -> None:
    probe.write("conftest.py", CARD + REGISTER + 'auth("card", Card)\n')
    with_auth(probe, auth)
    text = said_of(probe)
    assert [one for one in texts if one not in text] == [], text


TYPED = (
    "import msgspec\nclass S(msgspec.Struct, frozen=True, forbid_unknown_fields=True,"
    ' tag_field="kind", tag="mine"): pass\n'
)


@pytest.mark.parametrize(
    ("conftest", "call", "texts"),
    [
        (TYPED, 'target("mine", dict, dict)', ["target mine lacks settings: a msgspec.Struct"]),
        (TYPED, 'target("other", S, dict)', ['lacks tag_field="kind", tag="other"']),
        (TYPED, 'reader("mine", S, object())', ["lacks a class or function that makes one"]),
        (
            TYPED + "def make(settings): pass\n",
            'target("mine", S, make)',
            ["takes (settings, *, leases, base_dir)", "conftest.py:3 (make)"],
        ),
        (
            TYPED + "class T:\n    def __init__(self, settings, **more): pass\n"
            "    def prepare(self, columns): pass\n",
            'target("mine", S, T)',
            ["lacks the methods send, remove, close, __enter__, __exit__", "conftest.py:3 (T)"],
        ),
        (CARD.replace("def refresh", "def renew"), 'auth("card", Card)', ["lacks the method refr"]),
        ("", 'template("mine", lambda: "x")', ["template mine lacks", "conftest.py:"]),
        ("", 'template("proof", "jobs/x")', ["Two offer a template called proof", "itself"]),
        ("", 'section("jobs")', ["[jobs] and [[jobs]]"]),
    ],
)
def test_what_is_lacking_is_said_by_name_and_place_before_anything_runs(
    probe: Probe, conftest: str, call: str, texts: list[str]
) -> None:
    probe.write("conftest.py", conftest + REGISTER + call + "\n")
    text = said_of(probe)
    assert [one for one in texts if one not in text] == [], text


def test_two_plugins_that_offer_one_name_are_told_apart_by_place(probe: Probe) -> None:
    one = CARD + REGISTER + 'auth("card", Card)\n'
    probe.write("first_plugin.py", one)
    probe.write("second_plugin.py", "\n" + one)
    probe.pytester.syspathinsert()
    text = said_of(probe, "-p", "first_plugin", "-p", "second_plugin")
    assert "Two offer a login called card" in text
    assert "first_plugin.py:8 (Card)" in text
    assert "second_plugin.py:9 (Card)" in text


def test_an_entry_point_of_an_installed_package_brings_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_login.py").write_text(CARD)
    metadata = tmp_path / "acme_login-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-login\nVersion: 1.0\n")
    points = "[pytest_vdkprobe.logins]\ncard = acme_login:Card\n"
    (metadata / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CARD_PIN", "4711-0815")
    made = make_auth(_configured({"kind": "card", "pin": {"env": "CARD_PIN"}}).auth)
    pin = made.authorize(None)["X-Card"]  # type: ignore[arg-type]  # it posts nothing
    assert isinstance(pin, Secret)
    assert pin.reveal() == "4711-0815"


def test_an_entry_point_that_breaks_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "acme_login-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-login\nVersion: 1.0\n")
    points = "[pytest_vdkprobe.logins]\ncard = acme_missing:Card\n"
    (metadata / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="login card that acme-login offers can't be loaded"):
        _configured({"kind": "card"})


def _configured(auth: dict[str, object]) -> ControlSettings:
    control = {"url": "http://127.0.0.1:9", "team": "platform", "auth": auth}
    configuration: Configuration = from_tables("x", {"control": control}, environ={})
    return configuration.section("control", ControlSettings)


def test_a_template_is_a_folder_or_what_a_function_makes(probe: Probe) -> None:
    probe.write("jobs/copy/10_copy.py", "def run(job_input): pass\n")
    probe.write(
        "conftest.py",
        STUB_JOB
        + "import pathlib\n"
        + "def pytest_vdkprobe_register(config, kinds):\n"
        + "    kinds.template('copy', pathlib.Path('jobs/copy'))\n"
        + "    kinds.template('named', lambda settings: 'jobs/' + settings.values['job'])\n",
    )
    jobs = '[[jobs]]\nname = "copy-job"\ntemplate = "copy"\n'
    jobs += '[[jobs]]\nname = "named-job"\ntemplate = "named"\nvalues = { job = "copy" }\n'
    probe.write("platform.toml", PLATFORM.partition("[[jobs]]")[0] + jobs)
    plan = probe.run("--vdk-plan")
    assert plan.ret == 0, plan.stderr.str()
    plan.stdout.fnmatch_lines(["*copy-job-*jobs/copy)", "*companion*", "*named-job-*jobs/copy)"])


@pytest.mark.parametrize(
    ("make", "text"),
    [("lambda settings: None", "made no folder"), ("'jobs/missing'", "jobs/missing")],
)
def test_a_template_without_a_folder_is_refused(probe: Probe, make: str, text: str) -> None:
    probe.write("conftest.py", REGISTER + f"template('copy', {make})\n")
    jobs = '[[jobs]]\nname = "copy-job"\ntemplate = "copy"\n'
    probe.write("platform.toml", PLATFORM.partition("[[jobs]]")[0] + jobs)
    said = said_of(probe)
    assert text in said
    assert "jobs.0.template" in said


def test_what_a_function_makes_is_checked_when_it_is_made(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        TYPED + "def make(settings, *, leases, base_dir): return object()\n"
        "def pytest_vdkprobe_register(config, kinds): kinds.target('mine', S, make)\n",
    )
    probe.write(
        "platform.toml",
        '[[routes]]\nname = "r"\ntarget = { kind = "mine" }\n'
        'reader = { kind = "file", path = "x" }\n',
    )
    result = probe.run("--vdk-report=report.json")
    report = json.loads((probe.pytester.path / "report.json").read_text())
    what = report["journeys"][0]["steps"][0]["finding"]["what"]
    assert "The target mine lacks prepare; and send" in what
    assert result.ret == 6


def test_the_users_kinds_are_forgotten_between_tests(probe: Probe) -> None:
    probe.scenario(THREE)
    with_auth(probe, '{ kind = "card" }')
    assert "has no such kind" in said_of(probe)
