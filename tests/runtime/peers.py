"""Peers without a network: what the parts around a connection need to be tried alone."""

from __future__ import annotations

from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError
from nitro_py.headers import Headers
from nitro_py.peer import Peer
from nitro_py.request import Request
from nitro_py.runtime.contracts import Broadcast, DirectWriter, Hub, ReadyState


class RecordingChannel:
    """Records what goes to a peer, in place of a socket."""

    def __init__(self) -> None:
        self.ready_state = ReadyState.OPEN
        self.buffered_amount = 0
        self.frames: list[Frame] = []
        self.closes: list[tuple[int, str]] = []
        self.direct_writer: DirectWriter | None = None

    async def send(self, frame: Frame) -> None:
        """Record a frame."""
        if self.ready_state is not ReadyState.OPEN:
            raise PeerClosedError("The peer is gone.")
        self.frames.append(frame)

    def deliver(self, broadcast: Broadcast) -> None:
        """Record a topic's frame."""
        self.frames.append(broadcast.frame)

    async def close(self, code: int, reason: str) -> None:
        """Record a close."""
        self.ready_state = ReadyState.CLOSING
        self.closes.append((code, reason))

    async def terminate(self) -> None:
        """Is gone."""
        self.ready_state = ReadyState.CLOSED

    async def wait_for_drain(self) -> None:
        """Has nothing to wait for."""


def make_peer(id: str, hub: Hub[Peer], *, namespace: str = "/chat") -> tuple[Peer, RecordingChannel]:
    """Make a peer and the channel that records what it is sent."""
    channel = RecordingChannel()
    peer = Peer(
        id=id,
        request=Request(f"ws://test{namespace}", headers=Headers()),
        namespace=namespace,
        protocol=None,
        context={},
        topics=set(),
        channel=channel,
        hub=hub,
        publish=hub.publish,
    )
    return peer, channel
