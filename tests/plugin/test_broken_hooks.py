"""What is said when users' own code breaks before anything runs: where, in which hook, by what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.conftest import PLATFORM, THREE, Probe

BREAKS = """
def helper():
    return {{}}["absent"]
def {hook}:
    helper()
"""
BEFORE = (
    "pytest_vdkprobe_register(config, kinds)",
    "pytest_vdkprobe_configured(config, configuration)",
    "pytest_vdkprobe_subjects(config, configuration, kind)",
)
KINDS = """
import msgspec
class CardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True,
                   tag_field="kind", tag="card"):
    pin: str
    def __post_init__(self):
        if self.pin == "odd":
            {}["absent"]
class Card:
    kind = "card"
    settings = CardSettings
    def __init__(self, settings, resolve):
        raise OSError("no reader is plugged in")
    def authorize(self, post): return {}
    def refresh(self): return False
def folder(settings):
    raise RuntimeError("not today")
def pytest_vdkprobe_register(config, kinds):
    kinds.auth("card", Card)
    kinds.template("mine", folder)
"""


def refused(probe: Probe, *args: str) -> str:
    """What a run is refused with: no traceback unless asked for, and no internal error."""
    result = probe.run_apart(*args)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    assert "INTERNALERROR" not in text
    return text


@pytest.mark.parametrize("hook", BEFORE)
def test_a_hook_that_breaks_is_told_by_its_plugin_line_and_exception(
    probe: Probe, hook: str
) -> None:
    path = probe.write("conftest.py", BREAKS.format(hook=hook))
    probe.scenario(THREE)
    text = refused(probe, "test_mine.py")
    name = hook.partition("(")[0]
    assert f"The hook {name} of conftest.py broke: KeyError: 'absent'." in text
    assert f"{path}, line 3, key {name}" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("option", ["-v", "--tb=short", "--full-trace"])
def test_its_traceback_is_shown_where_it_is_asked_for(probe: Probe, option: str) -> None:
    probe.write("conftest.py", BREAKS.format(hook=BEFORE[0]))
    text = refused(probe, option)
    assert "Traceback (most recent call last)" in text
    assert "in helper" in text


def test_the_plugin_that_breaks_is_named_among_several(probe: Probe) -> None:
    probe.write("conftest.py", "def pytest_vdkprobe_register(config, kinds): pass\n")
    probe.write("acme_probe.py", BREAKS.format(hook=BEFORE[0]))
    text = refused(probe, "-p", "acme_probe")
    assert "The hook pytest_vdkprobe_register of acme_probe broke" in text


def test_what_says_itself_what_is_wrong_is_left_alone(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "import pytest\n"
        "def pytest_vdkprobe_register(config, kinds): raise pytest.UsageError('only in blue')\n",
    )
    text = refused(probe)
    assert "ERROR: only in blue" in text
    assert "broke" not in text


def test_a_step_that_a_hook_breaks_names_the_hook(probe: Probe) -> None:
    hook = "pytest_vdkprobe_step_starting(config, step)"
    path = probe.write("conftest.py", BREAKS.format(hook=hook))
    probe.scenario(THREE)
    result = probe.run("test_mine.py")
    assert result.ret == 6
    text = result.stdout.str()
    assert "The hook pytest_vdkprobe_step_starting of conftest.py broke: KeyError" in text
    assert f"correct it in {path}, line 3" in text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('auth = { kind = "card", pin = "1" }', "The login card broke: OSError: no reader is plug"),
        ('auth = { kind = "card", pin = "odd" }', "The type CardSettings of control.auth broke: K"),
        ('[[jobs]]\nname = "second"\ntemplate = "mine"', "The template mine broke: RuntimeError: "),
    ],
)
def test_a_kind_that_breaks_is_told_before_anything_runs(
    probe: Probe, more: str, said: str
) -> None:
    path = probe.write("conftest.py", KINDS)
    probe.write("platform.toml", PLATFORM.replace("[[jobs]]", more + "\n[[jobs]]", 1))
    text = refused(probe)
    assert said in text
    assert f"{path}, line " in text
    assert "Traceback" not in text
    assert "Traceback" in refused(probe, "-v")


def test_an_entry_point_that_breaks_is_told_with_its_line(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = probe.write("site/acme_auth.py", "import os\nos.environ['ACME_IS_ABSENT']\n")
    probe.write("site/acme-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    probe.write(
        "site/acme-1.dist-info/entry_points.txt",
        "[pytest_vdkprobe.logins]\ncard = acme_auth:Card\n",
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(module).parent))
    auth = 'auth = { kind = "card" }\n[[jobs]]'
    probe.write("platform.toml", PLATFORM.replace("[[jobs]]", auth, 1))
    text = refused(probe)
    assert "The login card that acme offers can't be loaded." in text
    assert "Seen:      KeyError: 'ACME_IS_ABSENT'" in text
    assert f"{module}, line 2" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("None", "The login card returned no headers."),
        ("'tok-4711'", "The login card returned no headers."),
        ("{'X-Card': 4711}", "The login card returned no headers."),
        ("{}['absent']", "The login card broke: KeyError: 'absent'."),
    ],
)
def test_a_login_that_returns_no_headers_is_told_as_the_user_s(
    probe: Probe, answer: str, said: str
) -> None:
    conftest = KINDS.replace('raise OSError("no reader is plugged in")', "pass").replace(
        "def authorize(self, post): return {}", f"def authorize(self, post): return {answer}"
    )
    path = probe.write("conftest.py", conftest)
    auth = 'auth = { kind = "card", pin = "1" }\n[[jobs]]'
    probe.write("platform.toml", PLATFORM.replace("[[jobs]]", auth, 1))
    result = probe.run_apart("--vdk-scenarios=heartbeat", "-k", "reach")
    text = result.stdout.str()
    assert result.ret == 6, text
    assert said in text
    assert str(path) in text
    assert "bug of pytest-vdkprobe" not in text
    assert "4711" not in text.replace(conftest, "")
