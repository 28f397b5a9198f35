"""The hub of an app in several processes, on a broker that can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from nitro_py.backplane import BackplaneConnection, BackplaneMessage, Outgoing, Receive
from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import BackplaneError, MessageTooLargeError, PeerClosedError
from nitro_py.peer import channel_of
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.runtime.topics.backplane_hub import MAX_FRAME
from nitro_py.testing.backplanes import MemoryBroker, until
from tests.brokers.processes import run_broker
from tests.runtime.backplane.process import Process, hears, processes
from tests.runtime.peers import RecordingChannel, make_peer

pytestmark = pytest.mark.anyio


async def test_everybody_hears_once_wherever_they_are() -> None:
    async with processes(MemoryBroker(), 3) as (one, two, three):
        here, there = await one.join("here", "a"), await two.join("there", "a")
        elsewhere = await two.join("elsewhere", "a", namespace="/elsewhere")
        other = await three.join("other", "b")
        sender, own = make_peer("sender", one.hub)
        one.local.add_peer(sender)
        await sender.subscribe("a")
        await sender.publish("a", {"n": 1})
        await sender.publish("a", b"\x01", include_self=True)
        await one.hub.publish("a", "all")
        await hears(here, '{"n":1}', b"\x01", "all")
        await hears(there, '{"n":1}', b"\x01", "all")
        await hears(own, b"\x01", "all")
        await hears(elsewhere, "all")
        await hears(other)
        assert (two.state.received, one.state.received) == (3, 0)


async def test_broker_is_asked_for_what_has_subscribers_and_no_more() -> None:
    broker = MemoryBroker()

    def asked() -> dict[str, int]:
        return {topic: len(found) for topic, found in broker.subscriptions.items() if found}

    async with processes(broker, 2) as (one, two):
        await one.hub.publish("a", "nobody")
        assert asked() == {}
        first, _ = make_peer("1", one.hub)
        second, _ = make_peer("2", one.hub)
        for peer in (first, second):
            one.local.add_peer(peer)
            await peer.subscribe("a")
        await two.join("3", "a", "b")
        assert asked() == {"test:a": 2, "test:b": 1}
        await first.unsubscribe("a")
        await asyncio.sleep(0.01)
        assert asked() == {"test:a": 2, "test:b": 1}
        one.local.remove_peer(second)
        await until(lambda: asked() == {"test:a": 1, "test:b": 1}, "one subscription less", asked)


async def test_very_many_topics_come_back_with_the_broker() -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        topics = [str(number) for number in range(2000)]
        await one.join("1", *topics)
        broker.stop()
        await one.until_connected(False)
        broker.start()
        await one.until_connected()
        assert [topic for topic in topics if not broker.subscriptions[f"test:{topic}"]] == []


async def test_topic_that_comes_and_goes_ends_as_it_was_left() -> None:
    async with processes(MemoryBroker(), 2) as (one, two):
        peer, channel = make_peer("1", one.hub)
        one.local.add_peer(peer)
        for _ in range(20):
            await peer.subscribe("a")
            await peer.unsubscribe("a")
        await peer.subscribe("a")
        await two.hub.publish("a", "x")
        await hears(channel, "x")


async def test_peer_that_leaves_while_it_subscribes_leaves_nothing_behind() -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        peer, channel = make_peer("1", one.hub)
        one.local.add_peer(peer)
        subscribing = asyncio.create_task(peer.subscribe("a"))
        await asyncio.sleep(0)
        one.local.remove_peer(peer)
        with pytest.raises(PeerClosedError):
            await subscribing
        assert (one.local.has("a"), peer.topics, channel.frames) == (False, frozenset(), [])


async def test_nobody_waits_for_a_topic_that_has_lost_its_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        peer, _ = make_peer("1", one.hub)
        one.local.add_peer(peer)
        await peer.subscribe("before")
        (connection,) = broker.connections
        busy, go_on = asyncio.Event(), asyncio.Event()

        async def unsubscribe(topics: Sequence[str]) -> None:
            busy.set()
            await go_on.wait()

        monkeypatch.setattr(connection, "unsubscribe", unsubscribe)
        await peer.unsubscribe("before")
        await busy.wait()
        one.local.add_subscriber("a", peer.namespace, peer.id, channel_of(peer))
        waiting = asyncio.create_task(one.hub.wait_subscribed("a"))
        await asyncio.sleep(0)
        one.local.remove_subscriber("a", peer.namespace, peer.id)
        go_on.set()
        await asyncio.wait_for(waiting, 30)
        assert "test:a" not in broker.subscriptions


async def test_lost_broker_leaves_local_delivery_and_comes_back_with_its_subscriptions() -> None:
    broker = MemoryBroker()
    async with processes(broker, 2) as (one, two):
        here, there = await one.join("here", "a"), await two.join("there", "a")
        await one.hub.publish("a", "1")
        await hears(there, "1")
        broker.stop()
        for process in (one, two):
            await process.until_connected(False)
        await one.hub.publish("a", "2")
        late = await two.join("late", "b")
        broker.start()
        for process in (one, two):
            await process.until_connected()
        await one.hub.publish("a", "3")
        await one.hub.publish("b", "4")
        await hears(here, "1", "2", "3")
        await hears(there, "1", "3")
        await hears(late, "4")
        assert (one.state.reconnects, one.state.failures, two.state.failures) == (1, 1, 0)


async def test_lost_broker_is_an_error_only_where_nobody_is_here() -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        channel = await one.join("here", "a")
        broker.stop()
        await one.hub.publish("a", "x")
        await hears(channel, "x")
        with pytest.raises(BackplaneError, match="lost"):
            await one.hub.publish("b", "x")
        assert one.state.failures == 2


async def test_message_that_the_broker_cannot_carry_stays_here(caplog: pytest.LogCaptureFixture) -> None:
    with run_broker("nats") as broker:
        backplane = load_backplane(BackplaneSettings("nats", broker.url))
        assert backplane is not None
        one = Process(backplane)
        async with one.hub.running():
            channel = await one.join("1", "a")
            await one.hub.publish("a", "x" * 1024 * 1024)
            assert (len(channel.frames), one.state.failures, one.state.connected) == (1, 1, True)
            assert (
                "A message to `a` reached this process only. The broker takes at most 1048576 bytes" in caplog.text
            )
            with pytest.raises(BackplaneError, match="at most 1048576 bytes"):
                await one.hub.publish("b", "x" * 1024 * 1024)


async def test_absent_broker_is_waited_for() -> None:
    broker = MemoryBroker()
    broker.stop()
    async with processes(broker, 2) as (one, two):
        assert not one.state.connected
        channel = await one.join("1", "a")
        broker.start()
        for process in (one, two):
            await process.until_connected()
        await two.hub.publish("a", "x")
        await hears(channel, "x")


async def test_what_comes_twice_or_cannot_be_read_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        channel = await one.join("1", "a")
        connection = await broker.make_backplane().connect(one.hub._receive)
        message = BackplaneMessage(bytes(16), 1, "a", "x").to_bytes()
        await connection.publish([Outgoing("a", data) for data in (message, b"?", message)])
        await hears(channel, "x")
        assert (
            "Ignored a message from the backplane, and will others without a word. A message is broken"
            in caplog.text
        )
        await connection.close()


async def test_broker_gets_no_more_at_once_than_it_can_take(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        (connection,) = broker.connections
        batches: list[Sequence[Outgoing]] = []

        async def publish(messages: Sequence[Outgoing]) -> None:
            batches.append(messages)
            await asyncio.sleep(0.01)

        monkeypatch.setattr(connection, "publish", publish)
        await asyncio.gather(*(one.hub.publish("a", size * "x") for size in [1] * 600 + [400_000] * 6))
        assert [len(batch) for batch in batches] == [256, 256, 91, 3]


async def test_order_of_a_publisher_is_kept_when_it_does_not_wait() -> None:
    async with processes(MemoryBroker(), 2) as (one, two):
        channel = await two.join("1", "a")
        await asyncio.gather(*(one.hub.publish("a", str(number)) for number in range(1000)))
        await hears(channel, *map(str, range(1000)))


class PickyConnection:
    """A connection of a third party's backplane, which cannot express some topics, and says so in its own way."""

    def __init__(self, connection: BackplaneConnection) -> None:
        self._connection = connection
        self.max_size = connection.max_size
        self.unsubscribe = connection.unsubscribe
        self.wait_lost = connection.wait_lost
        self.close = connection.close

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish, or fail with the whole batch."""
        if any("bad" in topic for topic, _ in messages):
            raise UnicodeError("a bad topic")
        await self._connection.publish(messages)

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe, or fail with the whole batch."""
        if any("bad" in topic for topic in topics):
            raise UnicodeError("a bad topic")
        await self._connection.subscribe(topics)


class PickyBackplane:
    """A backplane whose connections are picky."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._backplane = broker.make_backplane()

    async def connect(self, receive: Receive) -> BackplaneConnection:
        """Open a connection."""
        return PickyConnection(await self._backplane.connect(receive))


async def test_topic_that_the_broker_cannot_take_fails_alone() -> None:
    broker = MemoryBroker()
    one, two = Process(PickyBackplane(broker)), Process(PickyBackplane(broker))
    async with one.hub.running(), two.hub.running():
        there = await two.join("there", "good")
        with pytest.raises(BackplaneError, match="cannot take the topic"):
            await one.join("odd", "bad")
        outcomes = await asyncio.gather(
            one.hub.publish("good", "1"),
            one.hub.publish("bad", "2"),
            one.hub.publish("good", "3"),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), BackplaneError, type(None)]
        await hears(there, "1", "3")
        # A subscriber that is there already, as after a reconnection, brings no other one down.
        one.local.add_subscriber("bad", None, "stream", RecordingChannel())
        here = await one.join("here", "good")
        await two.hub.publish("good", "4")
        await hears(here, "4")
        assert (one.state.reconnects, one.state.connected) == (0, True)
        broker.stop()
        await one.until_connected(False)
        broker.start()
        await one.until_connected()
        await two.until_connected()
        await two.hub.publish("good", "5")
        await hears(here, "4", "5")
        assert one.state.reconnects == 1


async def test_poison_of_the_broker_closes_nobody_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker()
    async with processes(broker, 1) as (one,):
        here = await one.join("here", "a")
        poison = BackplaneMessage(bytes(16), 1, "a", "x" * (MAX_FRAME + 1)).to_bytes()
        connection = await broker.make_backplane().connect(one.hub._receive)
        for number in range(50):
            await connection.publish([Outgoing("a", poison), Outgoing("a", b"\xff" * number)])
        await connection.publish([Outgoing("a", BackplaneMessage(bytes(16), 2, "a", "good").to_bytes())])
        await hears(here, "good")
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
        with pytest.raises(MessageTooLargeError):
            await one.hub.publish("a", "é" * (MAX_FRAME // 2 + 1))
        assert here.closes == []
        await connection.close()
