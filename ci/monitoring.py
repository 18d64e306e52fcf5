"""A local stack around a watch: Prometheus that scrapes it, and Grafana where that is installed.

    python -m ci.monitoring [--prometheus-port 9090] [--watch-port 8000] [PYTEST-ARGUMENT...]

Runs `pytest --vdk-watch` with the arguments (default: events, endpoints and a heartbeat on a
sandbox), and beside it Prometheus with the alert rules of ci/alerts, and Grafana with the
dashboards of ci/dashboards. All of it ends with the watch, or on Ctrl-C; what it wrote lies in
build/stack.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from pytest_vdkprobe.waiting import Deadline, wait_until

ROOT = Path(__file__).resolve().parents[1]
DASHBOARDS = ROOT / "ci" / "dashboards"
RULES = ROOT / "ci" / "alerts" / "vdkprobe.yml"
START_S = 60.0
SANDBOX = (
    "--vdk-config=sandbox",
    "--vdk-set=sandbox.executor=instant",
    "--vdk-set=watch.interval_s=15",
    "--vdk-scenarios=heartbeat,events,endpoints",
    "--vdk-quick",
)


def tools() -> Path:
    """The folder of prometheus, promtool and prometheus-pushgateway, fetched if need be."""
    done = subprocess.run([ROOT / "ci" / "prometheus"], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit("ci/prometheus could not provide Prometheus: see above")
    return Path(done.stdout.decode().strip())


class Server:
    """A program of the stack: started, waited for, ended."""

    def __init__(
        self, command: list[str], *, ready: str, log: Path, env: dict[str, str] | None = None
    ) -> None:
        self.command, self.ready, self.log = command, ready, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
            )

    def __enter__(self) -> Self:
        def answers() -> bool:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.command[0]} ended:\n{self.log.read_text()[-2000:]}")
            with suppress(OSError), urllib.request.urlopen(self.ready, timeout=5):
                return True
            return False

        try:
            deadline = Deadline.after(START_S)
            wait_until(f"{self.ready}", answers, done=bool, deadline=deadline, longest_pause_s=0.2)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Prometheus(Server):
    """Prometheus that scrapes these addresses, with our alert rules."""

    def __init__(self, folder: Path, *, port: int, targets: list[str], every: str = "15s") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        configuration = {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "vdkprobe", "static_configs": [{"targets": targets}]}],
        }
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(configuration, indent=2))
        super().__init__(
            [
                str(tools() / "prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            ready=f"{self.url}/-/ready",
            log=folder / "prometheus.log",
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that a query gives now. Raises HTTPError for one that can't be parsed."""
        data = urllib.parse.urlencode({"query": expression}).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/query", data=data, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


def grafana(folder: Path, prometheus: str) -> Server | None:
    """Grafana with the dashboards and Prometheus in it; None where it is not installed."""
    program = shutil.which("grafana-server") or shutil.which("grafana")
    if program is None:
        print("grafana is not on PATH: the dashboards of ci/dashboards can be imported by hand")
        return None
    sources, boards = folder / "provisioning/datasources", folder / "provisioning/dashboards"
    for place in (sources, boards):
        place.mkdir(parents=True, exist_ok=True)
    source = {"name": "Prometheus", "type": "prometheus", "url": prometheus, "isDefault": True}
    (sources / "prometheus.yml").write_text(json.dumps({"apiVersion": 1, "datasources": [source]}))
    provider = {"name": "vdkprobe", "type": "file", "options": {"path": str(DASHBOARDS)}}
    (boards / "vdkprobe.yml").write_text(json.dumps({"apiVersion": 1, "providers": [provider]}))
    home = Path(os.environ.get("GRAFANA_HOME", "/usr/share/grafana"))
    env = os.environ | {
        "GF_PATHS_DATA": str(folder / "data"),
        "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": "3000",
    }
    command = [program, *(["server"] if program.endswith("grafana") else [])]
    return Server(
        [*command, f"--homepath={home}"],
        ready="http://127.0.0.1:3000/api/health",
        log=folder / "grafana.log",
        env=env,
    )


def main() -> int:
    """Run the stack until the watch ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prometheus-port", type=int, default=9090)
    parser.add_argument("--watch-port", type=int, default=8000)
    known, rest = parser.parse_known_args()
    folder = ROOT / "build" / "stack"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    arguments = [word for word in rest if word != "--"] or [*SANDBOX, "--vdk-watch"]
    if not any(word.startswith("--vdk-watch") for word in arguments):
        arguments.insert(0, "--vdk-watch=forever")
    with ExitStack() as stack:
        target = f"127.0.0.1:{known.watch_port}"
        prometheus = Prometheus(
            folder / "prometheus", port=known.prometheus_port, targets=[target], every="5s"
        )
        stack.enter_context(prometheus)
        board = grafana(folder / "grafana", prometheus.url)
        if board is not None:
            stack.enter_context(board)
            print("grafana:    http://127.0.0.1:3000 (admin, admin)")
        print(f"prometheus: {prometheus.url}/alerts")
        print(f"metrics:    http://{target}/metrics", flush=True)
        watch = subprocess.Popen(
            [sys.executable, "-m", "pytest", f"--vdk-metrics-port={known.watch_port}", *arguments],
            cwd=folder if arguments[0] in SANDBOX else Path.cwd(),
        )
        # Ctrl-C goes to the watch as well, and a plain SIGTERM does by us.
        signal.signal(signal.SIGTERM, lambda *_: watch.terminate())
        while True:
            with suppress(KeyboardInterrupt):
                return watch.wait()


if __name__ == "__main__":
    raise SystemExit(main())
