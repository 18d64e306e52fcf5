"""`--vdk-watch`: runs a supervisor where tests would run."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.config import Configuration
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys import answers
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.journeys.settings import RunSettings
from pytest_vdkprobe.metrics.catalogue import find
from pytest_vdkprobe.metrics.cells import Cells, read
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.observe.exposition import Exposition
from pytest_vdkprobe.observe.textfile import write_metrics
from pytest_vdkprobe.waiting import Deadline
from pytest_vdkprobe.watch.console import Console
from pytest_vdkprobe.watch.folder import folder_of, hold, state_folder
from pytest_vdkprobe.watch.member import Limits
from pytest_vdkprobe.watch.notices import Notice, Ping, Push
from pytest_vdkprobe.watch.process import ScenarioProcess
from pytest_vdkprobe.watch.server import MetricsServer
from pytest_vdkprobe.watch.settings import MetricsSettings, WatchSettings
from pytest_vdkprobe.watch.supervisor import Plan, Supervisor

HOOK = "pytest_vdkprobe_metrics"
CLOSING_S = 15.0
"""What the last ping, push, file and hook may take together, a group's removal included."""


class Watch:
    """Registered instead of everything that runs and reports tests: its children do."""

    def __init__(
        self,
        run: Run,
        config: pytest.Config,
        *,
        tables: dict[str, Any] | None,
        load: Callable[[], Configuration],
        watched: Path | None,
        duration_s: float | None,
        port: int,
        file: Path | None,
        gateway: str | None,
    ) -> None:
        if sys.platform == "win32":
            raise ConfigError("A watch needs a POSIX system: signals, locks and sockets of it.")
        self.config = config
        self.duration_s = duration_s
        self.watched = watched
        self.exit_code = 0
        self._load = load
        self._tables = tables
        self._run = run
        self._file = file
        self._gateway = gateway
        self._settings = run.configuration.section("watch", WatchSettings)
        self._exporting = run.configuration.section("metrics", MetricsSettings)
        self._state = self._make_state()
        hold(self._state / "lock", what="the state of this watch", patience_s=0.0)
        self._recorder = _recorder(self._state / "metrics")
        self._exposition = Exposition(self._recorder.cells.items, self._of_children)
        self._server = MetricsServer(self._exporting.address, port, self._exposition)
        self._supervisor: Supervisor | None = None
        self._notices: list[Notice] = []
        self._written_at = time.monotonic()

    def pytest_report_header(self) -> list[str]:
        """Where it is going on."""
        configuration = self._run.configuration
        address = self._exporting.address
        lines = [
            f"vdkprobe: watching {configuration.name} ({configuration.kind}), "
            + ("until it is stopped" if self.duration_s is None else f"{self.duration_s:g} s"),
            f"  metrics: http://{address}:{self._server.port}/metrics",
            f"  state:   {self._state}",
        ]
        lines += [f"  file:    {self._file}"] if self._file else []
        return lines + ([f"  pushed:  {self._gateway}"] if self._gateway else [])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        """Children collect."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Watch."""
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        console = Console(_line_writer(reporter))
        ping, written = self._begin_notices(console)
        self._supervisor = Supervisor(
            self._plan(self._run.configuration),
            launch=self._launch,
            load=lambda: self._plan(self._load()),
            watched=self.watched,
            duration_s=self.duration_s,
            recorder=self._recorder,
            console=console,
            round_ended=lambda good: ping("good" if good else "bad"),
            ready=self._server.serve,
            every=written,
        )
        try:
            self.exit_code = self._supervisor.run()
        finally:
            self._end(console)
        return True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """No test ran in this process, and that is as it should be."""
        yield
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = self.exit_code

    def _make_state(self) -> Path:
        configuration = self._run.configuration
        if configuration.kind != "sandbox" or self._settings.state_folder:
            return state_folder(self._settings.state_folder, configuration.name)
        # A sandbox is gone with its run, and so is what could be known of it.
        folder = Path(tempfile.mkdtemp(prefix="vdkprobe-watch-"))
        self.config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        return folder

    def _plan(self, configuration: Configuration) -> Plan:
        run = configuration.section("run", RunSettings)
        return Plan(
            configuration.section("watch", WatchSettings),
            Limits(run.timeout_s + run.cleanup_timeout_s, run.grace_s + 5.0),
            {"tables": self._tables, "died": []},
        )

    def _launch(self, scenario: str | None, told: Mapping[str, Any]) -> ScenarioProcess:
        return ScenarioProcess(
            scenario,
            args=[str(word) for word in self.config.invocation_params.args],
            cwd=self.config.invocation_params.dir,
            folder=folder_of(self._state, scenario or "scout"),
            told=dict(told),
        )

    def _of_children(self) -> dict[str, list[float]]:
        """What the scenarios' processes have recorded, living or not."""
        found: dict[str, list[float]] = {}
        for name in list(self._supervisor.members) if self._supervisor else ():
            found |= read(folder_of(self._state, name) / "metrics")
        return found

    def _begin_notices(
        self, console: Console
    ) -> tuple[Callable[[str], None], Callable[[float], None]]:
        """What to call after a round, and every now and then."""

        def notice(name: str, act: Callable[[Any], None]) -> Notice:
            failed = self._recorder.counter("vdkprobe_notices_failed_total", to=name)
            made = Notice(name, act, failed=failed, say=lambda text: console.say(text, red=True))
            self._notices.append(made)
            return made

        base_dir = self._run.configuration.base_dir
        pinging: Callable[[str], None] = lambda _occasion: None  # noqa: E731 - nobody to tell
        if self._settings.ping is not None:
            pinging = notice("ping", Ping(self._settings.ping, base_dir=base_dir)).tell
        writing = []
        if self._file is not None:
            file = self._file
            writing.append(notice("file", lambda _: write_metrics(file, self._exposition)))
        if self._gateway is not None:
            push = Push(self._gateway, self._exposition, self._exporting)
            writing.append(notice("pushgateway", push))
        if answers.implemented(self.config, HOOK):
            writing.append(notice("hook", lambda _: self._tell_hooks()))

        def written(now: float) -> None:
            if writing and now >= self._written_at + self._exporting.every_s:
                self._written_at = now
                for each in writing:
                    each.tell("now")

        return pinging, written

    def _tell_hooks(self) -> None:
        """Give users' hooks what is exported."""
        try:
            text = self._exposition.text().decode()
            self.config.hook.pytest_vdkprobe_metrics(config=self.config, text=text)
        except answers.BREAKS as exc:
            raise answers.broken(self.config, HOOK, exc) from exc

    def _end(self, console: Console) -> None:
        deadline = Deadline.after(CLOSING_S)
        for notice in self._notices:
            if notice.name != "ping":
                notice.tell("at the end")
        for notice in self._notices:
            notice.close(deadline.remaining_s())
        if self._gateway is not None and self._exporting.remove_at_end:
            push = Push(self._gateway, self._exposition, self._exporting)
            last = Notice(
                "removal from the pushgateway",
                push.remove,
                failed=self._recorder.counter("vdkprobe_notices_failed_total", to="pushgateway"),
                say=lambda text: console.say(text, red=True),
            )
            last.tell("at the end")
            last.close(deadline.remaining_s())
        if self._supervisor is not None and self._supervisor.members:
            console.closing(self._supervisor.members.values())
        self._server.close()
        self._recorder.cells.close()


def _recorder(path: Path) -> Recorder:
    """The supervisor's own series, all there from the start."""
    recorder = Recorder(Cells(path))
    recorder.declare(find("vdkprobe_reloads_total"))
    recorder.declare(find("vdkprobe_notices_failed_total"))
    recorder.cells.publish()
    return recorder


def _line_writer(reporter: Any) -> Callable[..., None]:
    if reporter is not None:
        reporter.ensure_newline()

        def write_line(text: str, **markup: bool) -> None:
            reporter.write_line(text, **markup)
            reporter._tw.flush()

        return write_line
    return lambda text, **_markup: print(text, flush=True)
