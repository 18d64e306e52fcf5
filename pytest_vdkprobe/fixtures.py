"""The public fixtures: each short, each replaceable in a `conftest.py`.

The chain runs value -> factory -> thing: `vdk_configuration` -> `vdk_control_settings` ->
`vdk_http`, `vdk_auth` -> `vdk_control` -> `vdk_job`. Override the link that you want to change; the
later ones follow. So it is for a job, `vdk_load_template` -> `vdk_job`, and for a route,
`vdk_make_target`, `vdk_make_reader`, `vdk_make_ledger`, `vdk_ledger_folder` -> `vdk_route`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_vdkprobe.journeys.run import RUN_KEY, Run
from pytest_vdkprobe.waiting import Pace

if TYPE_CHECKING:
    from pathlib import Path

    import requests

    from pytest_vdkprobe.accounting.ledger import Ledger
    from pytest_vdkprobe.accounting.profiles import Profile
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.control.auth import Auth
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.control.settings import ControlSettings
    from pytest_vdkprobe.history.runs import PastJourney
    from pytest_vdkprobe.jobs.template import JobTemplate
    from pytest_vdkprobe.journeys.data_job import DataJobSubject
    from pytest_vdkprobe.journeys.endpoint_subject import EndpointTasks
    from pytest_vdkprobe.journeys.event_subject import Events
    from pytest_vdkprobe.journeys.route_job import RouteJob
    from pytest_vdkprobe.journeys.run_test_subject import JobRunTest
    from pytest_vdkprobe.journeys.sandbox_subject import RunningSandbox
    from pytest_vdkprobe.journeys.table_subject import TablesSubject
    from pytest_vdkprobe.journeys.upgrade_subject import Upgrade
    from pytest_vdkprobe.metrics.recorder import Recorder
    from pytest_vdkprobe.pipelines.pipeline import Pipeline
    from pytest_vdkprobe.pipelines.settings import Interruption
    from pytest_vdkprobe.readers.reader import Reader
    from pytest_vdkprobe.routes.route import Route
    from pytest_vdkprobe.targets.target import Target


@pytest.fixture(scope="session")
def vdk_run(pytestconfig: pytest.Config) -> Run:
    """This run: its id, configuration, deadline and leases.

    Session scope; free of charge. xdist's workers share the controller's run id. Not meant to be
    overridden.
    """
    return pytestconfig.stash[RUN_KEY]


@pytest.fixture(scope="session")
def vdk_configuration(vdk_run: Run) -> Configuration:
    """The configuration as it was loaded, with the source of each setting.

    Session scope: it never changes within a run. Override it to compute settings in Python: every
    later link follows. What is collected, names and profiles, is as it was loaded.
    """
    return vdk_run.configuration


@pytest.fixture(scope="session")
def vdk_metrics(vdk_run: Run) -> Recorder:
    """Where a scenario records what it counts and measures: the metrics of docs/reference.

    Session scope; free of charge. What is recorded is exported where that was asked for, and lost
    otherwise. Not meant to be overridden.
    """
    return vdk_run.metrics


@pytest.fixture(scope="session")
def vdk_sandbox(vdk_run: Run) -> RunningSandbox:
    """The run's own sandbox: `url`, `team`, and `with vdk_sandbox.fault("logs-empty"):`.

    Session scope: one for all processes of the run. It starts none: with a configuration other than
    `sandbox`, asking for it is a ConfigError. Override it to say which platform is made wrong, how.
    """
    from pytest_vdkprobe.journeys.sandbox_subject import running_sandbox  # noqa: PLC0415 - if wanted

    return running_sandbox(vdk_run)


@pytest.fixture(scope="session")
def vdk_control_settings(vdk_configuration: Configuration) -> ControlSettings:
    """The `[control]` section, typed and validated.

    Session scope. Override it with `msgspec.structs.replace(vdk_control_settings, ...)`.
    """
    from pytest_vdkprobe.control.settings import ControlSettings  # noqa: PLC0415 - inert unless used

    return vdk_configuration.section("control", ControlSettings)


@pytest.fixture(scope="session")
def vdk_http() -> Iterator[requests.Session]:
    """The HTTP session under the Control Service client: add headers or an adapter to it.

    Session scope: connections are kept alive between steps.
    """
    from pytest_vdkprobe.control.transport import new_session  # noqa: PLC0415 - loads requests

    with new_session() as session:
        yield session


@pytest.fixture(scope="session")
def vdk_auth(vdk_control_settings: ControlSettings, vdk_configuration: Configuration) -> Auth:
    """How calls are authorised, as `control.auth` says.

    Session scope: tokens are kept in memory for the run and nowhere else. Override it with any
    object that has `kind` and `authorize(...)` to log in another way.
    """
    from pytest_vdkprobe.control.auth import make_auth  # noqa: PLC0415 - inert unless used

    return make_auth(vdk_control_settings.auth, base_dir=vdk_configuration.base_dir)


@pytest.fixture(scope="session")
def vdk_control(
    vdk_control_settings: ControlSettings,
    vdk_http: requests.Session,
    vdk_auth: Auth,
    vdk_run: Run,
) -> Iterator[ControlClient]:
    """The Control Service client, bounded by the running step's deadline.

    Session scope: one login and one set of connections a process. Closed at the end. What killed
    runs have left on this platform is removed first, by their leases.
    """
    from pytest_vdkprobe.control.client import ControlClient  # noqa: PLC0415 - loads requests
    from pytest_vdkprobe.journeys.cleanup import sweep_before  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.renewing import Renewer  # noqa: PLC0415 - inert unless used

    with (
        ControlClient(
            vdk_control_settings, vdk_auth, session=vdk_http, op_id_prefix=vdk_run.run_id
        ) as client,
        Renewer(vdk_run.leases),
    ):
        vdk_run.swept += sweep_before(vdk_run, client)
        yield client


@pytest.fixture(scope="session")
def vdk_history(pytestconfig: pytest.Config, vdk_run: Run) -> Mapping[str, PastJourney]:
    """What is remembered: of each journey, by its id, the last run in which it was good.

    Session scope: one look, before this run is written down. Empty where no history is kept
    (`--vdk-history=off`). Override it to compare with something else.
    """
    from pytest_vdkprobe.observe.history import good_journeys  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.remembering import HISTORY_KEY  # noqa: PLC0415 - as above

    address = pytestconfig.stash.get(HISTORY_KEY, None)
    return {} if address is None else good_journeys(address, vdk_run)


@pytest.fixture(scope="session")
def vdk_wait_policy() -> Pace:
    """How often waits look: soon at first, then ever less, at last every 5 s.

    Session scope. Override it with another `Pace`, for a platform that should be asked less often;
    how long a wait may take is said by the limits of its step.
    """
    return Pace()


@pytest.fixture(scope="session")
def vdk_load_template() -> Callable[..., JobTemplate]:
    """What loads a job's folder: called as jobs.template.load_template, returns a JobTemplate.

    Session scope. Override it to change every job on its way to the platform: wrap this one, and
    `msgspec.structs.replace` its `files`, say.
    """
    from pytest_vdkprobe.jobs.template import load_template  # noqa: PLC0415 - inert unless used

    return load_template


@pytest.fixture(scope="session")
def vdk_make_target() -> Callable[..., Target]:
    """What makes a route's target: called with its kind, its settings, `leases` and `base_dir`.

    Session scope. Override it to wrap every target, or to make another in its place.
    """
    from pytest_vdkprobe.routes.kinds import make_end  # noqa: PLC0415 - inert unless used

    return make_end


@pytest.fixture(scope="session")
def vdk_make_reader() -> Callable[..., Reader]:
    """What makes a route's reader; as `vdk_make_target`."""
    from pytest_vdkprobe.routes.kinds import make_end  # noqa: PLC0415 - inert unless used

    return make_end


@pytest.fixture(scope="session")
def vdk_make_ledger() -> Callable[..., Ledger]:
    """What makes the ledger of a route's passage: called as `api.Ledger.create`.

    Session scope. Override it to keep your own, a subclass say, which also tells somebody else.
    """
    from pytest_vdkprobe.accounting.ledger import Ledger  # noqa: PLC0415 - inert unless used

    return Ledger.create


@pytest.fixture(scope="session")
def vdk_ledger_folder(vdk_run: Run) -> Path:
    """Where ledgers lie, which say of each record what its sender was told.

    Session scope. Default: `run.report_folder`. Override it to keep them elsewhere.
    """
    return vdk_run.report_folder


@pytest.fixture(scope="module")
def vdk_job(
    vdk_subject: str,
    vdk_control: ControlClient,
    vdk_run: Run,
    vdk_load_template: Callable[..., JobTemplate],
) -> Iterator[DataJobSubject]:
    """The configured data job of this journey, removed at the end whatever happened.

    Module scope: one for each journey. Its cleanup has its own time limit (`run.cleanup_timeout_s`)
    and its own report; it never changes the verdict of a step.
    """
    from pytest_vdkprobe.journeys.data_job import open_subject  # noqa: PLC0415 - inert unless used

    with open_subject(vdk_subject, vdk_control, vdk_run, load=vdk_load_template) as subject:
        yield subject


@pytest.fixture(scope="module")
def vdk_run_test(vdk_job: DataJobSubject, vdk_run: Run) -> Iterator[JobRunTest]:
    """The run test of vdk-heartbeat's kind that the job's entry names: `prepare`, `verify` ...

    Module scope: one instance for each journey. Only steps with `if_set="run_test"` ask for it.
    """
    from pytest_vdkprobe.journeys.run_test_subject import open_run_test  # noqa: PLC0415 - if wanted

    with open_run_test(vdk_job, vdk_run) as run_test:
        yield run_test


@pytest.fixture(scope="module")
def vdk_route(
    vdk_subject: str,
    vdk_run: Run,
    *,
    vdk_configuration: Configuration,
    vdk_make_target: Callable[..., Target],
    vdk_make_reader: Callable[..., Reader],
    vdk_make_ledger: Callable[..., Ledger],
    vdk_ledger_folder: Path,
) -> Iterator[Route]:
    """The configured route of this journey: `send(profile)`, `reconcile(passage)`, `allowed`.

    Module scope: one for each journey; each profile has its own table, topic or file. What it
    created is removed at the end whatever happened, and a run that was killed leaves leases by
    which the next one removes it.
    """
    from pytest_vdkprobe.journeys.route_subject import open_route  # noqa: PLC0415 - if wanted

    with open_route(
        vdk_subject,
        vdk_run,
        configuration=vdk_configuration,
        folder=vdk_ledger_folder,
        make={"target": vdk_make_target, "reader": vdk_make_reader},
        make_ledger=vdk_make_ledger,
    ) as route:
        yield route


@pytest.fixture(scope="module")
def vdk_upgrade(vdk_subject: str, vdk_control: ControlClient, vdk_run: Run) -> Upgrade:
    """A look at the platform around an upgrade: `look()`, then `keep()` or `compare(aspect)`.

    Module scope: one look for each journey. It reads and creates nothing.
    """
    from pytest_vdkprobe.journeys.upgrade_subject import Upgrade  # noqa: PLC0415 - if wanted

    return Upgrade(vdk_control, vdk_run, vdk_subject)


@pytest.fixture(scope="module")
def vdk_events(vdk_subject: str, vdk_run: Run) -> Iterator[Events]:
    """The configured event pipeline of this journey: `connect()`, `round()`, `require(round)`.

    Module scope; in a watch it lasts from round to round, and goes on between them.
    """
    from pytest_vdkprobe.journeys.event_subject import open_events  # noqa: PLC0415 - if wanted

    with open_events(vdk_subject, vdk_run) as events:
        yield events


@pytest.fixture(scope="module")
def vdk_endpoint(vdk_subject: str, vdk_run: Run) -> Iterator[EndpointTasks]:
    """The configured endpoint of this journey: `reach()`, and `round()`, which makes its tasks.

    Module scope; one set of connections for each call under way, and one login for all of them.
    """
    from pytest_vdkprobe.journeys.endpoint_subject import open_endpoint  # noqa: PLC0415 - if wanted

    with open_endpoint(vdk_subject, vdk_run) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def vdk_route_job(vdk_route: Route, vdk_control: ControlClient, vdk_run: Run) -> Iterator[RouteJob]:
    """The data job that sends a route's records: `prepare()`, then `vdk_route.send(..., by=...)`.

    Module scope: one for each route that has the way `job`. It is created when it is prepared, and
    deleted with what the route's passages created.
    """
    from pytest_vdkprobe.journeys.route_subject import open_job  # noqa: PLC0415 - if wanted

    with open_job(vdk_route, vdk_control, vdk_run) as job:
        yield job


@pytest.fixture(scope="module")
def vdk_tables(
    vdk_subject: str, vdk_run: Run, request: pytest.FixtureRequest
) -> Iterator[TablesSubject]:
    """The tables of this journey, and the data job that fills them and moves their rows.

    Module scope: one for each journey. The job needs `vdk_control`; without a job it is not opened.
    Tables and job are removed at the end whatever happened, and a run that was killed leaves leases
    by which the next one removes them.
    """
    from pytest_vdkprobe.journeys.table_subject import by_job, open_tables  # noqa: PLC0415 - if wanted

    client = None
    if by_job(vdk_subject, vdk_run):
        client = request.getfixturevalue("vdk_control")
    with open_tables(vdk_subject, vdk_run, client) as subject:
        yield subject


@pytest.fixture
def vdk_move(request: pytest.FixtureRequest) -> str:
    """A way of moving rows from table to table: each of the entry's `moves` is a step.

    Function scope; parametrized by the configuration.
    """
    return str(request.param)


@pytest.fixture
def vdk_profile(request: pytest.FixtureRequest) -> Profile:
    """A payload profile: what is sent through the route. Each of `routes.profiles` is a step.

    Function scope; parametrized by the configuration.
    """
    from pytest_vdkprobe.accounting.profiles import profile  # noqa: PLC0415 - inert unless used

    return profile(request.param)


@pytest.fixture(scope="module")
def vdk_pipeline(vdk_subject: str, vdk_run: Run) -> Iterator[Pipeline]:
    """The configured pipeline of this journey: `configure()`, `example()`, `start()`, `flow(...)`,
    `stop()`.

    Module scope: one for each journey, with a schema, topics and a group of its own, and websites
    that the probe serves itself. Processes are ended and all is removed whatever happened. One that
    runs already (`settings.running`) is lent the websites only, and has no `example()`.
    """
    from pytest_vdkprobe.journeys.pipeline_subject import open_pipeline  # noqa: PLC0415 - if wanted

    with open_pipeline(vdk_subject, vdk_run) as pipeline:
        yield pipeline


@pytest.fixture
def vdk_interruption(request: pytest.FixtureRequest) -> Interruption:
    """What happens to a pipeline while its checks are accounted for; each is a step.

    Function scope; parametrized by `pipelines.interruptions`.
    """
    interruption: Interruption = request.param
    return interruption
