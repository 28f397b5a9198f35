"""What the limit of a stream leaves alone."""

from __future__ import annotations

import asyncio

import pytest

from nitro_presets.aws_lambda.http import stream
from nitro_py.event import ASGIMessage, Receive, Scope, Send

pytestmark = pytest.mark.anyio


async def receive_nothing() -> ASGIMessage:
    """Is the receive callable of a client that stays."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def test_work_after_a_whole_stream_takes_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CLEANUP", 0.01)
    sent: list[ASGIMessage] = []
    done: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all", "more_body": False})
        # Ten times what a stream may take.
        await asyncio.sleep(0.2)
        done.append("done")

    async def send(message: ASGIMessage) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/"}
    await stream.run_limited(application, scope, receive_nothing, send, lambda: 0.02)
    assert done == ["done"]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "goes on"])
@pytest.mark.parametrize("kind", [b"text/plain", b"text/event-stream; charset=utf-8"])
async def test_only_an_event_stream_ends_in_peace_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, kind: bytes, *, ends: bool
) -> None:
    monkeypatch.setattr(stream, "CLEANUP", 0.05)
    sent: list[ASGIMessage] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", kind)]})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        await receive()
        if ends:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await asyncio.sleep(10)

    async def send(message: ASGIMessage) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/"}
    running = stream.run_limited(application, scope, receive_nothing, send, lambda: 0.02)
    if kind == b"text/plain":
        with pytest.raises(stream.StreamCutError, match="The answer to GET / was cut"):
            await running
    else:
        await running
    ended = [message for message in sent if message.get("more_body") is False]
    assert len(ended) == (0 if kind == b"text/plain" else 1)
