"""What a lost broker leaves to publishers and subscribers, and when it is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from nitro_py.backplane import Outgoing, Receive
from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import BackplaneError
from nitro_py.peer import channel_of
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.runtime.topics.broker_link import ANSWER_TIMEOUT, MAX_RETRY_PAUSE, MIN_RETRY_PAUSE
from nitro_py.testing.backplanes import MemoryBroker
from nitro_py.testing.backplanes.memory import MemoryBackplane, MemoryConnection
from tests.brokers.processes import BROKERS, BrokerName, run_broker
from tests.clock import use_own_clock
from tests.runtime.backplane.process import Process, hears, processes
from tests.runtime.peers import make_peer

pytestmark = pytest.mark.anyio

# Far below the time after which a silent broker counts as lost.
AT_ONCE = ANSWER_TIMEOUT / 2


async def fail_at_once(publishing: Sequence[asyncio.Task[None]]) -> None:
    """Check that every publish ends with an error, long before the broker's time is over."""
    done, _ = await asyncio.wait(publishing, timeout=AT_ONCE)
    assert done == set(publishing)
    for task in publishing:
        assert isinstance(task.exception(), BackplaneError)


async def test_publishers_behind_a_batch_in_flight_fail_at_once_and_nothing_is_sent_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = MemoryBroker()
    async with processes(broker, 2) as (one, two):
        there = await two.join("there", "a")
        (connection,) = [each for each in broker.connections if each._receive == one.hub._receive]
        sent = asyncio.Event()

        async def publish(messages: Sequence[Outgoing]) -> None:
            sent.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(connection, "publish", publish)
        publishing = [asyncio.create_task(one.hub.publish("a", "in flight"))]
        await sent.wait()
        publishing += [asyncio.create_task(one.hub.publish("a", f"behind {number}")) for number in range(3)]
        await asyncio.sleep(0)
        broker.stop()
        await fail_at_once(publishing)
        assert one.state.failures == 4
        broker.start()
        for process in (one, two):
            await process.until_connected()
        await one.hub.publish("a", "later")
        await hears(there, "later")


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKERS)
async def test_publishers_behind_a_batch_in_flight_fail_at_once_on_a_real_broker(name: BrokerName) -> None:
    with run_broker(name) as broker:
        backplane = load_backplane(BackplaneSettings(name, broker.url))
        assert backplane is not None
        one = Process(backplane)
        async with one.hub.running():
            await one.until_connected()
            broker.freeze()
            publishing = [asyncio.create_task(one.hub.publish("a", "in flight"))]
            await asyncio.sleep(0.1)
            publishing += [asyncio.create_task(one.hub.publish("a", f"behind {number}")) for number in range(3)]
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in publishing)
            broker.stop()
            await fail_at_once(publishing)


async def test_subscriber_that_waits_for_the_broker_goes_on_when_it_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        (connection,) = broker.connections
        asked = asyncio.Event()

        async def subscribe(topics: Sequence[str]) -> None:
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(connection, "subscribe", subscribe)
        joining = asyncio.create_task(one.join("1", "a"))
        await asked.wait()
        broker.stop()
        channel = await asyncio.wait_for(joining, AT_ONCE)
        await one.hub.publish("a", "here")
        await hears(channel, "here")


async def test_peer_that_gives_up_waiting_is_no_subscriber(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        (connection,) = broker.connections

        async def subscribe(topics: Sequence[str]) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(connection, "subscribe", subscribe)
        peer, _ = make_peer("1", one.hub)
        one.local.add_peer(peer)
        waiting = asyncio.create_task(peer.subscribe("a"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (one.local.has("a"), peer.topics) == (False, frozenset())


async def test_topic_joined_while_the_broker_is_lost_is_asked_for_when_it_is_back() -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        await one.join("1", "before")
        broker.stop()
        await one.until_connected(False)
        one.local.remove_subscriber("before", "/chat", "1")
        peer, _ = make_peer("2", one.hub)
        one.local.add_subscriber("during", peer.namespace, peer.id, channel_of(peer))
        broker.start()
        await one.until_connected()
        assert {topic for topic, found in broker.subscriptions.items() if found} == {"test:during"}


class TimedBackplane(MemoryBackplane):
    """A backplane that notes when each attempt to connect was made."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker, "test")
        self.attempts: list[float] = []

    async def connect(self, receive: Receive) -> MemoryConnection:
        """Note the time, and connect."""
        self.attempts.append(asyncio.get_running_loop().time())
        return await super().connect(receive)

    def take_pauses(self) -> list[float]:
        """Return the pauses between the attempts so far, and forget all but the last."""
        pauses = [after - before for before, after in zip(self.attempts, self.attempts[1:], strict=False)]
        del self.attempts[:-1]
        return pauses


def check_pauses(pauses: Sequence[float]) -> None:
    """Check pauses against the doubled ones, from the first on: half of each is random."""
    for number, pause in enumerate(pauses):
        longest = min(MAX_RETRY_PAUSE, MIN_RETRY_PAUSE * 2**number)
        # A timer of a busy machine is late; the next longest pause is twice as long.
        assert longest / 2 <= pause <= longest + 0.05, (number, pauses)


async def test_pauses_grow_while_the_broker_is_lost_and_begin_anew_after_a_steady_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_own_clock(monkeypatch)
    broker = MemoryBroker()
    backplane = TimedBackplane(broker)
    process = Process(backplane)
    async with process.hub.running():
        for _ in range(2):
            # A connection that has lasted.
            await asyncio.sleep(MAX_RETRY_PAUSE + 0.1)
            assert process.state.connected
            lost = asyncio.get_running_loop().time()
            broker.stop()
            await asyncio.sleep(60)
            backplane.attempts[0] = lost
            pauses = backplane.take_pauses()
            check_pauses(pauses)
            assert len(pauses) > 10
            broker.start()
            await process.until_connected()
            backplane.attempts[:] = backplane.attempts[-1:]


async def test_connection_that_does_not_last_does_not_begin_the_pauses_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_own_clock(monkeypatch)
    broker = MemoryBroker()
    backplane = TimedBackplane(broker)
    process = Process(backplane)
    async with process.hub.running():
        for _ in range(8):
            await process.until_connected()
            broker.stop()
            broker.start()
            await process.until_connected(False)
        await process.until_connected()
    pauses = backplane.take_pauses()
    assert len(pauses) == 8
    check_pauses(pauses)
