"""Who hears a topic, and by which way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nitro_py.encoding import Frame
from nitro_py.peer import Peer
from nitro_py.runtime.contracts import Broadcast, DirectWriter
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.topics.local_hub import LocalHub
from nitro_py.runtime.topics.subscribers import TopicSubscribers
from tests.runtime.peers import RecordingChannel, make_peer

Encode = Callable[[Frame], bytes]


def write_plain(frame: Frame) -> bytes:
    """Write a frame in one form."""
    return f"plain {frame!r}".encode()


class Stage:
    """An audience with peers that keep up, and such as do not."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.hub = LocalHub(self.counters)
        self.audience = TopicSubscribers(self.counters)

    def add(self, id: str, encode: Encode | None = None) -> tuple[Peer, RecordingChannel, list[bytes]]:
        """Add a peer, with a direct writer if it can encode; return what reaches it, too."""
        peer, channel = make_peer(id, self.hub)
        written: list[bytes] = []
        if encode is not None:
            channel.direct_writer = DirectWriter(encode, written.append)
        self.audience.add(peer.id, channel)
        return peer, channel, written


def test_each_form_is_written_once_and_goes_to_all_outlets_of_it() -> None:
    encoded: list[Frame] = []

    def write_counted(frame: Frame) -> bytes:
        encoded.append(frame)
        return b"counted"

    stage = Stage()
    _, slow, _ = stage.add("slow")
    _, _, plain = stage.add("plain", write_plain)
    ways = [stage.add(f"counted {number}", write_counted) for number in range(3)]
    stage.audience.deliver(Broadcast("hi"), None)
    assert (plain, slow.frames) == ([b"plain 'hi'"], ["hi"])
    assert [(channel.frames, written) for _, channel, written in ways] == [([], [b"counted"])] * 3
    assert encoded == ["hi"]
    # A channel that is delivered to counts itself.
    assert stage.counters.messages_sent == 4


@pytest.mark.parametrize("excluded", ["quick", "slow", "nobody"])
def test_one_subscriber_is_left_out_whichever_way_leads_to_it(excluded: str) -> None:
    stage = Stage()
    _, slow, _ = stage.add("slow")
    _, _, quick = stage.add("quick", write_plain)
    _, _, other = stage.add("other", write_plain)
    stage.audience.deliver(Broadcast("hi"), excluded)
    assert len(other) == 1
    assert len(slow.frames) == (excluded != "slow")
    assert len(quick) == (excluded != "quick")
    assert stage.counters.messages_sent == 1 + (excluded != "quick")


def test_who_stops_to_keep_up_is_delivered_to_and_written_to_later() -> None:
    stage = Stage()
    _, channel, written = stage.add("1", write_plain)
    stage.audience.deliver(Broadcast("a"), None)
    direct_writer, channel.direct_writer = channel.direct_writer, None
    stage.counters.direct_writers_closed += 1
    stage.audience.deliver(Broadcast("b"), None)
    assert (written, channel.frames) == ([b"plain 'a'"], ["b"])
    channel.direct_writer = direct_writer
    stage.add("2")
    stage.audience.deliver(Broadcast("c"), None)
    assert (written[1:], channel.frames) == ([b"plain 'c'"], ["b"])


def test_who_leaves_hears_no_more() -> None:
    stage = Stage()
    _, channel, _ = stage.add("1")
    _, _, written = stage.add("2", write_plain)
    stage.audience.deliver(Broadcast("a"), None)
    stage.audience.discard("1")
    stage.audience.discard("2")
    stage.audience.discard("3")
    stage.audience.deliver(Broadcast("b"), None)
    assert (channel.frames, written, len(stage.audience)) == (["a"], [b"plain 'a'"], 0)


def test_delivery_may_take_subscribers_away() -> None:
    stage = Stage()
    peers = [stage.add(str(number)) for number in range(3)]
    _, _, written = stage.add("quick", write_plain)

    def leave(broadcast: Broadcast) -> None:
        for peer, _, _ in peers:
            stage.audience.discard(peer.id)

    peers[0][1].deliver = leave  # type: ignore[method-assign]
    stage.audience.deliver(Broadcast("a"), None)
    # It has begun to be delivered, and ends; what is published next finds one.
    assert (peers[1][1].frames, peers[2][1].frames, written) == (["a"], ["a"], [b"plain 'a'"])
    stage.audience.deliver(Broadcast("b"), None)
    assert (peers[1][1].frames, written[1:]) == (["a"], [b"plain 'b'"])
