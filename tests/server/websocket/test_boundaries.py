"""Limits to the byte, timers that are given up, and the turns of the keepalive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nitro_py.errors import PeerClosedError
from nitro_py.runtime.closing import CLOSE_TIMEOUT
from nitro_py.runtime.contracts import Broadcast, ReadyState
from nitro_py.runtime.counters import Counters
from nitro_py.server.websocket.channel import TransportChannel
from nitro_py.server.websocket.frames import FIN, PONG, TEXT, write_close, write_frame, write_message
from nitro_py.server.websocket.keepalive import SLOTS, KeepaliveWheel
from nitro_py.websocket import CloseDetails
from tests.clock import use_own_clock

LIMIT = 100


class SlowTransport:
    """A transport whose client takes what the test says, in place of the system's buffers."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.buffered = 0
        self.is_aborted = self.is_closed = False

    def set_write_buffer_limits(self, high: int) -> None:
        """Pause with the first byte that stays."""
        assert high == 0

    def get_write_buffer_size(self) -> int:
        """Return how much the client has not taken."""
        return self.buffered

    def write(self, data: bytes) -> None:
        """Take a frame."""
        self.written.append(data)

    def abort(self) -> None:
        """Drop the connection."""
        self.is_aborted = True

    def close(self) -> None:
        """Close the connection."""
        self.is_closed = True


class Owner:
    """The connection of a channel, which notes what it is told."""

    def __init__(self) -> None:
        self.closes = 0
        self.dropped: list[CloseDetails] = []

    def close_sent(self) -> None:
        """Note it."""
        self.closes += 1

    def dropped_slow(self, details: CloseDetails) -> None:
        """Note it."""
        self.dropped.append(details)


@pytest.fixture
def anyio_backend() -> str:
    """Run on Python's own loop alone: no real transport is used."""
    return "asyncio"


pytestmark = pytest.mark.anyio


def open_channel() -> tuple[TransportChannel, SlowTransport, Owner]:
    """Open a channel with a narrow limit."""
    transport: Any = SlowTransport()
    owner = Owner()
    channel = TransportChannel(transport, owner, write_message)
    channel.configure(limit=LIMIT, counters=Counters())
    return channel, transport, owner


async def test_broadcast_at_the_limit_waits_and_one_byte_more_is_too_slow() -> None:
    channel, transport, owner = open_channel()
    transport.buffered = 10
    channel.pause()
    # 88 bytes and a head of 2.
    channel.deliver(Broadcast("x" * 88))
    assert (channel.buffered_amount, owner.dropped) == (LIMIT, [])
    channel.deliver(Broadcast("y"))
    assert (channel.buffered_amount, owner.dropped) == (LIMIT + 3, [])
    channel.deliver(Broadcast("z"))
    assert owner.dropped == [CloseDetails(1013, "Too slow")]
    # The backlog is gone, so that the close frame gets through.
    assert transport.written == [write_close(1013, "Too slow")]
    assert (channel.ready_state, channel.buffered_amount) == (ReadyState.CLOSING, 10)
    channel.closed()


async def test_sender_waits_past_the_limit_and_not_at_it() -> None:
    channel, transport, _ = open_channel()
    transport.buffered = 10
    channel.pause()
    await asyncio.wait_for(asyncio.ensure_future(send(channel, "x" * 88)), 30)
    sending = asyncio.ensure_future(send(channel, "y"))
    await asyncio.sleep(0.01)
    assert not sending.done()
    transport.buffered = 7
    channel.resume()
    await asyncio.wait_for(sending, 30)
    assert transport.written == [write_message("x" * 88), write_message("y")]
    channel.closed()


async def send(channel: TransportChannel, text: str) -> None:
    """Send a message."""
    rest = channel.send(text)
    if rest is not None:
        await rest


async def test_pong_is_sent_at_the_limit_and_not_past_it() -> None:
    channel, transport, _ = open_channel()
    channel.pause()
    transport.buffered = LIMIT
    channel.pong(b"1")
    transport.buffered = LIMIT + 1
    channel.pong(b"2")
    assert transport.written == [write_frame(FIN | PONG, b"1")]
    channel.closed()


async def test_resumed_client_that_is_paused_again_gets_no_more() -> None:
    channel, transport, _ = open_channel()
    channel.pause()
    for text in "abc":
        channel.deliver(Broadcast(text))
    write = transport.write

    def write_and_pause(data: bytes) -> None:
        write(data)
        channel.pause()

    transport.write = write_and_pause  # type: ignore[method-assign]
    channel.resume()
    assert transport.written == [write_message("a")]
    assert channel.direct_writer is None
    transport.write = write  # type: ignore[method-assign]
    channel.deliver(Broadcast("d"))
    channel.resume()
    assert transport.written == [write_message(text) for text in "abcd"]
    assert channel.direct_writer is not None
    channel.closed()


async def test_closed_channel_does_not_flow_again() -> None:
    channel, transport, owner = open_channel()
    channel.pause()
    channel.deliver(Broadcast("a"))
    channel.begin_close(1000, "")
    channel.begin_close(1001, "again")
    channel.resume()
    assert transport.written == [write_message("a"), write_close(1000, "")]
    assert (channel.direct_writer, owner.closes, channel.sent_close) == (None, 1, CloseDetails(1000, ""))
    channel.deliver(Broadcast("late"))
    channel.pong(b"late")
    with pytest.raises(PeerClosedError, match="got CLOSING"):
        await send(channel, "late")
    assert len(transport.written) == 2
    channel.closed()


@pytest.mark.parametrize("answered", [False, True])
async def test_client_that_does_not_answer_a_close_is_dropped_in_time_and_another_is_not(
    answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = use_own_clock(monkeypatch)
    channel, transport, _ = open_channel()
    began = clock()
    channel.begin_close(1000, "")
    await asyncio.sleep(CLOSE_TIMEOUT - 0.1)
    assert not transport.is_aborted
    if answered:
        channel.answer_close(CloseDetails(1000, ""))
        channel.closed()
        assert transport.is_closed
    else:
        # A second close does not give more time.
        channel.begin_close(1002, "")
    await asyncio.sleep(1)
    assert transport.is_aborted is not answered
    assert clock() - began < CLOSE_TIMEOUT + 2


class Checked:
    """A connection that counts how often it was checked."""

    def __init__(self) -> None:
        self.checks = 0

    def check_alive(self) -> None:
        """Count."""
        self.checks += 1


async def test_wheel_checks_each_connection_once_a_turn_and_stands_still_without_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_own_clock(monkeypatch)
    wheel = KeepaliveWheel(asyncio.get_running_loop(), 16.0)
    first, second = Checked(), Checked()
    slots = [wheel.add(first)]
    await asyncio.sleep(3.5)
    slots.append(wheel.add(second))
    assert slots == [0, 3]
    # Up to one part early, and not before.
    await asyncio.sleep(12)
    assert (first.checks, second.checks) == (0, 0)
    await asyncio.sleep(1)
    assert (first.checks, second.checks) == (1, 0)
    await asyncio.sleep(3)
    assert (first.checks, second.checks) == (1, 1)
    await asyncio.sleep(10 * SLOTS)
    assert (first.checks, second.checks) == (11, 11)
    wheel.remove(first, slots[0])
    await asyncio.sleep(SLOTS)
    assert (first.checks, second.checks) == (11, 12)
    wheel.remove(second, slots[1])
    await asyncio.sleep(2)
    assert wheel._timer is None
    # It turns again for the next.
    third = Checked()
    wheel.add(third)
    await asyncio.sleep(SLOTS + 1)
    assert third.checks == 1


def test_text_frames_are_written_in_the_shortest_form() -> None:
    for length, head in (
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
    ):
        assert write_message("x" * length) == head + b"x" * length
    assert write_frame(FIN | TEXT, bytes(65536))[:10] == b"\x81\x7f" + (65536).to_bytes(8)
