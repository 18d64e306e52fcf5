"""What a sandbox can be told: every knob, with the real service's own value as its default.

Times are the exception: the real service takes seconds to start a job and minutes to build one,
the sandbox does both at once unless a test wants the window in between.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

RUNNING_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def known_pythons() -> tuple[str, ...]:
    """3.9 to 3.13, and the interpreter that runs the sandbox."""
    known = {"3.9", "3.10", "3.11", "3.12", "3.13", RUNNING_PYTHON}
    return tuple(sorted(known, key=lambda version: int(version.partition(".")[2])))


@dataclass(kw_only=True)
class Settings:
    """The knobs. Those about behaviour may be turned while the sandbox runs."""

    port: int = 0
    """Port on loopback; 0 takes a free one."""
    team: str = "sandbox"
    """The team that `Sandbox.configuration()` names; the service accepts any."""

    auth: bool = False
    """Whether calls need a bearer token."""
    tls: bool = False
    """Whether to serve TLS, with a certificate from an authority made for this sandbox."""
    access_token_ttl_s: float = 1799.0
    """Lifetime of an access token; 60 s more are forgiven, as the real service does."""

    tick_s: float = 60.0
    """How long a cron minute lasts. Under 60, the scheduler's clock runs ahead of the wall's."""
    deploy_delay_s: float = 0.0
    """From an accepted deployment until it is visible, beside the build itself."""
    start_delay_s: float = 0.0
    """How long an execution stays `submitted`."""
    enable_delay_s: float = 0.0
    """From an accepted PATCH until it shows: the real one is eventual with a synchronizer."""

    python_versions: tuple[str, ...] = field(default_factory=known_pythons)
    default_python: str = RUNNING_PYTHON
    default_vdk: str = "release"
    """What a deployment without a version of its own reports: the tag of the vdk image."""
    deployments_from: Literal["K8S", "DB"] = "K8S"
    """Read from Kubernetes, `id`, `contacts`, `schedule` and `resources` are null."""
    keytab: Literal["bytes", "empty", "absent"] = "empty"
    """`empty` (200, no bytes) is the default configuration, without Kerberos."""
    secrets: bool = False
    """Without Vault, the default, secrets answer 501."""
    properties_survive_delete: bool = True
    """As the real service does, whatever its API document says."""
    executions_kept: int = 100
    executions_kept_s: float = 14 * 24 * 3600.0

    ingest_auth: bool = False
    """Whether ingestion needs a bearer token too; VDK's own http plugin can't send one."""
    events_auth: bool = True
    """Whether the event pipeline wants a bearer token for posts, and a webhook token to listen."""
    sink_topics: str = "to-"
    """What the names of the topics start with that end in tables (`to-postgres.<table>`,
    `to-trino.<table>`); sandboxes that share a Kafka need one each."""
