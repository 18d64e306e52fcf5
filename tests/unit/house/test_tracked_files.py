"""No tracked file knows the machine it was written on, or where packages come from."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.unit.house.sources import ROOT

FORBIDDEN = {
    # Each is spelled so that it does not find itself.
    "a folder outside the checkout": r"\.\./share[d]\b|/work/(?:main|share[d])\b",
    "a path of one machine": r"/roo[t]/|/opt/wheel[s]|/tmp/(?:ven[v]|brie[f]|bash_job[s])",
    "a package registry": (
        r"pypi[.]org|pythonhosted[.]org|repo1?[.]maven|maven[.]apache[.]org/maven2|npmjs[.]org"
    ),
}


def tracked() -> list[str]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    answer = subprocess.run(
        [git, "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    return [name for name in answer.stdout.split("\0") if name]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_mentions(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for name in tracked():
        path = ROOT / name
        if not path.is_file():  # deleted, not yet committed
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [
            f"{name}:{number}: {match.group()}"
            for number, line in enumerate(text.splitlines(), 1)
            if (match := pattern.search(line))
        ]
    assert not found, "\n".join(found)
