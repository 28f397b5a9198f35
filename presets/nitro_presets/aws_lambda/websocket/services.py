"""The services that the functions call, behind one object that tests can build from other parts."""

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
    """The settings `aws.*` that the functions read, as the build writes them into the manifest.

    Args:
        binary: How binary messages travel.
        ordered: Whether messages come through an SQS FIFO queue.
        shards: The number of parts that a topic's subscribers are spread over.
        fan_out_threshold: The number of subscribers above which a publication is delivered by other invocations.
        sweep_calls: The calls of a sweep that ask whether a connection is still there.
        keep_headers: The names of header fields with secrets that are stored nevertheless.
    """

    binary: Literal["none", "base64"]
    ordered: bool
    shards: int
    fan_out_threshold: int
    sweep_calls: int
    keep_headers: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FunctionSettings:
        """Read the settings of a manifest, without those that only the build needs."""
        return cls(
            binary=data["binary"],
            ordered=data["ordered"],
            shards=data["shards"],
            fan_out_threshold=data["fan_out_threshold"],
            sweep_calls=data["sweep_calls"],
            keep_headers=tuple(data["keep_headers"]),
        )


logger = logging.getLogger("nitro_py.aws")

# The most posts that are under way at once.
CONCURRENCY = 128
# The memory, in MB, that a function needs for each connection to API Gateway, and the fewest connections. CPU
# grows with memory, a handshake takes 1 ms of a whole one, and less CPU has no use for more posts at once.
MEMORY_PER_CONNECTION = 8
MIN_CONNECTIONS = 16
# How long after connecting a 410 may only mean that `$connect` has not returned, in seconds.
CONNECT_SECONDS = 10.0
# How long a post is tried again after such a 410, and the first pause, in seconds.
CONNECT_RETRY_SECONDS = 3.0
CONNECT_RETRY_PAUSE = 0.1
TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
# The largest payload of an asynchronous invocation, in bytes.
MAX_PAYLOAD = 256 * 1024
# The most invocations that may follow from one another. Lambda stops a recursive loop after about 16.
MAX_DEPTH = 8

# The number of invocations that this one follows from.
_depth: ContextVar[int] = ContextVar("depth", default=0)


class Poster(Protocol):
    """A client of the `@connections` API."""

    async def post(self, connection_id: str, frame: str | bytes) -> None:
        """Send a message; MUST raise `PeerClosedError` for a 410."""

    async def get(self, connection_id: str) -> dict[str, Any] | None:
        """Return what API Gateway knows of a connection; `None` if it is gone."""

    async def delete(self, connection_id: str) -> None:
        """End a connection."""


class Invoker(Protocol):
    """A client of Lambda's Invoke API."""

    async def invoke_async(self, function: str, payload: bytes, *, trace: str | None) -> None:
        """Invoke a function with an event; MUST NOT wait until it has run."""


class Queue(Protocol):
    """A client of an SQS FIFO queue."""

    async def send(self, queue_url: str, body: str, *, group: str, dedup: str) -> None:
        """Add an event to a message group."""


@dataclass(slots=True)
class AwsServices:
    """The services that the functions call.

    Args:
        store: The store of connections and topics.
        jobs: The store of publications and their jobs.
        poster: The client of the `@connections` API.
        invoker: The client of Lambda's Invoke API.
        function: The WebSocket function's name.
        settings: The settings `aws.*`.
        queue: The client of the queue, if messages are ordered.
        queue_url: The queue's URL.
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
        """Send a message; try again after a 410 for a connection whose `$connect` may not have returned yet.

        Raises:
            PeerClosedError: The peer is gone, or still seems to be.
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

    async def queue_close(self, id: str, connected_at: float) -> bool:
        """Start an invocation that ends a peer found dead, so that its close hook runs apart from the caller.

        Returns:
            Whether it is started: not if `$connect` may not have returned yet, nor if Lambda or SQS refuses.
        """
        if time.time() - connected_at <= CONNECT_SECONDS:
            return False
        try:
            await self.start({"kind": "close", "id": id})
        except NitroError as error:
            logger.warning("Could not queue the close of peer %s, which is gone: %s", id, error.message)
            return False
        return True

    async def start(self, work: dict[str, Any], *, fallback: dict[str, Any] | None = None) -> None:
        """Start an invocation of the WebSocket function.

        Args:
            work: The work, JSON-able, with its `kind`.
            fallback: What to send instead if that is too large for an invocation.

        Raises:
            BackplaneError: Too many invocations have followed from one another.
            ServiceError: Lambda or SQS refuses.
        """
        check_depth()
        payload = write_work(work)
        if fallback is not None and len(payload) > MAX_PAYLOAD:
            payload = write_work(fallback)
        if self.queue is not None and work["kind"] in ("open", "close", "left"):
            dedup = f"{work['kind']}-{work['id']}"
            await self.queue.send(self.queue_url, payload.decode(), group=work["id"], dedup=dedup)
            return
        # Lambda finds recursive loops by this header, and only if it is passed on.
        trace = os.environ.get(TRACE_VARIABLE)
        await self.invoker.invoke_async(self.function, payload, trace=trace)


def count_connections(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many connections to API Gateway a function of this size may open.

    Example:
        >>> [count_connections({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": size}) for size in ("128", "512", "2048")]
        [16, 64, 128]
    """
    memory = int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or 0)
    if not memory:
        return CONCURRENCY
    return min(CONCURRENCY, max(MIN_CONNECTIONS, memory // MEMORY_PER_CONNECTION))


def write_work(work: dict[str, Any]) -> bytes:
    """Write the event of an invocation: its work, and how many invocations it follows from."""
    event = {"nitro": {**work, "hop": _depth.get() + 1}}
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def enter_depth(depth: int) -> None:
    """Note how many invocations this one follows from.

    Raises:
        BackplaneError: There are too many.
    """
    _depth.set(depth)
    if depth > MAX_DEPTH:
        raise BackplaneError(f"More than {MAX_DEPTH} invocations have followed from one another.")


def check_depth() -> None:
    """Make sure that another invocation may follow from this one.

    Raises:
        BackplaneError: Too many would have followed from one another.
    """
    if _depth.get() >= MAX_DEPTH:
        raise BackplaneError(f"More than {MAX_DEPTH} invocations would follow from one another.")
