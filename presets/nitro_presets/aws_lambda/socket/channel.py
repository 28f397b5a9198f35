"""A peer's channel through the management API."""

from __future__ import annotations

import logging

from nitro_presets.aws_lambda.socket.context import store_changes
from nitro_presets.aws_lambda.socket.envelope import wrap_frame
from nitro_presets.aws_lambda.socket.platform import Platform
from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError, UnsupportedError
from nitro_py.peer import ReadyState
from nitro_py.runtime.broadcast import Broadcast

logger = logging.getLogger("nitro_py.aws")


class AwsChannel:
    """Posts to one connection.

    Args:
        id: The connection's id.
        connected_at: When it connected, in seconds since the epoch.
        platform: The services.
        ready_state: Where the connection stands.
    """

    __slots__ = ("_connected_at", "_id", "_platform", "ready_state")

    def __init__(
        self, id: str, connected_at: float, platform: Platform, ready_state: ReadyState = ReadyState.OPEN
    ) -> None:
        self._id = id
        self._connected_at = connected_at
        self._platform = platform
        self.ready_state = ready_state

    @property
    def buffered_amount(self) -> int:
        """Is 0: what waits, waits at the gateway."""
        return 0

    async def send(self, frame: Frame) -> None:
        """Posts a frame.

        Raises:
            PeerClosedError: The peer is gone.
            MessageTooLargeError: The frame is larger than API Gateway takes.
            UnsupportedError: The frame is binary, and no envelope is configured.
        """
        if self.ready_state is not ReadyState.OPEN:
            raise PeerClosedError(f"Peer `{self._id}` is gone.")
        text = wrap_frame(frame, self._platform.settings.binary)
        await store_changes()
        try:
            await self._platform.post(self._id, self._connected_at, text)
        except PeerClosedError:
            self.ready_state = ReadyState.CLOSED
            await self._platform.forget(self._id, self._connected_at)
            raise

    @property
    def outlet(self) -> None:
        """Is `None`, as nothing is handed over."""

    def deliver(self, broadcast: Broadcast) -> None:
        """Is not how topics reach peers here: publishing posts to them."""
        raise UnsupportedError("On AWS a topic's frames are posted, not handed over.")

    async def close(self, code: int, reason: str) -> None:
        """Ends the connection; the platform tells the client neither code nor reason."""
        if self.ready_state is ReadyState.OPEN:
            self.ready_state = ReadyState.CLOSING
            await store_changes()
            await self._platform.poster.delete(self._id)

    async def terminate(self) -> None:
        """Ends the connection."""
        await self.close(1006, "")

    async def wait_for_drain(self) -> None:
        """Returns at once: nothing waits in this process."""
