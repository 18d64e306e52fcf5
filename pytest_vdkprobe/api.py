"""The public names in one place: what a user's scenario or `conftest.py` may import."""

from __future__ import annotations

from pytest_vdkprobe.accounting.account import Account
from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.profiles import Profile
from pytest_vdkprobe.accounting.stream import Arrival, StreamObserver
from pytest_vdkprobe.config import Configuration, load
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.config.sections import register_section
from pytest_vdkprobe.control.auth import Auth, PostForm
from pytest_vdkprobe.control.client import ControlClient
from pytest_vdkprobe.control.settings import ControlSettings, register_auth
from pytest_vdkprobe.errors import (
    ConfigError,
    Finding,
    NoEvidence,
    PlatformFailure,
    ProbeError,
    WaitFailure,
)
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.jobs.template import JobTemplate, register_template
from pytest_vdkprobe.journeys.data_job import DataJobSubject
from pytest_vdkprobe.journeys.endpoint_subject import EndpointTasks
from pytest_vdkprobe.journeys.event_subject import Events
from pytest_vdkprobe.journeys.route_job import RouteJob
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.journeys.run_test_subject import JobRunTest
from pytest_vdkprobe.journeys.sandbox_subject import RunningSandbox
from pytest_vdkprobe.journeys.steps import StepRecord
from pytest_vdkprobe.journeys.table_subject import TablesSubject
from pytest_vdkprobe.journeys.upgrade_subject import Upgrade
from pytest_vdkprobe.kinds import Kinds
from pytest_vdkprobe.leases import Lease, LeaseStore
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.pipelines.account import PipelineAccount
from pytest_vdkprobe.pipelines.pipeline import Pipeline
from pytest_vdkprobe.pipelines.settings import Interruption
from pytest_vdkprobe.readers.reader import Reader
from pytest_vdkprobe.records import ColumnType, Record, wire_json
from pytest_vdkprobe.routes.kinds import register_reader, register_target
from pytest_vdkprobe.routes.passage import Passage
from pytest_vdkprobe.routes.route import Route
from pytest_vdkprobe.secrets import Secret, redact
from pytest_vdkprobe.targets.target import Target
from pytest_vdkprobe.verdicts import Verdict
from pytest_vdkprobe.waiting import Deadline, Pace, wait_until

__all__ = [
    "Account",
    "Arrival",
    "Auth",
    "ColumnType",
    "ConfigError",
    "Configuration",
    "ControlClient",
    "ControlSettings",
    "DataJobSubject",
    "Deadline",
    "EndpointTasks",
    "Events",
    "Expectation",
    "Finding",
    "Interruption",
    "JobRunTest",
    "JobSettings",
    "JobTemplate",
    "Kinds",
    "Lease",
    "LeaseStore",
    "Ledger",
    "NoEvidence",
    "Observation",
    "Outcome",
    "Pace",
    "Passage",
    "Pipeline",
    "PipelineAccount",
    "PlatformFailure",
    "PostForm",
    "ProbeError",
    "Profile",
    "Reader",
    "Record",
    "Recorder",
    "Route",
    "RouteJob",
    "Run",
    "RunningSandbox",
    "Secret",
    "SecretRef",
    "SendResult",
    "StepRecord",
    "StreamObserver",
    "TablesSubject",
    "Target",
    "Upgrade",
    "Verdict",
    "WaitFailure",
    "load",
    "redact",
    "register_auth",
    "register_reader",
    "register_section",
    "register_target",
    "register_template",
    "wait_until",
    "wire_json",
]
