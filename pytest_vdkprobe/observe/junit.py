"""The last touch to pytest's JUnit file: `<error type="unknown">`, and names and messages as meant.

pytest writes every error as `failed on setup with "..."` and knows no type of error. What tells
`unknown` from `error` is in the file already, as the property `verdict`; this puts it where the
readers of JUnit files look.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PADDING = 'failed on setup with "'


def finish_junit(path: Path) -> None:
    """Rewrite the file in place, where it has cases of ours. Raises OSError."""
    from xml.etree import ElementTree  # noqa: PLC0415 - only when a JUnit file was asked for

    from pytest_vdkprobe.durable import write_durably  # noqa: PLC0415 - as above

    if not path.is_file():
        # Not written, or a pipe or a device, which can't be read back.
        return
    try:
        tree = ElementTree.parse(path)  # noqa: S314 - pytest has just written it
    except ElementTree.ParseError:
        return
    changed = [_finish_case(case) for case in tree.iter("testcase")]
    if any(changed):
        declaration = '<?xml version="1.0" encoding="utf-8"?>'
        mode = path.stat().st_mode
        text = declaration + ElementTree.tostring(tree.getroot(), "unicode")
        write_durably(path, text.encode())
        path.chmod(mode)


def _finish_case(case: Element) -> bool:
    properties = {p.get("name"): p.get("value") for p in case.iterfind("properties/property")}
    if "verdict" not in properties:
        return False
    journey, bracket, step = case.get("name", "").partition("]::")
    if bracket:
        # Before pytest 9.2 everything from the bracket on counted as a parameter of the name.
        case.set("classname", f"{journey}]")
        case.set("name", step)
    for error in case.iterfind("error"):
        message = error.get("message", "")
        if message.startswith(PADDING):
            error.set("message", message.removeprefix(PADDING).removesuffix('"'))
        if properties["verdict"] == "unknown" and "cleanup_verdict" not in properties:
            error.set("type", "unknown")
    return True
