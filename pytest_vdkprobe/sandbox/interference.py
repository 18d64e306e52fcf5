"""What a transport fault does to a call: late, cut, empty, or something else altogether.

It stands between the server and the application, so that any route can be hit and none knows.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytest_vdkprobe.sandbox.faults import Fault

SLOW_S, HANG_S, DRIP_S = 1.0, 3600.0, 3.0
DRIPS = 10
"""Pieces of a slow body."""
PORTAL = b"<!doctype html><title>Sign in</title><p>Please sign in to continue.</p>"


async def interfere(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one call wrongly, as `fault` says."""
    if fault.name == "slow":
        await asyncio.sleep(SLOW_S if fault.delay_s is None else fault.delay_s)
        await app(scope, receive, send)
        return
    if fault.name in {"cut", "wrong-body", "empty-body", "slow-body"}:
        await _change(fault, app, scope, receive, send)
        return
    if fault.when == "after":
        await app(scope, receive, _swallow)
    if fault.name == "hang":
        with suppress(TimeoutError):
            await asyncio.wait_for(
                _gone(receive), HANG_S if fault.delay_s is None else fault.delay_s
            )
    if fault.name in {"hang", "reset"}:
        await _reset(scope, receive)
    elif fault.name == "not-json":
        await _answer(send, 200, PORTAL, b"text/html")
    else:
        await _answer(send, fault.status, fault.body.encode(), b"application/json")


async def _change(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the application answer, and alter the answer's body on its way out."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    start = messages[0]
    body = b"".join(message.get("body", b"") for message in messages[1:])
    if fault.name == "cut":
        await send(start)
        await send(
            {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        )
        await _reset(scope, receive)
        return
    if fault.name == "slow-body":
        await send(start)
        await _drip(send, body, DRIP_S if fault.delay_s is None else fault.delay_s)
        return
    body = b"" if fault.name == "empty-body" else fault.body.encode()
    headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _drip(send: Send, body: bytes, over_s: float) -> None:
    pieces = [body[at : at + 1] for at in range(min(len(body), DRIPS) - 1)]
    pieces.append(body[len(pieces) :])
    for piece in pieces:
        await asyncio.sleep(over_s / len(pieces))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, body: bytes, media_type: bytes) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _reset(scope: Scope, receive: Receive) -> None:
    """Cut the connection; a lingering time of 0 makes it a reset, not an orderly end."""
    transport = scope["state"]["transport"]
    sock = transport.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _swallow(_message: Message) -> None:
    """An answer that nobody gets."""
