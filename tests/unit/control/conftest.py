"""Clients for fakes, closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pytest_vdkprobe.control.auth import Auth, NoAuth
from pytest_vdkprobe.control.client import ControlClient
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.waiting import Deadline
from tests.unit.control.fake import Fake, Script, serving

MakeClient = Callable[..., ControlClient]


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Fake]]:
    """Start fakes."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(serving(script))


@pytest.fixture
def connect() -> Iterator[MakeClient]:
    """Make clients: `connect(fake, within_s=..., **settings)`."""
    with ExitStack() as stack:

        def make(
            fake: Fake | str,
            *,
            within_s: float | None = 10.0,
            auth: Auth | None = None,
            **more: Any,
        ) -> ControlClient:
            url = fake if isinstance(fake, str) else fake.url
            settings = ControlSettings(url=url, **{"team": "blue", **more})
            client = ControlClient(settings, auth or NoAuth(), op_id_prefix="7f3a90c2")
            client.deadline = None if within_s is None else Deadline.after(within_s, "step's limit")
            return stack.enter_context(client)

        yield make
