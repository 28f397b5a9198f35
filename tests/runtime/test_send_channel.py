"""What waits for one peer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nitro_py.errors import PeerClosedError
from nitro_py.event import ASGIMessage
from nitro_py.runtime.asgi import send_channel as outbox_module
from nitro_py.runtime.asgi.send_channel import SendChannel
from nitro_py.runtime.contracts import Broadcast, ReadyState
from nitro_py.runtime.counters import Counters

pytestmark = pytest.mark.anyio


class Wire:
    """A server that takes what it would send, at the pace of a client that reads or does not."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.broken = False

    async def send(self, message: ASGIMessage) -> None:
        """Wait for the client, as a server does whose buffer is full."""
        await self.reads.wait()
        if self.broken:
            raise OSError("connection lost")
        if message["type"] == "websocket.close":
            self.sent.append((message["code"], message["reason"]))
        else:
            self.sent.append(message["text"] if "text" in message else message["bytes"])


def make(wire: Wire, *, limit: int = 10) -> tuple[SendChannel, list[tuple[object, ...]]]:
    """Make an outbox, and the list of what it tells the connection."""
    told: list[tuple[object, ...]] = []
    outbox = SendChannel(
        wire.send,
        limit=limit,
        drop=lambda: told.append(("drop",)),
        overflow=lambda code, reason: told.append((code, reason)),
        counters=Counters(),
    )
    return outbox, told


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_frames_go_out_in_order_whoever_sends_them() -> None:
    wire = Wire()
    outbox, _ = make(wire, limit=1000)
    await outbox.send("a")
    outbox.deliver(Broadcast(b"b"))
    await outbox.send("")
    outbox.deliver(Broadcast("d"))
    await outbox.close(4000, "bye")
    await settle()
    assert wire.sent == ["a", b"b", "", "d", (4000, "bye")]
    assert outbox.buffered_amount == 0


async def test_send_waits_for_a_slow_client_past_the_limit() -> None:
    wire = Wire()
    outbox, told = make(wire)
    wire.reads.clear()
    await outbox.send("x" * 10)
    sending = asyncio.create_task(outbox.send("y"))
    await settle()
    assert (outbox.buffered_amount, sending.done()) == (11, False)
    wire.reads.set()
    await asyncio.wait_for(sending, 30)
    await outbox.wait_for_drain()
    assert (wire.sent, outbox.buffered_amount, told) == (["x" * 10, "y"], 0, [])


async def test_slow_subscriber_is_closed_with_1013_and_nobody_waits() -> None:
    wire = Wire()
    outbox, told = make(wire)
    wire.reads.clear()
    outbox.deliver(Broadcast("first"))
    await settle()
    outbox.deliver(Broadcast("second"))
    outbox.deliver(Broadcast("third"))
    assert outbox.ready_state is ReadyState.CLOSING
    assert told == [(1013, "Too slow")]
    outbox.deliver(Broadcast("fourth"))
    wire.reads.set()
    await settle()
    # What had not begun to leave is dropped, so that the close frame gets through.
    assert wire.sent == ["first", (1013, "Too slow")]
    outbox.closed()


async def test_close_comes_after_what_was_sent_and_once() -> None:
    wire = Wire()
    outbox, _ = make(wire)
    wire.reads.clear()
    await outbox.send("a")
    await outbox.close(1000, "")
    await outbox.close(4000, "again")
    with pytest.raises(PeerClosedError, match="got CLOSING"):
        await outbox.send("late")
    outbox.deliver(Broadcast("late"))
    wire.reads.set()
    await settle()
    assert wire.sent == ["a", (1000, "")]
    outbox.closed()
    assert outbox.ready_state is ReadyState.CLOSED


async def test_close_that_is_not_answered_drops_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "CLOSE_TIMEOUT", 0.01)
    outbox, told = make(Wire())
    await outbox.close(1000, "")
    await asyncio.sleep(0.05)
    assert outbox.ready_state is ReadyState.CLOSED
    # Once to stop reading before the close frame goes out, once to give up.
    assert told == [("drop",), ("drop",)]


async def test_answered_close_drops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "CLOSE_TIMEOUT", 0.01)
    outbox, told = make(Wire())
    await outbox.close(1000, "")
    outbox.closed()
    await asyncio.sleep(0.05)
    # Only to stop reading before the close frame goes out.
    assert told == [("drop",)]


async def test_client_that_leaves_frees_who_waits() -> None:
    wire = Wire()
    outbox, _ = make(wire)
    wire.reads.clear()
    sending = asyncio.create_task(outbox.send("x" * 11))
    draining = asyncio.create_task(outbox.wait_for_drain())
    await settle()
    assert not sending.done()
    assert not draining.done()
    outbox.closed()
    with pytest.raises(PeerClosedError):
        await asyncio.wait_for(sending, 30)
    await asyncio.wait_for(draining, 30)
    assert outbox.buffered_amount == 0


async def test_send_that_fails_closes_the_peer() -> None:
    wire = Wire()
    wire.broken = True
    outbox, _ = make(wire)
    outbox.deliver(Broadcast("a"))
    await settle()
    with pytest.raises(PeerClosedError):
        await outbox.send("b")
    assert outbox.ready_state is ReadyState.CLOSED


async def test_terminate_drops_at_once() -> None:
    outbox, told = make(Wire())
    await outbox.terminate()
    await outbox.terminate()
    assert (told, outbox.ready_state) == ([("drop",)], ReadyState.CLOSED)


async def test_one_message_larger_than_the_limit_is_no_sign_of_a_slow_client() -> None:
    wire = Wire()
    outbox, told = make(wire)
    outbox.deliver(Broadcast("x" * 100))
    await settle()
    outbox.deliver(Broadcast("y"))
    await settle()
    assert (wire.sent, told) == (["x" * 100, "y"], [])
