"""What the function reaches outside of itself, behind one object that tests can build from other parts."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from nitro_presets.aws_lambda.store.contract import ConnectionStore
from nitro_py.errors import BackplaneError, NitroError, PeerClosedError

if TYPE_CHECKING:
    from nitro_presets.aws_lambda.fanout.job_store import JobStore


class FunctionSettings(NamedTuple):
    """What the functions need of `aws.*`.

    Args:
        binary: How binary messages travel.
        ordered: Whether messages come through a queue that keeps their order.
        shards: Parts that a topic's subscribers are spread over.
        fan_out_threshold: Subscribers above which publishing is spread over invocations.
        keep_headers: Headers with secrets that are kept nevertheless.
    """

    binary: Literal["none", "base64"] = "none"
    ordered: bool = False
    shards: int = 1
    fan_out_threshold: int = 500
    keep_headers: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FunctionSettings:
        """Read the settings of a manifest; what the build alone needs is left out."""
        return cls(
            binary=data.get("binary", "none"),
            ordered=data.get("ordered", False),
            shards=data.get("shards", 1),
            fan_out_threshold=data.get("fan_out_threshold", 500),
            keep_headers=tuple(data.get("keep_headers", ())),
        )


logger = logging.getLogger("nitro_py.aws")

# How many posts are under way at most.
CONCURRENCY = 128
# How young a connection is when a 410 may only mean that its `$connect` has not returned, in seconds.
CONNECT_SECONDS = 10.0
# How long such a 410 is answered by trying again, in seconds, and how often.
CONNECT_RETRY_SECONDS = 3.0
CONNECT_RETRY_PAUSE = 0.1
TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
# What an asynchronous invocation may carry, in bytes.
MAX_PAYLOAD = 256 * 1024
# How many invocations may follow from one another. Lambda stops them at about 16, whatever they were doing.
MAX_DEPTH = 8

# How many invocations this one follows from.
_depth: ContextVar[int] = ContextVar("hops", default=0)


class Poster(Protocol):
    """Sends to connections and ends them."""

    async def post(self, connection_id: str, frame: str | bytes) -> None:
        """Send a message; raises `PeerClosedError` for a 410."""

    async def delete(self, connection_id: str) -> None:
        """End a connection."""


class Invoker(Protocol):
    """Has functions run."""

    async def invoke_async(self, function: str, payload: bytes, *, trace: str | None) -> None:
        """Hand an event to a function, and does not wait for it."""


class Queue(Protocol):
    """Keeps a connection's events in order."""

    async def send(self, queue_url: str, body: str, *, group: str, dedup: str) -> None:
        """Add an event to a group."""


@dataclass(slots=True)
class AwsServices:
    """The services that the functions use.

    Args:
        store: Connections and topics.
        jobs: What is left to do of publications.
        poster: The management API.
        invoker: Lambda's own API.
        function: The WebSocket function's name.
        settings: The config's `aws.*`.
        queue: The queue, where messages are ordered.
        queue_url: Its URL.
    """

    store: ConnectionStore
    jobs: JobStore
    poster: Poster
    invoker: Invoker
    function: str
    settings: FunctionSettings
    queue: Queue | None = None
    queue_url: str = ""

    async def post(self, id: str, connected_at: float, text: str) -> None:
        """Send a message, and does not believe in the end of a connection that has only just begun.

        Raises:
            PeerClosedError: The peer is gone, or seems to be.
        """
        until = time.time() + CONNECT_RETRY_SECONDS
        pause = CONNECT_RETRY_PAUSE
        while True:
            try:
                await self.poster.post(id, text)
                return
            except PeerClosedError:
                now = time.time()
                if now - connected_at > CONNECT_SECONDS or now + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause *= 2

    async def forget(self, id: str, connected_at: float) -> bool:
        """Queue the close of a peer that was found dead; its hook never runs inside the one who found it.

        Returns:
            Whether it is queued: not where the connection has only just begun, nor where it cannot be queued now.
        """
        if time.time() - connected_at <= CONNECT_SECONDS:
            return False
        try:
            await self.start({"kind": "close", "id": id})
        except NitroError as error:
            logger.warning("Could not queue the close of peer %s, which is gone: %s", id, error.message)
            return False
        return True

    async def start(self, work: dict[str, Any], *, otherwise: dict[str, Any] | None = None) -> None:
        """Has the WebSocket function do something in an invocation of its own.

        Args:
            work: What to do.
            otherwise: What to send instead where that is too large for an invocation.

        Raises:
            BackplaneError: Too many invocations have followed from one another.
            ServiceError: It cannot be queued.
        """
        check_depth()
        payload = write_work(work)
        if otherwise is not None and len(payload) > MAX_PAYLOAD:
            payload = write_work(otherwise)
        if self.queue is not None and work["kind"] in ("open", "close", "left"):
            dedup = f"{work['kind']}-{work['id']}"
            await self.queue.send(self.queue_url, payload.decode(), group=work["id"], dedup=dedup)
            return
        # Lambda finds loops by this header, and only where it is handed on.
        trace = os.environ.get(TRACE_VARIABLE)
        await self.invoker.invoke_async(self.function, payload, trace=trace)


def write_work(work: dict[str, Any]) -> bytes:
    """Write the event by which an invocation learns what to do, and how many came before it."""
    event = {"nitro": {**work, "hop": _depth.get() + 1}}
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def enter_depth(hop: int) -> None:
    """Return how many invocations this one follows from.

    Raises:
        BackplaneError: There are too many.
    """
    _depth.set(hop)
    if hop > MAX_DEPTH:
        raise BackplaneError(f"More than {MAX_DEPTH} invocations have followed from one another.")


def check_depth() -> None:
    """Make sure that another invocation may follow from this one.

    Raises:
        BackplaneError: Too many would have followed from one another.
    """
    if _depth.get() >= MAX_DEPTH:
        raise BackplaneError(f"More than {MAX_DEPTH} invocations would follow from one another.")
