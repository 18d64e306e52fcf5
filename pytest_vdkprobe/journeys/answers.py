"""What users' hooks answer: checked, copied, and never believed in silence.

A hook runs in the middle of judging a platform. One that breaks or answers nonsense must not hide
what was found before it, and one that changes a verdict leaves a trace that every report shows.
"""

from __future__ import annotations

import copy
import inspect
import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.config.registry import in_short, place_of, raised_at
from pytest_vdkprobe.errors import ConfigError, Finding, ProbeError
from pytest_vdkprobe.journeys.texts import presentable
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.verdicts import Verdict

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

OURS = "pytest_vdkprobe_"
CHANGES = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN)
"""What a verdict may be changed from and to: a blocked step has none of its own."""
BREAKS = (Exception, pytest.fail.Exception, pytest.skip.Exception)
"""What a hook may raise that must not end the run: pytest's own are no Exceptions."""
FORM = '{"evidence": ["..."], "verdict": "fail", "because": "..."}, each key optional, or None'


def implemented(config: pytest.Config, name: str) -> bool:
    """Whether anybody implements this hook of ours."""
    return bool(getattr(config.hook, name).get_hookimpls())


def places(config: pytest.Config, name: str) -> str:
    """Where a hook is implemented, for people."""
    functions = [impl.function for impl in getattr(config.hook, name).get_hookimpls()]
    # Ours answer some hooks too, and are not what a user has to correct.
    users = [one for one in functions if not str(one.__module__).startswith("pytest_vdkprobe.")]
    return " or ".join(place_of(one) for one in users or functions)


def asked(config: pytest.Config, name: str, **given: object) -> Any:
    """What users' hooks return before anything runs.

    What one raises that is no ConfigError is told as one: the line, the hook, the exception.
    """
    try:
        return getattr(config.hook, name)(config=config, **given)
    except (ProbeError, pytest.UsageError):
        raise
    except BREAKS as exc:
        whose, place = _culprit(config, name, exc)
        problem = ConfigError(
            f"The hook {name} of {whose} broke: {in_short(exc)}.",
            file=place,
            key=name,
            to_try="correct it there; pytest -v shows the traceback",
        )
        raise problem from exc


def require_known(config: pytest.Config) -> None:
    """Raise ConfigError for a hook that is called almost like one of ours.

    pytest itself ends with an internal error for it, once tests are collected.
    """
    hooks = {name: hook for name, hook in vars(config.hook).items() if name.startswith(OURS)}
    known = [name for name, hook in hooks.items() if hook.has_spec()]
    for name, hook in hooks.items():
        for impl in () if hook.has_spec() else hook.get_hookimpls():
            if not impl.optionalhook:
                raise ConfigError(
                    f"There is no hook {name}.",
                    file=place_of(impl.function),
                    key=name,
                    to_try=did_you_mean(name, known),
                )


def _culprit(config: pytest.Config, name: str, exc: BaseException) -> tuple[str, str | None]:
    """The plugin whose implementation broke, and the line in its file that did."""
    impls = getattr(config.hook, name).get_hookimpls()
    files = {_file_of(impl.function): impl.plugin_name for impl in impls}
    place = raised_at(exc, files=[file for file in files if file])
    file = place and place.rpartition(", line ")[0]
    plugin = str(files.get(file) or file or places(config, name))
    path = Path(plugin)
    return (path.name if path.is_absolute() else plugin), place


def _file_of(function: Callable[..., object]) -> str | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code and str(code.co_filename)


def _wants_cause(config: pytest.Config) -> bool:
    """Whether the user asked to see where in the code something was raised."""
    told = config.getoption("tbstyle", "auto") not in ("auto", "no")
    return told or bool(config.getoption("fulltrace", False)) or config.get_verbosity() > 0


def in_full(config: pytest.Config, problem: ProbeError) -> str:
    """What is said of it, with the traceback of what it came of where that is asked for."""
    cause = problem.__cause__
    if cause is None or isinstance(cause, Finding) or not _wants_cause(config):
        return redact(str(problem))
    return redact(f"{problem}\n\n{''.join(traceback.format_exception(cause)).rstrip()}")


def wrong_answer(config: pytest.Config, name: str, value: object, expected: str) -> ConfigError:
    """What to say of an answer that is none: the hook, and where it may have come from."""
    return ConfigError(
        f"The hook {name} returned something that it may not.",
        key=name,
        value=value,
        expected=expected,
        to_try=f"correct it in {places(config, name)}",
    )


def amend(config: pytest.Config, data: dict[str, Any], finding: Finding | None) -> str:
    """Let hooks add to a judgement that is about to be given; the verdict that counts."""
    name = "pytest_vdkprobe_verdict"
    if data["verdict"] not in CHANGES or not implemented(config, name):
        return str(data["verdict"])
    step = copy.deepcopy(data)
    try:
        answers = config.hook.pytest_vdkprobe_verdict(config=config, step=step, finding=finding)
        checked = [_checked(config, name, answer) for answer in answers if answer is not None]
    except BREAKS as exc:
        # What was found before it is told all the same.
        told = exc if isinstance(exc, ConfigError) else broken(config, name, exc)
        what, lines = told.what, told.lines()
        if data["verdict"] == Verdict.PASS:
            data |= {"verdict": str(Verdict.ERROR), "what": presentable(what), "ours": True}
            data["lines"] = [[label, presentable(text)] for label, text in lines]
        else:
            note = "; ".join([what, *(text for _, text in lines)])
            data["lines"].append(["Note", presentable(note)])
        return str(data["verdict"])
    for answer in checked:
        data["evidence"] += answer.get("evidence", ())
        wanted = answer.get("verdict", data["verdict"])
        if wanted != data["verdict"]:
            _change(data, wanted, answer["because"])
    return str(data["verdict"])


def _change(data: dict[str, Any], verdict: str, because: str) -> None:
    """Give another verdict, and say so wherever the step is told."""
    told = f"a hook changed {data['verdict']} to {verdict}: {because}"
    changed = {"from": data["verdict"], "to": verdict, "because": because, "found": data["what"]}
    data["attached"].setdefault("changed", []).append(changed)
    data["evidence"].append(told)
    data["lines"].append(["Note", told])
    if data["verdict"] == Verdict.PASS:
        data |= {"what": presentable(because), "ours": True}
    data["verdict"] = verdict


def _checked(config: pytest.Config, name: str, answer: object) -> dict[str, Any]:
    """A copy of the answer, its texts redacted. Raises ConfigError for what is none."""
    if not isinstance(answer, Mapping) or set(answer) - {"evidence", "verdict", "because"}:
        raise wrong_answer(config, name, answer, FORM)
    evidence = answer.get("evidence", ())
    evidence = [evidence] if isinstance(evidence, str) else evidence
    if not isinstance(evidence, list | tuple) or not all(isinstance(one, str) for one in evidence):
        raise wrong_answer(config, name, answer, "evidence is a text, or a list of texts")
    checked: dict[str, Any] = {"evidence": [presentable(one) for one in evidence]}
    if "verdict" in answer:
        if answer["verdict"] not in CHANGES:
            raise wrong_answer(config, name, answer, f"verdict is one of {', '.join(CHANGES)}")
        because = answer.get("because")
        if not isinstance(because, str) or not because.strip():
            raise wrong_answer(config, name, answer, "because, a text, beside a changed verdict")
        checked |= {"verdict": str(answer["verdict"]), "because": presentable(because)}
    return checked


def objections(config: pytest.Config, configuration: Configuration) -> list[ConfigError]:
    """What users' hooks object to in a configuration."""
    name = "pytest_vdkprobe_configured"
    found: list[ConfigError] = []
    for answer in asked(config, name, configuration=configuration):
        problems = [answer] if isinstance(answer, ConfigError) else answer
        if not isinstance(problems, list | tuple) or not all(
            isinstance(problem, ConfigError) for problem in problems
        ):
            raise wrong_answer(config, name, answer, "None, or ConfigErrors in a list")
        found += [configuration.located(problem) for problem in problems]
    return found


def broken(config: pytest.Config, name: str, exc: BaseException) -> ProbeError:
    """What to say of a hook that raised something that is no finding."""
    whose, place = _culprit(config, name, exc)
    text = f"The hook {name} of {whose} broke: {in_short(exc)}."
    return ProbeError(text, to_try=f"correct it in {place or places(config, name)}")


def additions(config: pytest.Config, answers: list[object]) -> dict[str, Any]:
    """What hooks add to a report: plain data by name, as JSON can hold it."""
    added: dict[str, Any] = {}
    for answer in answers:
        name, expected = "pytest_vdkprobe_report", "None, or a mapping of names to plain data"
        if not isinstance(answer, Mapping) or not all(isinstance(key, str) for key in answer):
            raise wrong_answer(config, name, answer, expected)
        try:
            added |= json.loads(json.dumps(dict(answer), allow_nan=False))
        except (TypeError, ValueError) as exc:
            raise wrong_answer(config, name, answer, f"{expected}: {exc}") from exc
    return added
