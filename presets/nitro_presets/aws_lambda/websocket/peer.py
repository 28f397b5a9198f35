"""Topics and peers of the whole app, in the store."""

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
    """Posts to one connection.

    Args:
        id: The connection's id.
        connected_at: When it connected, in seconds since the epoch.
        services: The services.
        ready_state: Where the connection stands.
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
        """Is 0: what waits, waits at the gateway."""
        return 0

    async def send(self, frame: Frame) -> None:
        """Post a frame.

        Raises:
            PeerClosedError: The peer is gone.
            MessageTooLargeError: The frame is larger than API Gateway takes.
            UnsupportedError: The frame is binary, and no envelope is configured.
        """
        if self.ready_state is not ReadyState.OPEN:
            raise PeerClosedError(f"Peer `{self._id}` is gone.")
        text = wrap_frame(frame, self._services.settings.binary)
        await save_context()
        try:
            await self._services.post(self._id, self._connected_at, text)
        except PeerClosedError:
            self.ready_state = ReadyState.CLOSED
            await self._services.forget(self._id, self._connected_at)
            raise

    @property
    def direct_writer(self) -> None:
        """Is `None`, as nothing is handed over."""

    def deliver(self, broadcast: Broadcast) -> None:
        """Is not how topics reach peers here: publishing posts to them."""
        raise UnsupportedError("On AWS a topic's frames are posted, not handed over.")

    async def close(self, code: int, reason: str) -> None:
        """End the connection; the platform tells the client neither code nor reason."""
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
    """Reaches every peer of the app, from whichever invocation.

    Args:
        services: The services.
    """

    def __init__(self, services: AwsServices) -> None:
        self.services = services

    def make_peer(self, row: ConnectionRow, *, settled: bool = False) -> Peer:
        """Make a peer of what is kept about it; the handler may change the copy of the context.

        Args:
            row: What is kept.
            settled: Whether its `$connect` is known to have returned, so that a 410 is believed at once.
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
        """Take a peer out of a topic."""
        row = await self._row(peer)
        if row is not None:
            await self.services.store.unsubscribe(row, topic)

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Post a frame to every subscriber, or has other invocations do so where they are many.

        Raises:
            MessageTooLargeError: API Gateway takes no message of this size.
            UnsupportedError: The frame is binary, and no envelope is configured.
            BackplaneError: The subscribers cannot be read, or the work cannot be handed on.
        """
        from nitro_presets.aws_lambda.fanout.job_store import TopicPublication
        from nitro_presets.aws_lambda.fanout.publish import fan_out

        text = wrap_frame(frame, self.services.settings.binary)
        publication = TopicPublication(make_id(), topic, text, namespace, exclude)
        await save_context()
        await fan_out(self.services, publication)

    async def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Walk all connected peers."""
        start: str | None = None
        while True:
            page = await self.services.store.connections(namespace, start=start)
            for row in page.items:
                yield self.make_peer(row)
            if page.next is None:
                return
            start = page.next

    async def get_peer(self, id: str) -> Peer | None:
        """Reach one peer, wherever it is connected."""
        row = await self.services.store.get_connection(id)
        return None if row is None or row.closing else self.make_peer(row)

    async def _row(self, peer: Peer) -> ConnectionRow | None:
        return await self.services.store.get_connection(peer.id)


def copy_json(value: Mapping[str, object]) -> dict[str, object]:
    """Copy a context so deeply that a change in it can be seen."""
    copied: dict[str, object] = json.loads(json.dumps(dict(value)))
    return copied
