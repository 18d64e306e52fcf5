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
from pytest_vdkprobe.history import recorder as module
from pytest_vdkprobe.history.files import of_text
from pytest_vdkprobe.history.recorder import Recorder
from pytest_vdkprobe.store.address import Address

def ours():
    return {name for name in sys.modules if name.startswith("pytest_vdkprobe")}

module.PATIENCE_S = 60.0  # the machine may be busy
address = Address.parse(sys.argv[1], source="test")
models = [of_text("scenario/a.py", "1")]
recorder = Recorder(address, run_id="0123abcd", pipeline="p", keep=1)
recorder.start()
loaded = ours()
dead = '{"place": "0123456789ab", "pid": 1, "started": 1, "host": "h"}'
recorder.write("begin", holder=dead, abandon_after_s=600.0, versions={"python": "3.11"})
recorder.write("add", journey="a[b]", name="s", verdict="fail", duration_s=1.0, evidence="e",
               consists_of=models)
if sys.argv[2] == "whole":
    recorder.write("finish", good=True, verdict="pass", note="n", verdicts={"a[b]": "pass"},
                   accounts={"a[b]": {"sent": 1}}, versions={"python": "3.11"},
                   consists_of=[of_text("platform/control-service", "1")])
recorder.close()
assert recorder.trouble is None, recorder.trouble
print(sorted(ours() - loaded))
"""


def require_nothing_loaded(url: str) -> None:
    """Three runs: one makes the tables and is killed, one finds it, one removes what is old."""
    for how in ("killed", "whole", "whole"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, url, how],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_thread_loads_no_module_of_ours(tmp_path: Path) -> None:
    require_nothing_loaded(f"sqlite:///{tmp_path}/history.db")
