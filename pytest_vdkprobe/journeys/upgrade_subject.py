"""An upgrade as a subject: `upgrade[before]` keeps a snapshot, `upgrade[after]` compares with it.

Which of them there are is said by `--vdk-before` and `--vdk-after`, so that a configuration serves
all runs alike and nobody's daily run looks at every table of the platform.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pytest_vdkprobe.errors import ConfigError, PlatformFailure, ProbeError
from pytest_vdkprobe.upgrade.differences import Difference, differences
from pytest_vdkprobe.upgrade.looking import look
from pytest_vdkprobe.upgrade.settings import UpgradeSettings
from pytest_vdkprobe.upgrade.snapshot import ASPECTS, Snapshot, read_snapshot

if TYPE_CHECKING:
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.journeys.steps import StepRecord
    from pytest_vdkprobe.waiting import Deadline

T = TypeVar("T")

MOST_TOLD = 20
"""Differences that a message lists; the report has all of them."""


class Upgrade:
    """One look at the platform, kept or compared; built by the fixture `vdk_upgrade`."""

    def __init__(self, client: ControlClient, run: Run, moment: str) -> None:
        self.moment = moment
        self.settings = run.configuration.section("upgrade", UpgradeSettings)
        self._client = client
        self._run = run
        self.path = run.upgrades[moment]
        self._earlier = read_snapshot(self.path) if moment == "after" else None
        self._now: Snapshot | None = None

    @property
    def step(self) -> StepRecord:
        """The step that is running now."""
        return _made(self._run.step)

    def look(self) -> None:
        """Look at all that is configured; half a snapshot is none."""
        from importlib.metadata import version  # noqa: PLC0415 - few runs need it

        def deadline() -> Deadline:
            return self.step.deadline

        snapshot = Snapshot.new(
            run_id=self._run.run_id,
            tool=version("pytest-vdkprobe"),
            where={},
            salt=self._earlier.salt if self._earlier is not None else None,
        )
        base_dir = self._run.configuration.base_dir
        look(snapshot, self._client, self.settings, base_dir=base_dir, deadline=deadline)
        self._now = snapshot
        for name, place in snapshot.where.items():
            self.step.evidence(f"{name}: {place}")
        self.step.evidence(", ".join(f"{snapshot.count(a)} {a}" for a in ASPECTS))

    def keep(self) -> None:
        """Write the snapshot, where none is yet: the state before can't be had twice."""
        try:
            _made(self._now).write(self.path)
        except OSError as exc:
            raise ProbeError(
                f"The snapshot could not be written: {exc.strerror or exc}.",
                seen=f"{type(exc).__name__} at {exc.filename}",
                checked=f"--vdk-before={self.path}",
                to_try="make room, correct the permissions, or choose another place",
            ) from exc
        self.step.evidence(f"written to {self.path}")

    def compare(self, aspect: str) -> None:
        """Nothing of this aspect is lost, and nothing else than expected."""
        earlier, now = _made(self._earlier), _made(self._now)
        found = differences(earlier, now, aspect, self.settings)
        if found:
            self.step.attach("differences", _as_data(found))
        wrong = [one for one in found if not one.expected]
        if wrong:
            taken = f"{self.path}, taken {earlier.taken_at:%Y-%m-%d %H:%M} UTC"
            raise _failure(aspect, wrong, taken)
        same = now.count(aspect) - sum(one.after is not None for one in found)
        self.step.evidence(f"{same} as before")
        for one in found[:MOST_TOLD]:
            self.step.evidence(f"expected: {one}")
        if len(found) > MOST_TOLD:
            self.step.evidence(f"and {len(found) - MOST_TOLD} more, all expected")


def check_files(before: Path | None = None, after: Path | None = None) -> None:
    """Raise ConfigError when a snapshot could not be read or written, before anything is done."""
    if after is not None:
        read_snapshot(after)
    if before is None:
        return
    if before.exists():
        raise ConfigError(
            f"There is a snapshot already: {before}.",
            key="--vdk-before",
            value=str(before),
            to_try=f"compare with it: --vdk-after={before.name}; or remove it, or name another "
            "file: the state before an upgrade can't be had twice",
        )
    if not before.parent.is_dir():
        raise ConfigError(
            f"There is no folder {before.parent} to write the snapshot to.",
            key="--vdk-before",
            value=str(before),
            to_try="create it, or name another file",
        )


def _failure(aspect: str, wrong: list[Difference], checked: str) -> PlatformFailure:
    lost = sum(one.sort == "lost" for one in wrong)
    other = len(wrong) - lost
    parts = [f"{lost} lost" * bool(lost), f"{other} unexpected" * bool(other)]
    told = [f"{one.sort}: {one}" for one in wrong[:MOST_TOLD]]
    if len(wrong) > MOST_TOLD:
        told.append(f"and {len(wrong) - MOST_TOLD} more, all of them in --vdk-report")
    kinds = sorted({one.kind for one in wrong})
    patterns = " and ".join(
        f'expect_{kind} = ["{next(one.name for one in wrong if one.kind == kind)}"]'
        for kind in kinds
    )
    return PlatformFailure(
        f"The {aspect} are not as before: {' and '.join(part for part in parts if part)}.",
        seen="\n".join(told),
        expected="what was there before, but for what [upgrade] expects",
        checked=checked,
        to_try=f"restore it; or, if it is meant, say so in [upgrade]: {patterns}",
    )


def _as_data(found: list[Difference]) -> dict[str, object]:
    """For the report: every difference, by sort."""
    return {
        sort: [str(one) for one in found if one.sort == sort]
        for sort in ("lost", "unexpected", "expected")
    }


def _made(value: T | None) -> T:
    """What an earlier step has made; the steps' needs see to that."""
    if value is None:
        raise AssertionError("asked for before it was there")
    return value
