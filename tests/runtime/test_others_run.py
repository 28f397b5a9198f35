"""Loops that would keep others from running, and reading that must go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nitro_py import CloseDetails, Message, Peer, define_websocket_handler
from nitro_py.encoding import Frame
from nitro_py.runtime.asgi.websocket import read_socket
from nitro_py.runtime.contracts import DirectWriter
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.hooks.session import PeerSession
from nitro_py.runtime.topics.local_hub import LocalHub
from nitro_py.testing.backplanes import MemoryBroker
from tests.runtime.backplane.process import processes
from tests.runtime.peers import RecordingChannel, make_peer

pytestmark = pytest.mark.anyio

TURNS = 100


@contextlib.asynccontextmanager
async def count_turns() -> AsyncIterator[list[int]]:
    """Count the turns that another task gets during the block."""
    turns = [0]

    async def run() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(run())
    try:
        yield turns
    finally:
        task.cancel()


def write_nothing(frame: Frame) -> bytes:
    """Encode a frame, as far as a transport that takes everything cares."""
    return b""


def join_fast_peer(hub: LocalHub) -> tuple[Peer, list[bytes]]:
    """Add a peer that keeps up: its frames go straight to its transport."""
    peer, channel = make_peer("fast", hub)
    written: list[bytes] = []
    channel.direct_writer = DirectWriter(write_nothing, written.append)
    hub.add_peer(peer)
    return peer, written


@pytest.mark.parametrize("way", ["hub", "peer"])
async def test_publisher_in_a_loop_lets_others_run(way: str) -> None:
    hub = LocalHub(Counters())
    peer, written = join_fast_peer(hub)
    await peer.subscribe("a")
    publish: Callable[[], Awaitable[None]] = (
        (lambda: hub.publish("a", "x")) if way == "hub" else (lambda: peer.publish("a", "x", include_self=True))
    )
    async with count_turns() as turns:
        for _ in range(TURNS):
            await publish()
        assert turns[0] >= TURNS - 1
    assert len(written) == TURNS


@pytest.mark.parametrize("lost", [False, True])
async def test_publisher_in_a_loop_lets_others_run_with_a_broker_too(lost: bool) -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        await one.join("1", "a")
        if lost:
            broker.stop()
            await one.until_connected(False)
        async with count_turns() as turns:
            for _ in range(TURNS):
                await one.hub.publish("a", "x")
            assert turns[0] >= TURNS - 1


async def test_messages_of_another_process_let_others_run() -> None:
    async with processes(MemoryBroker(), 2) as (one, two):
        channel = await two.join("1", "a")
        await asyncio.gather(*(one.hub.publish("a", "x") for _ in range(TURNS)))
        async with count_turns() as turns:
            while len(channel.frames) < TURNS:  # noqa: ASYNC110
                await asyncio.sleep(0)
            # Without a pause after each, all that has come would be delivered in one turn.
            assert turns[0] >= TURNS / 2


def open_session(max_queue: int, gate: asyncio.Event) -> tuple[PeerSession, list[str], RecordingChannel]:
    """Open a session whose first message fails once the gate is open."""
    calls: list[str] = []
    hub = LocalHub(Counters())
    peer, channel = make_peer("1", hub)

    async def message(peer: Peer, message: Message) -> None:
        calls.append(message.text())
        await gate.wait()
        raise ValueError("out of ink")

    def close(peer: Peer, details: CloseDetails) -> None:
        calls.append(f"close {details.code}")

    handler = define_websocket_handler(message=message, close=close)
    session = PeerSession(peer, handler, hub, route="/chat", max_queue=max_queue, counters=Counters())
    session.start()
    return session, calls, channel


async def test_reading_goes_on_after_a_hook_that_failed_with_a_full_queue() -> None:
    gate = asyncio.Event()
    session, calls, channel = open_session(2, gate)
    assert session.feed("1")
    await asyncio.sleep(0)
    assert session.feed("2")
    assert not session.feed("3")
    resumed: list[bool] = []
    session.on_resume = lambda: resumed.append(True)
    gate.set()
    async with asyncio.timeout(30):
        while not channel.closes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    # Otherwise nobody would read the client's answer to the close frame.
    assert resumed == [True]
    assert channel.closes == [(1011, "Internal error")]
    # What comes now is dropped, and never pauses reading.
    assert all(session.feed("4") for _ in range(10))
    session.on_close(CloseDetails(1011))
    await asyncio.wait_for(session.finished(), 30)
    assert calls == ["1", "close 1011"]


async def test_reading_goes_on_after_a_hook_that_was_cancelled_with_a_full_queue() -> None:
    gate = asyncio.Event()
    session, _, _ = open_session(1, gate)
    session.feed("1")
    await asyncio.sleep(0)
    assert not session.feed("2")
    resumed: list[bool] = []
    session.on_resume = lambda: resumed.append(True)
    assert session._task is not None
    session._task.cancel()
    await asyncio.wait_for(session.finished(), 30)
    assert resumed == [True]


@pytest.mark.parametrize(
    ("message", "details"),
    [
        ({}, CloseDetails(1005)),
        ({"code": None, "reason": None}, CloseDetails(1005)),
        ({"code": 1005, "reason": ""}, CloseDetails(1005)),
        ({"code": 4000, "reason": "bye"}, CloseDetails(4000, "bye")),
    ],
)
async def test_end_without_a_code_is_told_as_1005(message: dict[str, object], details: CloseDetails) -> None:
    gate = asyncio.Event()
    session, _, _ = open_session(8, gate)
    messages = [{"type": "websocket.disconnect", **message}]

    async def receive() -> dict[str, object]:
        return messages.pop()

    found = await read_socket(session, receive)
    assert found == details
    session.on_close(found)
    await session.finished()
