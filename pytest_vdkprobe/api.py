"""The public names in one place: what a user's scenario or `conftest.py` may import."""

from __future__ import annotations

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
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.journeys.steps import StepRecord
from pytest_vdkprobe.secrets import Secret, redact
from pytest_vdkprobe.verdicts import Verdict
from pytest_vdkprobe.waiting import Deadline, wait_until

__all__ = [
    "ConfigError",
    "Configuration",
    "ControlClient",
    "ControlSettings",
    "DataJobSubject",
    "Deadline",
    "JobSettings",
    "NoEvidence",
    "PlatformFailure",
    "ProbeError",
    "Run",
    "Secret",
    "StepRecord",
    "Verdict",
    "WaitFailure",
    "redact",
    "wait_until",
]
