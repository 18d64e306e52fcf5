"""The `[run]` section: how long things may take, and where a run keeps what it writes down."""

from __future__ import annotations

import msgspec

from pytest_vdkprobe.config.filepath import FilePath


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits and folders of one run. All limits are in seconds."""

    timeout_s: float = 1800.0
    """One deadline over the whole run; steps that it leaves no time for are `unknown`."""
    step_timeout_s: float = 300.0
    """What a step may take, unless `limits` names it."""
    limits: dict[str, float] = {}
    """Limits of single steps by their name, e.g. `{ deploy = 900 }`."""
    cleanup_timeout_s: float = 120.0
    """What a cleanup step, or the cleanup after a journey, may take; the run's deadline or not."""
    grace_s: float = 60.0
    """After SIGINT or SIGTERM, what the cleanup may take before the process ends regardless."""
    lease_folder: FilePath | None = None
    """Where leases are kept; default: `vdkprobe/leases` in the user's state folder."""
    lease_ttl_s: float = 7200.0
    """After this a lease that nobody renewed counts as a dead run's, on whatever host."""
    report_folder: FilePath | None = None
    """Where the requests and answers of failing steps go; default: beside `--vdk-report`."""
