"""Limits to the byte, and deliveries that take their subscribers away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nitro_py.event import ASGIMessage
from nitro_py.runtime.asgi.send_channel import SendChannel
from nitro_py.runtime.contracts import Broadcast, DirectWriter, ReadyState
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.shutdown import CUT_SHORT_SECONDS, GracePeriod
from nitro_py.runtime.tasks import start_task, wait_for_tasks
from nitro_py.runtime.topics.local_hub import LocalHub
from nitro_py.sse import BUFFER_LIMIT, EventStreamWriter

pytestmark = pytest.mark.anyio


async def test_peer_at_the_limit_is_not_too_slow_and_one_byte_past_it_is() -> None:
    sent: list[ASGIMessage] = []
    reads = asyncio.Event()
    told: list[tuple[int, str]] = []

    async def send(message: ASGIMessage) -> None:
        await reads.wait()
        sent.append(message)

    channel = SendChannel(
        send,
        limit=10,
        drop=lambda: None,
        overflow=lambda code, reason: told.append((code, reason)),
        counters=Counters(),
    )
    channel.deliver(Broadcast("x" * 10))
    channel.deliver(Broadcast("y"))
    assert (channel.buffered_amount, told) == (11, [])
    channel.deliver(Broadcast("z"))
    assert (channel.ready_state, told) == (ReadyState.CLOSING, [(1013, "Too slow")])
    reads.set()
    await asyncio.wait_for(channel.finish(), 30)
    assert sent[-1] == {"type": "websocket.close", "code": 1013, "reason": "Too slow"}
    channel.closed()


async def test_stream_at_the_limit_is_not_too_slow_and_one_byte_past_it_is() -> None:
    writer = EventStreamWriter(0)
    writer.deliver(Broadcast("x" * (BUFFER_LIMIT - len("data: \n\n"))))
    writer.deliver(Broadcast("y"))
    assert (writer.closed, writer.too_slow) == (False, False)
    writer.deliver(Broadcast("z"))
    assert (writer.closed, writer.too_slow) == (True, True)
    # What waited is given up: the client reads it anew.
    assert await writer.read() is None


async def test_stream_that_was_read_has_room_again() -> None:
    writer = EventStreamWriter(0)
    for _ in range(5):
        writer.deliver(Broadcast("x" * BUFFER_LIMIT))
        assert await writer.read() == b"data: " + b"x" * BUFFER_LIMIT + b"\n\n"
    assert not writer.closed


class LeavingSubscriber:
    """A subscriber that leaves with the first message, as a slow peer that is closed does.

    Args:
        hub: The hub.
        namespace: Its namespace.
    """

    direct_writer: DirectWriter | None = None

    def __init__(self, hub: LocalHub, namespace: str | None) -> None:
        self._hub = hub
        self._namespace = namespace
        self.received = 0
        hub.add_subscriber("a", namespace, str(namespace), self)

    def deliver(self, broadcast: Broadcast) -> None:
        """Count a message, and leave."""
        self.received += 1
        self._hub.remove_subscriber("a", self._namespace, str(self._namespace))


async def test_delivery_that_takes_the_last_subscriber_of_a_namespace_away_reaches_the_others() -> None:
    hub = LocalHub(Counters())
    leaving = [LeavingSubscriber(hub, namespace) for namespace in ("/one", "/two", None, "/three")]
    await hub.publish("a", "x")
    assert [subscriber.received for subscriber in leaving] == [1] * 4
    assert not hub.has("a")
    here = [LeavingSubscriber(hub, namespace) for namespace in ("/one", None)]
    await hub.publish("a", "x", namespace="/one")
    assert [subscriber.received for subscriber in here] == [1, 1]


def test_stop_that_is_cut_short_gets_no_more_time_than_it_had() -> None:
    grace = GracePeriod(0.5)
    grace.cut_short()
    assert grace.left() <= 0.5
    grace = GracePeriod(600)
    grace.cut_short()
    assert CUT_SHORT_SECONDS - 0.5 < grace.left() <= CUT_SHORT_SECONDS


async def test_work_that_background_work_starts_is_waited_for_too() -> None:
    done: list[str] = []

    async def work(name: str, *following: str) -> None:
        await asyncio.sleep(0.02)
        done.append(name)
        if following:
            start_task(work(*following))

    start_task(work("first", "second", "third"))
    await wait_for_tasks(30)
    assert done == ["first", "second", "third"]


class FastConnection:
    """A connection whose client takes all at once."""

    paused = False

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write_chunk(self, chunk: bytes) -> None:
        """Take a chunk."""
        self.chunks.append(chunk)


async def test_stream_to_a_fast_client_lets_others_run_and_ends_with_its_heartbeats() -> None:
    connection: Any = FastConnection()
    writer = EventStreamWriter(0.05)
    writing = asyncio.create_task(writer.write_to(connection))
    await asyncio.sleep(0)
    turns = 0

    async def run() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(run())
    for _ in range(20):
        await writer.put(b"x" * (BUFFER_LIMIT + 1))
    other.cancel()
    assert turns >= 19
    await writer.close()
    assert await asyncio.wait_for(writing, 30) == b""
    count = len(connection.chunks)
    await asyncio.sleep(0.2)
    assert len(connection.chunks) == count
    # A heartbeat would wait there for a client that is gone.
    assert await writer.read() is None
