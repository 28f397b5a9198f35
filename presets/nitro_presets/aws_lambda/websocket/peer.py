"""Peers and topics of the whole app: sent to by the `@connections` API, found in the store."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping

from nitro_presets.aws_lambda.store.contract import ConnectionRow
from nitro_presets.aws_lambda.websocket.context import save_context
from nitro_presets.aws_lambda.websocket.envelope import wrap_frame
from nitro_presets.aws_lambda.websocket.services import AwsServices
from nitro_py.encoding import Frame, make_id
from nitro_py.errors import PeerClosedError, UnsupportedError
from nitro_py.headers import Headers
from nitro_py.peer import Peer, ReadyState
from nitro_py.request import Request
from nitro_py.runtime.contracts import Broadcast

logger = logging.getLogger("nitro_py.aws")


class AwsChannel:
    """The channel of a peer, which posts to its connection.

    Args:
        id: The connection's id.
        connected_at: When it connected, in seconds since the epoch.
        services: The services.
        ready_state: The state of the connection.
    """

    __slots__ = ("_connected_at", "_id", "_services", "ready_state")

    def __init__(
        self, id: str, connected_at: float, services: AwsServices, ready_state: ReadyState = ReadyState.OPEN
    ) -> None:
        self._id = id
        self._connected_at = connected_at
        self._services = services
        self.ready_state = ready_state

    @property
    def buffered_amount(self) -> int:
        """The bytes that wait in this process: always 0."""
        return 0

    async def send(self, frame: Frame) -> None:
        """Post a frame.

        Raises:
            PeerClosedError: The peer is gone.
            MessageTooLargeError: The frame is larger than API Gateway accepts.
            UnsupportedError: The frame is binary, and `aws.binary` is `"none"`.
        """
        if self.ready_state is not ReadyState.OPEN:
            raise PeerClosedError(f"Peer `{self._id}` is gone.")
        text = wrap_frame(frame, self._services.settings.binary)
        await save_context()
        try:
            await self._services.post(self._id, self._connected_at, text)
        except PeerClosedError:
            self.ready_state = ReadyState.CLOSED
            await self._services.queue_close(self._id, self._connected_at)
            raise

    @property
    def direct_writer(self) -> None:
        """`None`: nothing is delivered within the process."""

    def deliver(self, broadcast: Broadcast) -> None:
        """Refuse a broadcast: publishing posts to subscribers.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError("On AWS a topic's frames are posted to its subscribers.")

    async def close(self, code: int, reason: str) -> None:
        """End the connection; API Gateway tells the client neither code nor reason."""
        if self.ready_state is ReadyState.OPEN:
            self.ready_state = ReadyState.CLOSING
            await save_context()
            await self._services.poster.delete(self._id)

    async def terminate(self) -> None:
        """End the connection."""
        await self.close(1006, "")

    async def wait_for_drain(self) -> None:
        """Return at once: nothing waits in this process."""


class AwsHub:
    """The hub of the whole app: it reaches every peer from any invocation.

    Args:
        services: The services.
    """

    def __init__(self, services: AwsServices) -> None:
        self.services = services

    def make_peer(self, row: ConnectionRow, *, settled: bool = False) -> Peer:
        """Make a peer from its row; the handler gets a copy of the context.

        Args:
            row: The row.
            settled: Whether its `$connect` is known to have returned, so that a 410 means that the peer is gone.
        """
        request = Request(
            row.url,
            headers=Headers(row.headers),
            params=row.params,
            remote_address=row.remote_address,
        )
        state = ReadyState.CLOSED if row.closing else ReadyState.OPEN
        return Peer(
            id=row.id,
            request=request,
            namespace=row.namespace,
            protocol=row.protocol,
            context=copy_json(row.context),
            topics=set(row.topics),
            channel=AwsChannel(row.id, 0.0 if settled else row.connected_at, self.services, state),
            hub=self,
            publish=self.publish,
        )

    async def subscribe(self, peer: Peer, topic: str) -> None:
        """Add a peer to a topic.

        Raises:
            PeerClosedError: The peer is gone.
        """
        if topic in peer.topics:
            return
        row = await self._row(peer)
        if row is None or not await self.services.store.subscribe(row, topic):
            raise PeerClosedError(f"Peer `{peer.id}` is gone.")

    async def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Remove a peer from a topic."""
        row = await self._row(peer)
        if row is not None:
            await self.services.store.unsubscribe(row, topic)

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Post a frame to every subscriber; where they are many, let other invocations post.

        Raises:
            MessageTooLargeError: The frame is larger than API Gateway accepts.
            UnsupportedError: The frame is binary, and `aws.binary` is `"none"`.
            BackplaneError: The subscribers cannot be read, or the first job cannot be stored.
        """
        from nitro_presets.aws_lambda.fanout.job_store import TopicPublication
        from nitro_presets.aws_lambda.fanout.publish import fan_out

        text = wrap_frame(frame, self.services.settings.binary)
        publication = TopicPublication(make_id(), topic, text, namespace, exclude)
        await save_context()
        await fan_out(self.services, publication)

    async def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Iterate over all connected peers."""
        start: str | None = None
        while True:
            page = await self.services.store.connections(namespace, start=start)
            for row in page.items:
                yield self.make_peer(row)
            if page.next is None:
                return
            start = page.next

    async def get_peer(self, id: str) -> Peer | None:
        """Return the peer with an id; `None` if it is not connected."""
        row = await self.services.store.get_connection(id)
        return None if row is None or row.closing else self.make_peer(row)

    async def _row(self, peer: Peer) -> ConnectionRow | None:
        return await self.services.store.get_connection(peer.id)


def copy_json(value: Mapping[str, object]) -> dict[str, object]:
    """Return a deep copy of a context."""
    copied: dict[str, object] = json.loads(json.dumps(dict(value)))
    return copied
