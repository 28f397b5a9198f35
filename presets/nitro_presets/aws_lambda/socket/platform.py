"""What the function reaches outside of itself, behind one object that tests can build from other parts."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from typing import Any, Protocol

from nitro_presets.aws_lambda.socket.settings import AwsSettings
from nitro_presets.aws_lambda.store.contracts import Store
from nitro_py.errors import PeerClosedError

# How young a connection is when a 410 may only mean that its `$connect` has not returned, in seconds.
YOUNG = 10.0
# How long such a 410 is answered by trying again, in seconds, and how often.
YOUNG_PATIENCE = 3.0
YOUNG_PAUSE = 0.1
TRACE_VARIABLE = "_X_AMZN_TRACE_ID"


class Poster(Protocol):
    """Sends to connections and ends them."""

    async def post(self, connection_id: str, frame: str | bytes) -> None:
        """Sends a message; raises `PeerClosedError` for a 410."""

    async def delete(self, connection_id: str) -> None:
        """Ends a connection."""


class Invoker(Protocol):
    """Has functions run."""

    async def invoke_async(self, function: str, payload: bytes, *, trace: str | None) -> None:
        """Hands an event to a function, and does not wait for it."""


class Queue(Protocol):
    """Keeps a connection's events in order."""

    async def send(self, queue_url: str, body: str, *, group: str, dedup: str) -> None:
        """Adds an event to a group."""


@dataclass(slots=True)
class Platform:
    """Holds the services that the functions use.

    Args:
        store: Connections and topics.
        poster: The management API.
        invoker: Lambda's own API.
        function: The WebSocket function's name.
        settings: The config's `aws.*`.
        queue: The queue, where messages are ordered.
        queue_url: Its URL.
    """

    store: Store
    poster: Poster
    invoker: Invoker
    function: str
    settings: AwsSettings
    queue: Queue | None = None
    queue_url: str = ""

    async def post(self, id: str, connected_at: float, text: str) -> None:
        """Sends a message, and does not believe in the end of a connection that has only just begun.

        Raises:
            PeerClosedError: The peer is gone, or seems to be.
        """
        until = time.time() + YOUNG_PATIENCE
        pause = YOUNG_PAUSE
        while True:
            try:
                await self.poster.post(id, text)
                return
            except PeerClosedError:
                now = time.time()
                if now - connected_at > YOUNG or now + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause *= 2

    async def forget(self, id: str, connected_at: float) -> None:
        """Queues the close of a peer that was found dead; its hook never runs inside the one who found it."""
        if time.time() - connected_at > YOUNG:
            await self.start({"kind": "close", "id": id})

    async def start(self, work: dict[str, Any]) -> None:
        """Has the WebSocket function do something in an invocation of its own."""
        payload = json.dumps({"nitro": work}, separators=(",", ":"), ensure_ascii=False)
        if self.queue is not None and "id" in work and work["kind"] in ("open", "close"):
            await self.queue.send(self.queue_url, payload, group=work["id"], dedup=f"{work['kind']}-{work['id']}")
            return
        # Lambda finds loops by this header, and only where it is handed on.
        trace = os.environ.get(TRACE_VARIABLE)
        await self.invoker.invoke_async(self.function, payload.encode(), trace=trace)
