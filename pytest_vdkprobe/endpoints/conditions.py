"""What an answer must be like: its status, time, headers and body; each told when it is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.control.errors import excerpt, status_line

if TYPE_CHECKING:
    from pytest_vdkprobe.control.transport import Answer

ABSENT = "nothing there"


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that is set must hold."""

    status: tuple[int, ...] = ()
    """Which are good; none named: 200 to 299."""
    within_s: float | None = None
    """An answer that takes longer than this from its slot on is a failure."""
    headers: dict[str, str] = {}
    """By name, a regular expression that is found in the value."""
    body: str | None = None
    """A regular expression that is found in the body."""
    json: dict[str, Any] = {}
    """By JSONPath (RFC 9535), the value that one of the nodes has."""
    json_matches: dict[str, str] = {}
    """By JSONPath, a regular expression that is found in one of the nodes as text."""

    def __post_init__(self) -> None:
        if self.within_s is not None and not 0 < self.within_s < float("inf"):
            raise ValueError("expect.within_s: must be more than 0 seconds")
        patterns = {f"headers.{name}": text for name, text in self.headers.items()}
        patterns |= {f"json_matches.{path}": text for path, text in self.json_matches.items()}
        if self.body is not None:
            patterns["body"] = self.body
        for key, text in patterns.items():
            try:
                re.compile(text)
            except re.error as exc:
                raise ValueError(
                    f"expect.{key.partition('.')[0]}: no regular expression: {exc}; it is {text!r}"
                ) from None
        for field in ("json", "json_matches"):
            for path in getattr(self, field):
                _check_path(field, path)

    def objections(self, answer: Answer, *, took_s: float) -> list[str]:
        """What is wrong with the answer, a text for each condition; none when it is good."""
        good = self.status or range(200, 300)
        if answer.status not in good:
            # What a refusal's body looks like is nobody's condition.
            said = excerpt(answer.body, 120)
            return [status_line(answer.status) + (f": {said}" if said else "")]
        found = []
        if self.within_s is not None and took_s > self.within_s:
            found.append(f"took {took_s:.3f} s, more than {self.within_s:g} s")
        for name, pattern in self.headers.items():
            value = answer.headers.get(name.lower())
            if value is None or not re.search(pattern, value):
                shown = ABSENT if value is None else repr(excerpt(value.encode(), 80))
                found.append(f"header {name} is {shown}, and not like {pattern!r}")
        if self.body is not None:
            text = answer.body.decode("utf-8", "replace")
            if not re.search(self.body, text):
                found.append(f"body {excerpt(answer.body, 80)!r} is not like {self.body!r}")
        return found + self._of_json(answer)

    def _of_json(self, answer: Answer) -> list[str]:
        if not self.json and not self.json_matches:
            return []
        try:
            document = msgspec.json.decode(answer.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return [f"body {excerpt(answer.body, 80)!r} is not JSON"]
        found = []
        for path, wanted in self.json.items():
            nodes = _nodes(path, document)
            if not any(type(node) is type(wanted) and node == wanted for node in nodes):
                found.append(f"{path} is {_shown(nodes)}, and not {wanted!r}")
        for path, pattern in self.json_matches.items():
            nodes = _nodes(path, document)
            if not any(re.search(pattern, _text(node)) for node in nodes):
                found.append(f"{path} is {_shown(nodes)}, and not like {pattern!r}")
        return found


def _check_path(field: str, path: str) -> None:
    import jsonpath  # noqa: PLC0415 - only who has such a condition loads it

    try:
        jsonpath.compile(path)
    except jsonpath.JSONPathError as exc:
        why = str(exc).partition("\n")[0]
        raise ValueError(f"expect.{field}: no JSONPath: {why}; it is {path!r}") from None


def _nodes(path: str, document: Any) -> list[object]:
    import jsonpath  # noqa: PLC0415 - as above; it keeps what it has compiled

    return jsonpath.findall(path, document)


def _shown(nodes: list[object]) -> str:
    if not nodes:
        return ABSENT
    return excerpt(", ".join(map(repr, nodes[:3])).encode(), 80)


def _text(node: object) -> str:
    return node if isinstance(node, str) else msgspec.json.encode(node).decode()
