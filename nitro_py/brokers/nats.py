"""The backplane on NATS."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from nitro_py.backplane import Outgoing, Receive
from nitro_py.brokers.connection import ConnectionLoss, check_url, require_module
from nitro_py.errors import BackplaneError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

# How long the broker may be silent before it is asked, and how many answers may be missing.
PING_INTERVAL = 3
MISSING_PINGS = 2
# How long the broker may take to answer, in seconds.
ANSWER_TIMEOUT = 5
# The longest topic that stands in a subject as it is written; NATS takes 4 KiB for a whole line.
LONGEST_TOPIC = 1000


class NatsBackplane:
    """Uses NATS' subjects, without JetStream.

    Args:
        url: `nats://`, `tls://`, `ws://` or `wss://`; several servers of one cluster are separated by commas.
        prefix: The subjects' first part.

    Raises:
        UsageError: The URL is none of NATS, or the package `nats-py` is missing.

    Example:
        NatsBackplane("nats://localhost:4222", "shop")
    """

    def __init__(self, url: str, prefix: str) -> None:
        for server in url.split(","):
            check_url(server, "nats", "tls", "ws", "wss")
        require_module("nats", "nats-py")
        self._servers = url.split(",")
        self._prefix = make_token(prefix)

    async def connect(self, receive: Receive) -> NatsConnection:
        """Open a connection.

        Raises:
            BackplaneError: The broker cannot be reached or refuses.
        """
        from nats.aio.client import Client

        client = Client()
        connection = NatsConnection(client, self._prefix, receive)
        try:
            with translated():
                await client.connect(
                    self._servers,
                    # It would keep messages for later, and send what the broker may have already.
                    allow_reconnect=False,
                    # Of each server one more attempt is made, at once; the next round is the hub's.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    no_echo=True,
                    ping_interval=PING_INTERVAL,
                    max_outstanding_pings=MISSING_PINGS,
                    connect_timeout=ANSWER_TIMEOUT,
                    error_cb=connection.note_error,
                    closed_cb=connection.note_closed,
                )
        except BaseException as error:
            reason = connection.reason
            await connection.close()
            if isinstance(error, BackplaneError) and reason is not None:
                # The client itself would only say that no server is available.
                raise BackplaneError(f"NATS: {reason}") from error
            raise
        return connection


class NatsConnection:
    """One connection, until it is lost; made by `NatsBackplane.connect`."""

    def __init__(self, client: Client, prefix: str, receive: Receive) -> None:
        self._client = client
        self._prefix = prefix
        self._receive = receive
        self._subscriptions: dict[str, Subscription] = {}
        # Subscriptions have a task each, and messages are handed on one at a time.
        self._turn = asyncio.Lock()
        self.reason: str | None = None
        self._loss = ConnectionLoss()

    @property
    def max_size(self) -> int | None:
        """What the server says of itself: its `max_payload`."""
        return self._client.max_payload

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the server, and wait for its answer to what follows them."""
        with translated():
            for topic, data in messages:
                await self._client.publish(self._subject(topic), data)
            await self._confirm()

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for topics, and wait for the server's answer to what follows."""
        with translated():
            for topic in topics:
                if topic not in self._subscriptions:
                    subscription = await self._client.subscribe(self._subject(topic), cb=self._take)
                    self._subscriptions[topic] = subscription
            await self._confirm()

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Return topics up, and wait for the server's answer to what follows."""
        with translated():
            for topic in topics:
                if (subscription := self._subscriptions.pop(topic, None)) is not None:
                    await subscription.unsubscribe()
            await self._confirm()

    async def _confirm(self) -> None:
        """Wait until the server has processed what was sent so far."""
        # The client writes a ping at once and all else a moment later, so that a ping would overtake what it is to
        # confirm. Nothing but the size of what waits tells when that moment has come.
        pause = 0.0
        while self._client.pending_data_size and not self._loss.happened:
            await asyncio.sleep(pause)
            pause = 0.001
        await self._client.flush(ANSWER_TIMEOUT)

    async def wait_lost(self) -> None:
        """Wait until the connection is lost."""
        await self._loss.wait()

    async def close(self) -> None:
        """End the connection."""
        try:
            await self._client.close()
        except Exception as error:
            await self.note_error(error)
        await self.note_closed()

    async def note_error(self, error: Exception) -> None:
        """Remember what went wrong last; the client calls it."""
        from nats.errors import SlowConsumerError

        self.reason = str(error) or type(error).__name__
        if isinstance(error, SlowConsumerError):
            # The client would go on and drop messages, of which nobody would know.
            await self.note_closed()

    async def note_closed(self) -> None:
        """Note that the connection is gone; the client calls it."""
        self._loss.note(self.reason or "it was closed")

    async def _take(self, message: Msg) -> None:
        async with self._turn:
            if not self._loss.happened:
                await self._receive(message.data)

    def _subject(self, topic: str) -> str:
        return f"{self._prefix}.{make_token(topic)}"


def make_token(text: str) -> str:
    """Write any text as one part of a subject, which must not be empty nor hold dots, spaces or wildcards.

    Example:
        >>> make_token("a.b *"), make_token("")
        ('a%2Eb%20%2A', '%')
    """
    token = quote(text, safe="").replace(".", "%2E")
    if len(token) > LONGEST_TOPIC:
        return f"%%{hashlib.sha256(text.encode()).hexdigest()}"
    return token or "%"


@contextmanager
def translated() -> Iterator[None]:
    """Make `BackplaneError` of whatever goes wrong with NATS."""
    from nats.errors import Error

    try:
        yield
    except (Error, OSError, TimeoutError) as error:
        raise BackplaneError(f"NATS: {str(error) or type(error).__name__}") from error
