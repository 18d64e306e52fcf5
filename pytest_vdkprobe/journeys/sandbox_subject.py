"""The run's own sandbox as a test sees it: made wrong on purpose, and right again.

A check that can't fail proves nothing; with this, a user's scenario can be shown to fail. It speaks
to the sandbox over the network, as everybody does, and so works on xdist's workers too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.run import Run

PAGE = "/sandbox/faults"
ANSWER_LIMIT_S = 30.0
"""It is on this machine, which may be a busy one."""


class RunningSandbox:
    """Its `url` and `team`, and `with sandbox.fault("logs-empty"):`."""

    def __init__(self, url: str, team: str, *, ca_file: str | None = None) -> None:
        self.url = url
        self.team = team
        self._verify = ca_file or True

    @contextmanager
    def fault(self, name: str, **options: object) -> Iterator[None]:
        """Be wrong in this way while the block runs; `options` are the keys of `sandbox.faults`.

        All who use the sandbox meet it, other workers too: narrow it down, by `job` say. The end of
        the block removes every fault of that name. Raises ConfigError for one that does not exist.
        """
        self._call("POST", json={"name": name, **options})
        try:
            yield
        finally:
            self._call("DELETE", params={"name": name})

    def planted(self) -> dict[str, int]:
        """How often each fault that is planted now has hit so far, by name."""
        hits: dict[str, int] = self._call("GET").json()
        return hits

    def _call(self, method: str, **more: Any) -> Any:
        import requests  # noqa: PLC0415 - 57 ms, for who uses it

        from pytest_vdkprobe.control.transport import new_session  # noqa: PLC0415 - as above

        url = self.url + PAGE
        try:
            with new_session() as session:
                # No proxy leads to this machine.
                session.trust_env = False
                answer = session.request(
                    method, url, timeout=ANSWER_LIMIT_S, verify=self._verify, **more
                )
        except requests.RequestException as exc:
            raise TransportError(
                "The sandbox does not answer.", seen=str(exc), checked=f"{method} {url}"
            ) from exc
        if not answer.ok:
            raise ConfigError(
                f"The sandbox can't be made wrong like this: {_why(answer)}",
                key="vdk_sandbox.fault",
                value=more.get("json"),
                to_try="`vdkprobe sandbox fault --known` lists all faults",
            )
        return answer


def running_sandbox(run: Run) -> RunningSandbox:
    """The one that the run has started. Raises ConfigError where it has none."""
    if run.sandbox is None:
        raise ConfigError(
            "This run has no sandbox of its own, and the fixture vdk_sandbox starts none.",
            key="--vdk-config",
            value=run.configuration.name,
            expected="sandbox",
            to_try="pytest --vdk-config=sandbox; a sandbox that `vdkprobe sandbox up` started is "
            "made wrong by `vdkprobe sandbox fault`",
        )
    control = run.sandbox
    return RunningSandbox(control["url"], control["team"], ca_file=control.get("ca_file"))


def _why(answer: Any) -> str:
    try:
        return str(answer.json()["why"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
