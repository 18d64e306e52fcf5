"""`ci/try migrate`: from vdk-heartbeat's example ini to a green run, and on to a native file.

The ini is its own `heartbeat_config_example.ini` with the blanks filled for a sandbox: an address,
a token endpoint and a team. It runs as it is; then `vdkprobe migrate` writes the native file, and
that runs too. Both must be green.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_vdkprobe.sandbox.server import Sandbox

INI = """\
[DEFAULT]
# VDKCLI_OAUTH2_REFRESH_TOKEN= passed as environment variable
VDKCLI_OAUTH2_URI={token_url}

DATABASE_HOST=localhost
DATABASE_PORT=25003
DATABASE_USER=svc.taurus.dp

#DATABASE_PASS= passed as environment variable
DATABASE_AUTHENTICATION_MECHANISM=PLAIN
DATABASE_TEST_DB=taurus_testing_sandbox

#JOB_RUN_TEST_MODULE_NAME
#JOB_RUN_TEST_CLASS_NAME
CONTROL_API_URL={url}
JOB_TEAM={team}
"""


def main() -> int:
    """Run all of it, say how long each took; 0 if every part was green."""
    started = time.monotonic()
    with (
        Sandbox(executor="vdk", auth=True, tick_s=1.0) as sandbox,
        tempfile.TemporaryDirectory(prefix="vdkprobe-migrate-") as name,
    ):
        folder = Path(name)
        ini = INI.format(url=sandbox.url, token_url=sandbox.token_url, team=sandbox.team)
        (folder / "heartbeat.ini").write_text(ini, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        environ = os.environ | {
            "VDKCLI_OAUTH2_REFRESH_TOKEN": sandbox.tokens.api_token,
            # A minute of the sandbox's schedules lasts a second.
            "VDKPROBE_CONTROL__CRON_MINUTE_S": "1",
        }
        for command in (
            ("pytest", "--vdk-config=heartbeat.ini"),
            ("pytest_vdkprobe.cli.main", "migrate", "heartbeat.ini", "-o", "platform.toml"),
            ("pytest", "--vdk-config=platform.toml"),
        ):
            print(f"== {' '.join(command)}", flush=True)
            done = subprocess.run(
                [sys.executable, "-m", *command], cwd=folder, env=environ, check=False
            )
            if done.returncode:
                return done.returncode
            print(f"== green, {time.monotonic() - started:.0f} s since the start", flush=True)
        print((folder / "platform.toml").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
