"""Topics and peers of the whole app, in the store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

from nitro_presets.aws_lambda.socket.channel import AwsChannel
from nitro_presets.aws_lambda.socket.context import store_changes
from nitro_presets.aws_lambda.socket.envelope import wrap_frame
from nitro_presets.aws_lambda.socket.platform import Platform
from nitro_presets.aws_lambda.store.contracts import ConnectionRow
from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError
from nitro_py.headers import Headers
from nitro_py.ids import make_id
from nitro_py.peer import Peer, ReadyState
from nitro_py.request import Request


class AwsHub:
    """Reaches every peer of the app, from whichever invocation.

    Args:
        platform: The services.
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def make_peer(self, row: ConnectionRow, *, settled: bool = False) -> Peer:
        """Makes a peer of what is kept about it; the handler may change the copy of the context.

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
            channel=AwsChannel(row.id, 0.0 if settled else row.connected_at, self.platform, state),
            hub=self,
        )

    async def subscribe(self, peer: Peer, topic: str) -> None:
        """Adds a peer to a topic.

        Raises:
            PeerClosedError: The peer is gone.
        """
        if topic in peer.topics:
            return
        row = await self._row(peer)
        if row is None or not await self.platform.store.subscribe(row, topic):
            raise PeerClosedError(f"Peer `{peer.id}` is gone.")

    async def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Takes a peer out of a topic."""
        row = await self._row(peer)
        if row is not None:
            await self.platform.store.unsubscribe(row, topic)

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Posts a frame to every subscriber, or has other invocations do so where they are many.

        Raises:
            MessageTooLargeError: API Gateway takes no message of this size.
            UnsupportedError: The frame is binary, and no envelope is configured.
            BackplaneError: The subscribers cannot be read, or the work cannot be handed on.
        """
        from nitro_presets.aws_lambda.socket.fanout import fan_out
        from nitro_presets.aws_lambda.store.jobs import Publication

        text = wrap_frame(frame, self.platform.settings.binary)
        publication = Publication(make_id(), topic, text, namespace, exclude)
        await store_changes()
        await fan_out(self.platform, publication)

    async def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Walks all connected peers."""
        start: str | None = None
        while True:
            page = await self.platform.store.connections(namespace, start=start)
            for row in page.items:
                yield self.make_peer(row)
            if page.next is None:
                return
            start = page.next

    async def get_peer(self, id: str) -> Peer | None:
        """Reaches one peer, wherever it is connected."""
        row = await self.platform.store.get_connection(id)
        return None if row is None or row.closing else self.make_peer(row)

    async def _row(self, peer: Peer) -> ConnectionRow | None:
        return await self.platform.store.get_connection(peer.id)


def copy_json(value: Mapping[str, object]) -> dict[str, object]:
    """Copies a context so deeply that a change in it can be seen."""
    copied: dict[str, object] = json.loads(json.dumps(dict(value)))
    return copied
