"""An event pipeline: what is posted to its collector is broadcast to all who listen.

The collector and the authorizer want a bearer token, a listener a webhook token in its query, which
the authorizer gives out. Everything happens on the server's own loop, so nothing here is locked.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from pytest_vdkprobe.sandbox.auth import Tokens, challenge
from pytest_vdkprobe.sandbox.calls import Answer, Call, Table, json_answer
from pytest_vdkprobe.sandbox.errors import invalid
from pytest_vdkprobe.sandbox.faults import Faults

P = "/sandbox/events"
LATE_S = 3.0
CLOSE_AFTER_S = 1.0
WEBHOOK_LIFE = timedelta(days=730)
GOING_AWAY = 1001
POLICY = 1008
"""Codes of RFC 6455, section 7.4.1."""
"""RFC 6455, section 7.4.1."""

Event = dict[str, object]


class EventPipeline:
    """Collector, broadcast and authorizer."""

    def __init__(self, *, faults: Faults, tokens: Tokens | None) -> None:
        self._faults = faults
        self._tokens = tokens
        self._listeners: dict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)
        self._webhooks: dict[str, str] = {}
        """Webhook token -> the data set that it is for."""

    def table(self) -> Table:
        """Path -> method -> operation."""
        return {
            P + "/collect/{dataset}/{version}": {"POST": self.collect},
            P + "/authorizer/{dataset}/webhook": {"POST": self.authorize, "GET": self.webhooks},
        }

    def sockets(self) -> Mapping[str, Callable[[WebSocket], Awaitable[None]]]:
        """Path -> what serves a connection."""
        return {P + "/listen": self.listen}

    def collect(self, call: Call) -> Answer:
        """Take one event, or a list of them, and hand it to all who listen."""
        refusal = self._refusal(call)
        if refusal is not None:
            return refusal
        events = _events(call.body)
        dataset = call.params["dataset"]
        for event in events:
            self._deliver(dataset, event)
        return json_answer({"message": "Ok", "elements": len(events)})

    def authorize(self, call: Call) -> Answer:
        """A new webhook token."""
        refusal = self._refusal(call)
        if refusal is not None:
            return refusal
        token = secrets.token_urlsafe(16)
        self._webhooks[token] = call.params["dataset"]
        return json_answer(_webhook(token, call.params["dataset"]), 201)

    def webhooks(self, call: Call) -> Answer:
        """The tokens of the data set."""
        refusal = self._refusal(call)
        if refusal is not None:
            return refusal
        dataset = call.params["dataset"]
        found = [token for token, of in self._webhooks.items() if of == dataset]
        return json_answer([_webhook(token, dataset) for token in found])

    async def listen(self, socket: WebSocket) -> None:
        """Hand on what is collected, until the listener goes or a fault closes the connection."""
        dataset = socket.query_params.get("dataset_id", "")
        good = self._tokens is None or (
            self._webhooks.get(socket.query_params.get("webhook_token", "")) == dataset
        )
        if not good or self._faults.lies("events-refuses-listeners", dataset):
            await socket.close()  # before it was accepted: answers 403
            return
        await socket.accept()
        closes = self._faults.lie("events-closes", dataset)
        expires = self._faults.lie("events-expires", dataset)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._listeners[dataset].add(queue)
        tasks = [
            asyncio.ensure_future(_until_gone(socket)),
            asyncio.ensure_future(_hand_on(queue, socket)),
        ]
        limit_s = None
        ending = expires or closes
        if ending is not None:
            limit_s = CLOSE_AFTER_S if ending.delay_s is None else ending.delay_s
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._listeners[dataset].discard(queue)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not done and expires is not None:
            self._webhooks.pop(socket.query_params.get("webhook_token", ""), None)
            await socket.close(POLICY, "token expired")
        elif not done:
            await socket.close(GOING_AWAY)

    def _refusal(self, call: Call) -> Answer | None:
        given = call.headers.get("authorization")
        if self._tokens is None or self._tokens.user_of(given) is not None:
            return None
        return Answer(401, headers={"WWW-Authenticate": challenge(given)})

    def _deliver(self, dataset: str, event: Event) -> None:
        lie = self._faults.lie
        if lie("events-silent", dataset) or lie("events-loses", dataset):
            return
        late = lie("events-late", dataset)
        messages = list(self._messages(dataset, event))
        if late is None:
            self._broadcast(dataset, messages)
            return
        delay_s = LATE_S if late.delay_s is None else late.delay_s
        asyncio.get_running_loop().call_later(delay_s, self._broadcast, dataset, messages)

    def _messages(self, dataset: str, event: Event) -> Iterator[bytes]:
        if self._faults.lies("events-foreign", dataset):
            yield msgspec.json.encode({**event, "app_id": "another1", "run_id": "another1"})
        if self._faults.lies("events-truncates", dataset):
            body = str(event.get("body", ""))
            event = {**event, "body": body[: len(body) // 2]}
        message = msgspec.json.encode(event)
        yield message
        if self._faults.lies("events-duplicates", dataset):
            yield message

    def _broadcast(self, dataset: str, messages: list[bytes]) -> None:
        for queue in self._listeners[dataset]:
            for message in messages:
                queue.put_nowait(message)


def _events(body: bytes) -> list[Event]:
    try:
        found = msgspec.json.decode(body, type=Event | list[Event])
    except msgspec.DecodeError as exc:
        raise invalid("The events can't be taken.", f"The body is no JSON object: {exc}.") from exc
    return found if isinstance(found, list) else [found]


def _webhook(token: str, dataset: str) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "token": token,
        "dataset_id": dataset,
        "service": "vdkprobe",
        "created_at": now.isoformat(),
        "expires_at": (now + WEBHOOK_LIFE).isoformat(),
        "is_active": True,
    }


async def _hand_on(queue: asyncio.Queue[bytes], socket: WebSocket) -> None:
    while True:
        await socket.send_text((await queue.get()).decode())


async def _until_gone(socket: WebSocket) -> None:
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        return
