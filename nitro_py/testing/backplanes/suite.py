"""The suite for backplanes, and the broker that it needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from nitro_py.backplane import Backplane, BackplaneConnection, Outgoing
from nitro_py.errors import BackplaneError

MakeBackplane = Callable[[str], Backplane]

# How long something may take, in seconds.
PATIENCE = 30.0
# How long is waited to see that nothing comes, in seconds.
SILENCE = 0.1
# How long a broker that has fallen silent may go unnoticed, in seconds.
NOTICE = 30.0

TOPICS = (
    "chat",
    "",
    "*",
    ">",
    "a.b",
    "a.*",
    "a.>",
    "a..b",
    ".a",
    "a b",
    "\r\n",
    "é/ü",
    "%",
    "A",
    "a",
    "x" * 2000,
    "\x00",
    "\ufeff",
    "😀" * 1024,
    "x" * 4096,
    "a\tb",
    "[a]",
    "a?",
    "$SYS.x",
    "_INBOX.x",
    "__keyspace@0__:x",
)


class Broker(Protocol):
    """The broker behind the backplanes of a test."""

    def stop(self) -> None:
        """Kill it."""

    def start(self) -> None:
        """Start it again, at the same address."""

    def freeze(self) -> None:
        """Stop its process; its connections stay open."""

    def thaw(self) -> None:
        """Let its process go on."""


class AppProcess:
    """One process of an app: a connection, and the messages that it has received."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.connection: BackplaneConnection
        # Not raised where it happens: a backplane relies on `receive` never to raise.
        self.overlapped = False
        self._busy = False

    async def receive(self, data: bytes) -> None:
        """Take a message."""
        self.overlapped = self.overlapped or self._busy
        self._busy = True
        await asyncio.sleep(0)
        self.received.append(data)
        self._busy = False

    async def publish(self, topic: str, *data: bytes) -> None:
        """Publish messages to a topic."""
        await self.connection.publish([Outgoing(topic, item) for item in data])

    async def hear(self, count: int) -> list[bytes]:
        """Wait until that many messages have come, and return all."""
        await until(lambda: len(self.received) >= count, f"{count} messages", lambda: self.received)
        return self.received


async def until(good: Callable[[], bool], what: str, seen: Callable[[], object]) -> None:
    """Wait until a condition is true.

    Args:
        good: The condition.
        what: Its name, for the error.
        seen: Returns what is there instead, for the error.

    Raises:
        AssertionError: It is not true in time.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            # The backplane's own tasks make it true.
            while not good():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"Waited {PATIENCE:g} s for {what}, got {seen()!r}.") from None


@asynccontextmanager
async def connected(backplane: Backplane) -> AsyncIterator[AppProcess]:
    """Connect a process until the end of the block."""
    process = AppProcess()
    process.connection = await backplane.connect(process.receive)
    try:
        yield process
    finally:
        await process.connection.close()
    assert not process.overlapped, "`receive` was called before it had returned."


async def refuses(work: Awaitable[object]) -> bool:
    """Return whether something raises `BackplaneError`."""
    try:
        await asyncio.wait_for(work, NOTICE)
    except BackplaneError:
        return True
    return False


@pytest.mark.anyio
class BackplaneConformance:
    """The contract while the broker runs, as tests."""

    async def test_subscribers_hear_at_once_and_others_do_not(self, make_backplane: MakeBackplane) -> None:
        async with (
            connected(make_backplane("app")) as sender,
            connected(make_backplane("app")) as listener,
            connected(make_backplane("app")) as other,
        ):
            await listener.connection.subscribe(["a", "b"])
            await other.connection.subscribe(["c"])
            await sender.connection.publish([Outgoing("a", b"1"), Outgoing("b", b"2"), Outgoing("d", b"3")])
            assert sorted(await listener.hear(2)) == [b"1", b"2"]
            await asyncio.sleep(SILENCE)
            assert (sender.received, len(listener.received), other.received) == ([], 2, [])

    async def test_topic_stands_for_itself_only(self, make_backplane: MakeBackplane) -> None:
        async with connected(make_backplane("app")) as sender, connected(make_backplane("app")) as listener:
            for topic in TOPICS:
                await listener.connection.subscribe([topic])
                await sender.connection.publish([Outgoing(name, name.encode()) for name in TOPICS])
                await listener.hear(1)
                await listener.connection.unsubscribe([topic])
                # What follows could come only after what should not come at all.
                await listener.connection.subscribe(["the end"])
                await sender.publish("the end", b"the end")
                await until(lambda: b"the end" in listener.received, "the end", lambda: listener.received)
                await listener.connection.unsubscribe(["the end"])
                assert listener.received == [topic.encode(), b"the end"]
                listener.received.clear()

    async def test_bytes_come_as_they_were(self, make_backplane: MakeBackplane) -> None:
        async with connected(make_backplane("app")) as sender, connected(make_backplane("app")) as listener:
            await listener.connection.subscribe(["a"])
            data = [b"", bytes(range(256)), b"\r\n", b"x" * 300_000]
            await sender.publish("a", *data)
            assert await listener.hear(4) == data

    async def test_order_within_a_topic_is_kept(self, make_backplane: MakeBackplane) -> None:
        async with connected(make_backplane("app")) as sender, connected(make_backplane("app")) as listener:
            await listener.connection.subscribe(["a"])
            for start in range(0, 1000, 50):
                await sender.publish("a", *(b"%d" % number for number in range(start, start + 50)))
            assert await listener.hear(1000) == [b"%d" % number for number in range(1000)]

    async def test_many_topics_are_subscribed_to_and_given_up(self, make_backplane: MakeBackplane) -> None:
        topics = [f"topic {number}" for number in range(500)]
        async with connected(make_backplane("app")) as sender, connected(make_backplane("app")) as listener:
            await listener.connection.subscribe(topics)
            await listener.connection.unsubscribe(topics[::2])
            await sender.connection.publish([Outgoing(topic, topic.encode()) for topic in topics])
            assert sorted(await listener.hear(250)) == sorted(topic.encode() for topic in topics[1::2])
            await asyncio.sleep(SILENCE)
            assert len(listener.received) == 250

    async def test_confirmed_subscription_holds_at_once(self, make_backplane: MakeBackplane) -> None:
        topics = [f"topic {number}" for number in range(300)]
        async with connected(make_backplane("app")) as sender, connected(make_backplane("app")) as listener:
            for count, topic in enumerate(topics, start=1):
                await listener.connection.subscribe([topic])
                await sender.publish(topic, topic.encode())
                await listener.hear(count)
                await listener.connection.unsubscribe([topic])
            assert listener.received == [topic.encode() for topic in topics]

    async def test_calls_at_the_same_time_do_not_disturb_each_other(self, make_backplane: MakeBackplane) -> None:
        async with connected(make_backplane("app")) as one, connected(make_backplane("app")) as two:
            await one.connection.subscribe(["a"])
            await asyncio.gather(
                *(one.connection.subscribe([f"extra {number}"]) for number in range(20)),
                *(two.publish("a", b"%d" % number) for number in range(100)),
                *(one.publish("b", b"x") for _ in range(100)),
            )
            assert sorted(await one.hear(100)) == sorted(b"%d" % number for number in range(100))

    async def test_apps_with_other_prefixes_are_not_heard(self, make_backplane: MakeBackplane) -> None:
        async with (
            connected(make_backplane("one")) as one,
            connected(make_backplane("one")) as sender,
            connected(make_backplane("two")) as two,
            connected(make_backplane("two")) as other_sender,
        ):
            for process in (one, two):
                await process.connection.subscribe(["a"])
            await sender.publish("a", b"1")
            await other_sender.publish("a", b"2")
            assert (await one.hear(1), await two.hear(1)) == ([b"1"], [b"2"])
            await asyncio.sleep(SILENCE)
            assert (one.received, two.received) == ([b"1"], [b"2"])

    async def test_too_large_a_message_is_foretold(self, make_backplane: MakeBackplane) -> None:
        async with connected(make_backplane("app")) as sender, connected(make_backplane("app")) as listener:
            size = sender.connection.max_size
            await listener.connection.subscribe(["a"])
            await sender.publish("a", bytes(size if size is not None else 4 * 1024 * 1024))
            assert len((await listener.hear(1))[0]) >= 64 * 1024

    async def test_nothing_comes_after_the_close(self, make_backplane: MakeBackplane) -> None:
        async with connected(make_backplane("app")) as sender:
            async with connected(make_backplane("app")) as listener:
                await listener.connection.subscribe(["a"])
            await sender.publish("a", b"1")
            await asyncio.sleep(SILENCE)
            assert listener.received == []
            await listener.connection.close()
            assert await refuses(listener.publish("a", b"1"))


@pytest.mark.anyio
class BrokerFaults:
    """The contract when the broker fails, as tests."""

    async def test_broker_that_is_not_there_is_an_error(
        self, make_backplane: MakeBackplane, broker: Broker
    ) -> None:
        broker.stop()
        assert await refuses(make_backplane("app").connect(AppProcess().receive))
        broker.start()
        async with connected(make_backplane("app")) as process:
            await process.publish("a", b"1")

    async def test_lost_connection_says_so_and_stays_lost(
        self, make_backplane: MakeBackplane, broker: Broker
    ) -> None:
        async with connected(make_backplane("app")) as process:
            await process.connection.subscribe(["a"])
            waiting = asyncio.create_task(refuses(process.connection.wait_lost()))
            broker.stop()
            assert await waiting
            assert await refuses(process.publish("a", b"1"))
            broker.start()
            async with connected(make_backplane("app")) as other:
                # Neither the message that failed comes late, nor does the old connection live again.
                await other.connection.subscribe(["a"])
                await other.publish("a", b"2")
                await asyncio.sleep(SILENCE)
                assert set(other.received) <= {b"2"}
                assert process.received == []

    async def test_broker_that_falls_silent_is_noticed(
        self, make_backplane: MakeBackplane, broker: Broker
    ) -> None:
        async with connected(make_backplane("app")) as process:
            broker.freeze()
            try:
                assert await refuses(process.connection.wait_lost())
            finally:
                broker.thaw()
