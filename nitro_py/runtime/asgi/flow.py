"""Reading and writing at the other side's pace."""

from __future__ import annotations

import asyncio
from typing import cast


class FlowControl(asyncio.Protocol):
    """Is a connection that knows whether its client takes bytes, and whether we do."""

    def __init__(self) -> None:
        self.transport = cast(asyncio.Transport, None)
        self.write_paused = False
        self._read_paused = False
        self._room: asyncio.Event | None = None

    def pause_writing(self) -> None:
        """Notes that the client takes bytes more slowly than they come."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Notes that the client takes bytes again."""
        self.write_paused = False
        if self._room is not None:
            self._room.set()
            self._room = None

    async def drain(self) -> None:
        """Waits until the client takes bytes again, or is gone."""
        if self.write_paused:
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()

    def pause_reading(self) -> None:
        """Takes no more bytes from the client for now."""
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads on."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()
