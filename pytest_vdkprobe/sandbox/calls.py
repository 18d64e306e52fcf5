"""From a call on the wire to an operation, and from its answer back.

Everything that all operations share is here: op id, login, faults, body and media type, and the
three kinds of error answer. The operations themselves are plain functions of a `Call`; those that
only touch memory run on the server's loop, those that wait for something are awaited.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from pytest_vdkprobe.sandbox import auth, wire
from pytest_vdkprobe.sandbox.errors import FrameworkError, ServiceError, bad_body, bug
from pytest_vdkprobe.sandbox.executor import JSONObject
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.interference import interfere

T = TypeVar("T")

JSON = "application/json"
ZIP = "application/octet-stream"


@dataclass(slots=True)
class Call:
    """One call, as an operation sees it."""

    method: str
    path: str
    params: Mapping[str, str]
    query: QueryParams
    headers: Headers
    body: bytes
    op_id: str
    user: str | None
    base_url: str

    def query_list(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated, or be one list with commas."""
        return [part for text in self.query.getlist(name) for part in text.split(",")]


@dataclass(slots=True)
class Answer:
    """What an operation answers."""

    status: int = 200
    body: bytes | None = None
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    op_id: bool = True
    """Whether the answer echoes the op id; the monitoring pages don't."""


EMPTY = Answer()
Operation = Callable[[Call], Answer | Awaitable[Answer]]
Table = dict[str, dict[str, Operation]]
"""Path -> method -> operation."""


def json_answer(value: object, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, msgspec.json.encode(value), JSON)


def json_body(call: Call, kind: type[T]) -> T:
    """The call's body as a `kind`; text for a number is taken, a wrong type is a 400."""
    try:
        return msgspec.json.decode(call.body, type=kind, strict=False)
    except msgspec.DecodeError as exc:
        raise bad_body(str(exc)) from exc


def object_body(body: bytes) -> JSONObject:
    """A body that may be any JSON object."""
    try:
        return msgspec.json.decode(body, type=JSONObject)
    except msgspec.DecodeError as exc:
        raise bad_body(str(exc)) from exc


class Gate:
    """What every call passes: the planted faults, then the login."""

    def __init__(self, app: ASGIApp, *, faults: Faults, tokens: auth.Tokens | None) -> None:
        self._app = app
        self._faults = faults
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        fault = None
        if not path.startswith("/sandbox/faults"):
            fault = self._faults.on_call(scope["method"], path)
        if fault is None:
            await self._serve(scope, receive, send)
        else:
            await interfere(fault, self._serve, scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["user"] = None
        if self._tokens is not None and not auth.is_open(scope["path"]):
            given = Headers(scope=scope).get("authorization")
            scope["user"] = self._tokens.user_of(given)
            if scope["user"] is None:
                refusal = Answer(
                    401, headers={"WWW-Authenticate": auth.challenge(given)}, op_id=False
                )
                await _send(refusal, "", send)
                return
        await self._app(scope, receive, send)


class Endpoint:
    """One path: finds the operation of the method, and answers for its errors."""

    def __init__(self, operations: Mapping[str, Operation], bugs: list[str]) -> None:
        self._operations = operations
        self._bugs = bugs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers = request.headers
        op_id = headers.get("x-opid") or f"0{int(time.time() * 1000)}"
        call = Call(
            method=scope["method"],
            path=scope["path"],
            params=scope["path_params"],
            query=request.query_params,
            headers=headers,
            body=await request.body(),
            op_id=op_id,
            user=scope["user"],
            base_url=f"{scope['scheme']}://{headers.get('host', '')}",
        )
        await _send(await self._answer(call), op_id, send)

    async def _answer(self, call: Call) -> Answer:
        try:
            method = "GET" if call.method == "HEAD" else call.method
            operation = self._operations.get(method)
            if operation is None:
                answer = framework_answer(405, call.path)
                answer.headers = {"Allow": ", ".join(self._operations)}
                return answer
            _check_media_type(call)
            answered = operation(call)
            return answered if isinstance(answered, Answer) else await answered
        except FrameworkError as exc:
            return framework_answer(exc.status, call.path)
        except ServiceError as exc:
            return (
                Answer(exc.status) if exc.problem is None else json_answer(exc.problem, exc.status)
            )
        except Exception as exc:  # noqa: BLE001 - a bug of ours is a 500, as in the real service
            self._bugs.append(traceback.format_exc())
            return json_answer(bug(f"{type(exc).__name__}: {exc}").problem, 500)


def application(
    table: Table,
    *,
    faults: Faults,
    tokens: auth.Tokens | None,
    bugs: list[str],
    sockets: Mapping[str, Callable[[WebSocket], Awaitable[None]]],
) -> ASGIApp:
    """The ASGI application; `bugs` collects the tracebacks behind its own 500s."""
    routes: list[BaseRoute] = [
        Route(path, Endpoint(methods, bugs)) for path, methods in table.items()
    ]
    routes += [WebSocketRoute(path, serve) for path, serve in sockets.items()]

    async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        given = Headers(scope=scope).get("x-opid") or f"0{int(time.time() * 1000)}"
        await _send(framework_answer(404, scope["path"]), given, send)

    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    app.router.default = not_found
    return Gate(app.router, faults=faults, tokens=tokens)


def framework_answer(status: int, path: str) -> Answer:
    """An error of the web framework's own."""
    moment = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "+00:00"
    return json_answer(
        wire.FrameworkProblem(moment, status, HTTPStatus(status).phrase, path), status
    )


def _check_media_type(call: Call) -> None:
    """415 where a body is not of the type that the operation consumes."""
    if call.method not in {"POST", "PUT", "PATCH"} or call.path.startswith(
        ("/sandbox/", "/auth/", "/metadata/")
    ):
        return
    given = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    wanted = ZIP if call.path.endswith("/sources") else JSON
    if given != wanted and (given or call.body):
        raise FrameworkError(415)


async def _send(answer: Answer, op_id: str, send: Send) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.items()
    ]
    if answer.op_id:
        headers.append((b"x-opid", op_id.encode("latin-1")))
    if answer.media_type is not None:
        headers.append((b"content-type", answer.media_type.encode("latin-1")))
    if answer.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", str(len(answer.body or b"")).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body or b""})
