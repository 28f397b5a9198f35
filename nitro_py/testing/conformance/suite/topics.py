"""Topics: who hears what, and in what order."""

from __future__ import annotations

import pytest

from nitro_py.testing.answers import Closed
from nitro_py.testing.conformance.suite.steps import (
    PATIENCE,
    ask,
    do,
    hears_nothing,
    make_key,
    open_script,
    poll,
    read_journal,
)
from nitro_py.testing.conformance.target import Target, requires

# Less than a peer has to answer a close frame, for which nobody waits, in seconds.
SOON = 9.0


async def publish(target: Target, topic: str, **order: object) -> None:
    """Publish from an HTTP route."""
    answer = await target.request("POST", "/publish", json={"topic": topic, **order})
    assert answer.status == 204, answer.text


@pytest.mark.anyio
class Topics:
    """Tests of the contract's paragraphs "Topics" and "Delivery"."""

    @requires("topics")
    async def test_publishing_reaches_the_namespace_and_not_the_sender(self, target: Target) -> None:
        """Check T1 and T2 of the contract."""
        key = make_key()
        async with (
            open_script(target, key) as sender,
            # The query is no part of the namespace.
            open_script(target, key, "?other") as friend,
            open_script(target, key) as stranger,
            open_script(target) as elsewhere,
        ):
            for socket in (sender, friend, elsewhere):
                assert await ask(socket, "subscribe", topic="news") == {"topics": ["news"]}
            assert await ask(sender, "publish", topic="news", data={"n": 1}) == {"published": "news"}
            assert await friend.receive_json() == {"n": 1}
            assert await hears_nothing(sender, stranger, elsewhere)

    @requires("topics")
    async def test_sender_need_not_subscribe_and_may_include_itself(self, target: Target) -> None:
        """Check T1 of the contract."""
        key = make_key()
        async with open_script(target, key) as sender, open_script(target, key) as friend:
            await ask(friend, "subscribe", topic="news")
            await ask(sender, "publish", topic="news", data="one", include_self=True)
            assert await friend.receive_text() == "one"
            # Included or not, who does not subscribe hears nothing.
            assert await hears_nothing(sender)
            await ask(sender, "subscribe", topic="news")
            await do(sender, "publish", topic="news", data="two", include_self=True)
            heard = {await sender.receive_text(), await sender.receive_text()}
            assert heard == {"two", '{"published":"news"}'}
            assert await friend.receive_text() == "two"

    @requires("topics")
    @pytest.mark.parametrize(
        ("order", "error"),
        [
            ({"topic": 5}, "TypeError"),
            ({"topic": None}, "TypeError"),
            ({"topic": ["a"]}, "TypeError"),
            ({"topic": {"a": 1}}, "TypeError"),
            ({"surrogate": True}, "ValueError"),
            ({"topic": "x" * 4097}, "ValueError"),
        ],
        ids=["number", "null", "list", "object", "surrogate", "long"],
    )
    async def test_topic_that_is_none_is_an_error_there_and_nowhere_else(
        self, target: Target, order: dict[str, object], error: str
    ) -> None:
        """Check T3 of the contract."""
        key = make_key()
        async with open_script(target, key) as odd, open_script(target, key) as friend:
            assert await ask(odd, "subscribe_odd", **order) == {"refused": [error] * 3}
            await ask(friend, "subscribe", topic="news")
            await ask(odd, "publish", topic="news", data="still here")
            assert await friend.receive_text() == "still here"

    @requires("topics")
    @pytest.mark.parametrize(
        "topic", ["\x00", "\ufeff", "a b\r\n", "😀" * 1024], ids=["nul", "mark", "spaces", "long"]
    )
    async def test_any_text_is_a_topic(self, target: Target, topic: str) -> None:
        """Check T3 of the contract."""
        key = make_key()
        async with open_script(target, key) as sender, open_script(target, key) as friend:
            await ask(friend, "subscribe", topic=topic)
            await ask(sender, "publish", topic=topic, data="heard")
            assert await friend.receive_text() == "heard"

    @requires("topics")
    async def test_subscription_is_exact_and_has_no_history(self, target: Target) -> None:
        """Check T1 of the contract."""
        key = make_key()
        async with open_script(target, key) as sender, open_script(target, key) as friend:
            await ask(sender, "publish", topic="a.b", data="before")
            for topic in ("*", "a.*", "a", "", "A.B"):
                await ask(friend, "subscribe", topic=topic)
            await ask(sender, "publish", topic="a.b", data="now")
            assert await hears_nothing(friend)
            assert await ask(friend, "state") | {"topics": ["", "*", "A.B", "a", "a.*"]} == await ask(
                friend, "state"
            )

    @requires("topics")
    async def test_subscribing_twice_delivers_once_and_unsubscribing_ends_it(self, target: Target) -> None:
        """Check T1 and T5 of the contract."""
        key = make_key()
        async with open_script(target, key) as sender, open_script(target, key) as friend:
            await ask(friend, "subscribe", topic="news")
            await ask(friend, "subscribe", topic="news")
            await ask(sender, "publish", topic="news", data="one")
            assert await friend.receive_text() == "one"
            assert await hears_nothing(friend)
            assert await ask(friend, "unsubscribe", topic="news") == {"topics": []}
            await ask(sender, "publish", topic="news", data="two")
            assert await hears_nothing(friend)

    @requires("topics")
    async def test_subscriptions_end_with_the_connection(self, target: Target) -> None:
        """Check T1 of the contract."""
        key = make_key()
        async with open_script(target, key) as sender:
            async with open_script(target, key) as friend:
                await ask(friend, "subscribe", topic="news")
            async with open_script(target, key) as friend:
                await ask(sender, "publish", topic="news", data="one")
                assert (await ask(friend, "state"))["topics"] == []
                assert await hears_nothing(friend)

    @requires("topics")
    async def test_namespace_of_the_upgrade_is_shared_across_paths(self, target: Target) -> None:
        """Check T2 of the contract."""
        namespace = make_key()
        async with (
            open_script(target, query=f"?namespace={namespace}") as one,
            open_script(target, query=f"?namespace={namespace}") as two,
        ):
            assert (await ask(one, "state"))["namespace"] == namespace
            await ask(two, "subscribe", topic="news")
            await ask(one, "publish", topic="news", data="across")
            assert await two.receive_text() == "across"

    @requires("topics")
    async def test_publishing_from_a_route_reaches_every_namespace_unless_one_is_named(
        self, target: Target
    ) -> None:
        """Check T3 of the contract."""
        key, topic = make_key(), make_key()
        async with open_script(target, key) as here, open_script(target) as there:
            for socket in (here, there):
                await ask(socket, "subscribe", topic=topic)
            await publish(target, topic, data={"to": "all"})
            assert await here.receive_json() == await there.receive_json() == {"to": "all"}
            await publish(target, topic, data="one", namespace=f"/ws/script/{key}")
            assert await here.receive_text() == "one"
            assert await hears_nothing(there)

    @requires("topics", "websocket.binary")
    async def test_bytes_are_published_as_binary(self, target: Target) -> None:
        """Check T1 of the contract."""
        key = make_key()
        async with open_script(target, key) as sender, open_script(target, key) as friend:
            await ask(friend, "subscribe", topic="news")
            await ask(sender, "publish", topic="news", data=None, binary=True)
            assert await friend.receive() == b"\x01"

    @requires("topics.ordered")
    async def test_messages_of_one_publisher_come_in_order(self, target: Target) -> None:
        """Check T5 of the contract."""
        key = make_key()
        async with open_script(target, key) as sender, open_script(target, key) as friend:
            await ask(friend, "subscribe", topic="news")
            await do(sender, "publish", topic="news", data=None, times=200)
            assert [await friend.receive_json() for _ in range(200)] == list(range(200))

    @requires("topics.sse")
    async def test_topic_is_streamed_to_event_streams(self, target: Target) -> None:
        """Check S7 of the contract."""
        key, topic = make_key(), make_key()
        everywhere, named = f"/topics_sse/{topic}", f"/topics_sse/{topic}?namespace=/ws/script/{key}"
        async with (
            target.stream("GET", everywhere) as hears_all,
            target.stream("GET", named) as hears_one,
            open_script(target, key) as sender,
        ):
            for stream in (hears_all, hears_one):
                assert (await anext(stream.events())).data == "subscribed"
            # Each message is waited for: where processes share the topic, nothing orders those of two publishers.
            await publish(target, topic, data="elsewhere", namespace="/nowhere")
            assert (await anext(hears_all.events())).data == "elsewhere"
            await ask(sender, "publish", topic=topic, data={"a": "b\nc"})
            for stream in (hears_all, hears_one):
                assert (await anext(stream.events())).data == '{"a":"b\\nc"}'
            await publish(target, topic, data="two\nlines")
            for stream in (hears_all, hears_one):
                assert (await anext(stream.events())).data == "two\nlines"

    @requires("topics", "websocket.close-code", "websocket.buffering")
    async def test_slow_subscriber_is_closed_and_delays_nobody(self, target: Target) -> None:
        """Check T6 of the contract."""
        key, topic, messages, size = make_key(), make_key(), 384, 64 * 1024
        closed: Closed | None = None
        async with open_script(target, key) as slow, open_script(target) as quick:
            id = (await ask(slow, "state"))["id"]
            for socket in (slow, quick):
                await ask(socket, "subscribe", topic=topic)
            for _ in range(messages // 2):
                # Together they stay below the limit, so that only reading nothing counts as slow.
                await publish(target, topic, size=size, times=2)
                # Sooner than the slow one would be given up.
                assert [(await quick.receive_text(SOON))[:2] for _ in range(2)] == ["0 ", "1 "]
                # From then on it has the time of a closing handshake to read what comes before its close frame.
                # On a busy machine the other messages take longer.
                if closed is None and "close 1013 Too slow" in await read_journal(target, key):
                    closed = await slow.wait_closed(PATIENCE)
            await poll(lambda: target.request("GET", f"/peers/{id}"), lambda answer: answer.status == 404)
            closed = closed or await slow.wait_closed(PATIENCE)
            assert closed.code == 1013
            assert (await ask(quick, "state"))["topics"] == [topic]
