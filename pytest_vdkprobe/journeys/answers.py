"""What users' hooks answer: checked, copied, and never believed in silence.

A hook runs in the middle of judging a platform. One that breaks or answers nonsense must not hide
what was found before it, and one that changes a verdict leaves a trace that every report shows.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_vdkprobe.config.registry import place_of
from pytest_vdkprobe.errors import ConfigError, Finding, ProbeError
from pytest_vdkprobe.journeys.texts import presentable
from pytest_vdkprobe.verdicts import Verdict

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
    found = [place_of(impl.function) for impl in getattr(config.hook, name).get_hookimpls()]
    return " or ".join(found)


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
        problem = exc if isinstance(exc, ConfigError) else None
        what = problem.what if problem else f"The hook {name} broke: {type(exc).__name__}: {exc}"
        lines = [("To try", f"correct it in {places(config, name)}")]
        lines = problem.lines() if problem else lines
        if data["verdict"] == Verdict.PASS:
            data |= {"verdict": str(Verdict.ERROR), "what": presentable(what), "ours": True}
            data["lines"] = [[label, presentable(text)] for label, text in lines]
        else:
            told = "; ".join([what, *(text for _, text in lines)])
            data["lines"].append(["Note", presentable(told)])
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


def problems_told(config: pytest.Config, answers: list[object]) -> list[ConfigError]:
    """What hooks object to in a configuration."""
    found: list[ConfigError] = []
    for answer in answers:
        problems = [answer] if isinstance(answer, ConfigError) else answer
        if not isinstance(problems, list | tuple) or not all(
            isinstance(problem, ConfigError) for problem in problems
        ):
            expected = "None, or ConfigErrors in a list"
            raise wrong_answer(config, "pytest_vdkprobe_configured", answer, expected)
        found += problems
    return found


def broken(config: pytest.Config, name: str, exc: BaseException) -> ProbeError:
    """What to say of a hook that raised something that is no finding."""
    text = f"The hook {name} broke: {type(exc).__name__}: {exc}."
    return ProbeError(text, to_try=f"correct it in {places(config, name)}")


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
