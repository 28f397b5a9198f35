"""Topics within one process."""

from __future__ import annotations

import pytest

from nitro_py.errors import PeerClosedError
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.topics.local_hub import LocalHub
from tests.runtime.peers import RecordingChannel, make_peer

pytestmark = pytest.mark.anyio


async def join(hub: LocalHub, id: str, *topics: str, namespace: str = "/chat") -> RecordingChannel:
    """Add a peer that subscribes to topics."""
    peer, channel = make_peer(id, hub, namespace=namespace)
    hub.add_peer(peer)
    for topic in topics:
        await peer.subscribe(topic)
    return channel


async def test_subscribers_in_the_namespace_hear_and_the_sender_does_not() -> None:
    hub = LocalHub(Counters())
    sender, own = make_peer("sender", hub)
    hub.add_peer(sender)
    await sender.subscribe("a")
    heard, other_topic, elsewhere = (
        await join(hub, "1", "a", "b"),
        await join(hub, "2", "b"),
        await join(hub, "3", "a", namespace="/elsewhere"),
    )
    await sender.publish("a", {"n": 1})
    assert (heard.frames, own.frames, other_topic.frames, elsewhere.frames) == (['{"n":1}'], [], [], [])
    await sender.publish("a", "2", include_self=True)
    assert (heard.frames[1:], own.frames, elsewhere.frames) == (["2"], ["2"], [])
    await hub.publish("a", "3")
    assert (heard.frames[2:], own.frames[1:], elsewhere.frames) == (["3"], ["3"], ["3"])
    await hub.publish("a", "4", namespace="/elsewhere")
    assert (heard.frames[3:], elsewhere.frames[1:]) == ([], ["4"])


async def test_subscribing_twice_delivers_once() -> None:
    hub = LocalHub(Counters())
    channel = await join(hub, "1", "a", "a")
    await hub.publish("a", "x")
    assert channel.frames == ["x"]


async def test_subscription_ends_with_the_connection_or_before() -> None:
    hub = LocalHub(Counters())
    peer, channel = make_peer("1", hub)
    hub.add_peer(peer)
    await peer.subscribe("a")
    await peer.subscribe("b")
    await peer.unsubscribe("a")
    await hub.publish("a", "x")
    assert channel.frames == []
    assert peer.topics == {"b"}
    hub.remove_peer(peer)
    await hub.publish("b", "x")
    assert channel.frames == []
    # The close hook can still see what it was subscribed to.
    assert peer.topics == {"b"}
    assert hub._topics == {}


async def test_peer_that_is_gone_cannot_subscribe() -> None:
    hub = LocalHub(Counters())
    stranger, _ = make_peer("1", hub)
    with pytest.raises(PeerClosedError):
        await stranger.subscribe("a")
    hub.add_peer(stranger)
    await stranger.close()
    with pytest.raises(PeerClosedError):
        await stranger.subscribe("a")
    assert stranger.topics == frozenset()


async def test_peers_are_walked_and_reached() -> None:
    hub = LocalHub(Counters())
    await join(hub, "1")
    await join(hub, "2", namespace="/elsewhere")
    assert [peer.id async for peer in hub.peers()] == ["1", "2"]
    assert [peer.id async for peer in hub.peers("/elsewhere")] == ["2"]
    found = await hub.get_peer("2")
    assert found is not None
    assert (str(found), await hub.get_peer("3")) == ("2", None)
    async for peer in hub.peers():
        hub.remove_peer(peer)
    assert await hub.get_peer("1") is None
