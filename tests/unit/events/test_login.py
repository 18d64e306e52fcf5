"""Credentials that expire or are withdrawn in the middle: told as ours, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.errors import LoginError
from pytest_vdkprobe.events.findings import Round
from pytest_vdkprobe.events.stream import EventStream
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.unit.events.streams import LIMIT_S, all_listen, seen, stream

WATCH: dict[str, Any] = {"watch": True, "max_consecutive_errors": 10**6, "within_s": 20.0}
LISTEN = {"backoff_s": 0.01}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


def round_with(made: EventStream, what: str, done: Callable[[Round], bool]) -> Round:
    """The first round that is so."""
    return wait_until(what, made.take, done=done, deadline=Deadline.after(LIMIT_S)).value


def withdraw(sandbox: Sandbox, secret: str) -> None:
    """From now on no token is good that was granted before, and the secret is this one."""
    sandbox.tokens.client_secret = secret
    sandbox.tokens.revoke()


def test_posts_refused_for_a_withdrawn_secret_are_a_matter_of_login(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    good = sandbox.tokens.client_secret
    with stream(sandbox, tmp_path, **WATCH) as made:
        made.open()
        made.start()
        seen(made, 3)
        made.take()
        withdraw(sandbox, "another")
        # Those that were under way are refused by the collector, and the next by the endpoint.
        found = round_with(
            made, "a refused login", lambda found: "token endpoint" in found.barred_by
        )
        with pytest.raises(
            LoginError, match=r"Our login was refused: \d+ of \d+ events were not"
        ) as told:
            found.require()
        assert "The token endpoint refused the login: 401" in str(told.value)
        assert "events.target.auth" in str(told.value)
        withdraw(sandbox, good)
        recovered = round_with(
            made, "events taken again", lambda found: bool(found.account.seen and not found.barred)
        )
        recovered.require()
        assert made.look().lost == 0


@pytest.mark.parametrize("status", [401, 403])
def test_posts_refused_by_the_collector_are_a_matter_of_login(
    sandbox: Sandbox, tmp_path: Path, status: int
) -> None:
    with stream(sandbox, tmp_path, **WATCH) as made:
        made.open()
        made.start()
        seen(made, 1)
        sandbox.plant("status", status=status, method="POST", path="^/sandbox/events/collect/")
        found = round_with(made, "refused posts", lambda found: bool(found.barred))
        with pytest.raises(LoginError, match="Our login was refused") as told:
            found.require()
        assert str(status) in str(told.value)


def test_posting_that_is_given_up_for_the_login_says_so(sandbox: Sandbox, tmp_path: Path) -> None:
    with stream(sandbox, tmp_path, **{**WATCH, "max_consecutive_errors": 3}) as made:
        made.open()
        made.start()
        seen(made, 1)
        withdraw(sandbox, "another")
        found = round_with(made, "the end of it", lambda found: found.gave_up is not None)
        with pytest.raises(LoginError, match="3 posts in a row failed, so no more are made"):
            found.require()


def test_token_that_expires_while_we_listen_is_replaced_by_another(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with stream(sandbox, tmp_path, reader=LISTEN, **WATCH) as made:
        made.open()
        made.start()
        seen(made, 1)
        token = made.reader._connection._token
        first = token.get()
        all_listen(made)
        # The connections that there are go on; those that take their places expire.
        sandbox.plant("events-expires", delay_s=0.2, times=2)
        for listener in made.reader._listeners:
            listener._socket.close()
        wait_until(
            "another token",
            token.get,
            done=lambda now: now is not first,
            deadline=Deadline.after(LIMIT_S),
        )
        seen(made, made.look().seen + 5)
        assert made.take().trouble is None
        # Each of the two tells, whichever is thrown out first.
        wait_until(
            "the story of both",
            made.reader._notes,
            done=lambda notes: sum("code 1008 (token expired)" in note for note in notes) == 2,
            deadline=Deadline.after(LIMIT_S),
        )


def test_listeners_that_are_refused_are_a_matter_of_login_and_lose_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    # How busy this machine is, is not the question.
    windows = {"within_s": 3.0, "late_s": 1.0, "allow": {"late": 1000}}
    with stream(sandbox, tmp_path, reader=LISTEN, **{**WATCH, **windows}) as made:
        made.open()
        made.start()
        seen(made, 2)
        all_listen(made)
        sandbox.plant("events-refuses-listeners")
        for listener in made.reader._listeners:
            listener._socket.close()
        found = round_with(made, "a refusal", lambda found: found.trouble is not None)
        with pytest.raises(LoginError, match="takes our login no more") as told:
            found.require()
        assert "it answers 403 Forbidden" in str(told.value)
        assert "reader.authorizer" in str(told.value)
        wait_until(
            "events that nobody listens for, beyond their windows",
            made.look,
            done=lambda account: len(account.closed_unknown()) > 3,
            deadline=Deadline.after(LIMIT_S),
        )
        sandbox.faults.clear()
        again = round_with(
            made, "events again", lambda found: found.trouble is None and found.account.seen > 3
        )
        again.require()
        assert made.look().lost == 0
