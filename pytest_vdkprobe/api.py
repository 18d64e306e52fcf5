"""The public names in one place: what a user's scenario or `conftest.py` may import."""

from __future__ import annotations

from pytest_vdkprobe.accounting.account import Account
from pytest_vdkprobe.accounting.profiles import Profile
from pytest_vdkprobe.config import Configuration
from pytest_vdkprobe.control.client import ControlClient
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.errors import (
    ConfigError,
    NoEvidence,
    PlatformFailure,
    ProbeError,
    WaitFailure,
)
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.journeys.data_job import DataJobSubject
from pytest_vdkprobe.journeys.endpoint_subject import EndpointTasks
from pytest_vdkprobe.journeys.route_job import RouteJob
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.journeys.steps import StepRecord
from pytest_vdkprobe.journeys.upgrade_subject import Upgrade
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.routes.kinds import register_reader, register_target
from pytest_vdkprobe.routes.passage import Passage
from pytest_vdkprobe.routes.route import Route
from pytest_vdkprobe.secrets import Secret, redact
from pytest_vdkprobe.verdicts import Verdict
from pytest_vdkprobe.waiting import Deadline, wait_until

__all__ = [
    "Account",
    "ConfigError",
    "Configuration",
    "ControlClient",
    "ControlSettings",
    "DataJobSubject",
    "Deadline",
    "EndpointTasks",
    "JobSettings",
    "NoEvidence",
    "Passage",
    "PlatformFailure",
    "ProbeError",
    "Profile",
    "Recorder",
    "Route",
    "RouteJob",
    "Run",
    "Secret",
    "StepRecord",
    "Upgrade",
    "Verdict",
    "WaitFailure",
    "redact",
    "register_reader",
    "register_target",
    "wait_until",
]
