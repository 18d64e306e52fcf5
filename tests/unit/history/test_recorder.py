"""The thread that writes a run down loads none of our modules.

pytest rewrites a plugin's modules while they are loaded, and two threads that parse at once break
Python 3.11: a failure that is shown meanwhile would become an internal error of pytest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pytest_vdkprobe.history.recorder import Recorder
from pytest_vdkprobe.store.address import Address

def ours():
    return {name for name in sys.modules if name.startswith("pytest_vdkprobe")}

address = Address.parse(sys.argv[1], source="test")
recorder = Recorder(address, run_id="0123abcd", pipeline="p", keep=2)
recorder.start()
loaded = ours()
recorder.write("begin", holder="", abandon_after_s=1.0, versions={})
recorder.write("add", journey="a[b]", name="s", verdict="pass", duration_s=1.0, evidence="",
               consists_of=())
recorder.write("finish", good=True, verdict="pass", note="", verdicts={"a[b]": "pass"},
               accounts={}, versions={}, consists_of=())
recorder.close()
assert recorder.trouble is None, recorder.trouble
print(sorted(ours() - loaded))
"""


def test_the_thread_loads_no_module_of_ours(tmp_path: Path) -> None:
    for _ in ("makes the tables", "finds them, and a run before it"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, f"sqlite:///{tmp_path}/history.db"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
