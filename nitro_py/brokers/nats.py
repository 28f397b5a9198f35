"""The backplane on NATS."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
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

logger = logging.getLogger("nitro_py.backplane")

# How the server names a subject that the client's user may not publish or subscribe to. The client writes all of
# the server's message in lower case.
_FORBIDDEN = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)
# The most forbidden topics that a process logs, which clients may name.
MAX_FORBIDDEN = 100
# How long the broker may be silent before it gets a ping, in seconds, and how many answers may be missing.
PING_INTERVAL = 3
MISSING_PINGS = 2
# How long the broker may take to answer, in seconds.
ANSWER_TIMEOUT = 5
# The most characters of a topic in a subject; a longer topic is hashed. NATS takes 4 KiB for a whole line.
MAX_TOPIC = 1000


class NatsBackplane:
    """A backplane on the subjects of NATS, without JetStream.

    Args:
        url: The URL of the broker, `nats://`, `tls://`, `ws://` or `wss://`; the URLs of a cluster with commas
            between them.
        prefix: The first part of the subjects.

    Raises:
        UsageError: The URL is not one of NATS, or the package `nats-py` is missing.

    Example:
        NatsBackplane("nats://localhost:4222", "shop")
    """

    def __init__(self, url: str, prefix: str) -> None:
        for server in url.split(","):
            check_url(server, "nats", "tls", "ws", "wss")
        require_module("nats", "nats-py")
        self._servers = url.split(",")
        self._prefix = make_token(prefix)
        self._forbidden: set[tuple[str, str]] = set()

    async def connect(self, receive: Receive) -> NatsConnection:
        """Open a connection.

        Raises:
            BackplaneError: The broker cannot be reached or refuses.
        """
        from nats.aio.client import Client

        client = Client()
        connection = NatsConnection(client, self._prefix, receive, self._forbidden)
        try:
            with translate_errors():
                await client.connect(
                    self._servers,
                    # The client would keep messages, and send them again although the broker may have them.
                    allow_reconnect=False,
                    # The client tries each server once more, at once; after that the hub decides.
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
                # The client's own error only says that no server is available.
                raise BackplaneError(f"NATS: {reason}") from error
            raise
        return connection


class NatsConnection:
    """One connection, until it is lost; made by `NatsBackplane.connect`.

    Args:
        client: The client.
        prefix: The first part of the subjects.
        receive: The function that takes received messages.
        forbidden: What the server has forbidden so far, and the log has named: the act and the topic.
    """

    def __init__(
        self, client: Client, prefix: str, receive: Receive, forbidden: set[tuple[str, str]] | None = None
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._receive = receive
        self._forbidden = set() if forbidden is None else forbidden
        self._subscriptions: dict[str, Subscription] = {}
        self._published: Sequence[Outgoing] = ()
        # Each subscription has a task, and `receive` takes one message at a time.
        self._receiving = asyncio.Lock()
        self.reason: str | None = None
        self._loss = ConnectionLoss()

    @property
    def max_size(self) -> int | None:
        """The largest message in bytes: the server's `max_payload`."""
        return self._client.max_payload

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Send messages to the server, and wait until it has processed them."""
        with translate_errors():
            self._published = messages
            for topic, data in messages:
                await self._client.publish(self._subject(topic), data)
            await self._confirm()

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe to topics, and wait until the server has processed that."""
        with translate_errors():
            for topic in topics:
                if topic not in self._subscriptions:
                    subscription = await self._client.subscribe(self._subject(topic), cb=self._take)
                    self._subscriptions[topic] = subscription
            await self._confirm()

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give topics up, and wait until the server has processed that."""
        with translate_errors():
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
        """Remember the last error; called by the client."""
        from nats.errors import SlowConsumerError

        if found := _FORBIDDEN.search(str(error)):
            self._note_forbidden(found[1], found[2])
            return
        self.reason = str(error) or type(error).__name__
        if isinstance(error, SlowConsumerError):
            # The client would go on, and drop messages without a trace.
            await self.note_closed()

    def _note_forbidden(self, act: str, subject: str) -> None:
        """Log what the server has dropped: it goes on as if nothing was amiss, and so does the client."""
        topics = [*self._subscriptions, *(message.topic for message in self._published)]
        topic = next((topic for topic in topics if self._subject(topic).lower() == subject.lower()), subject)
        if (act, topic) in self._forbidden or len(self._forbidden) >= MAX_FORBIDDEN:
            return
        self._forbidden.add((act, topic))
        logger.error(
            "The broker forbids %s the topic `%s`, which stays in this process: the user of `backplane_url` has "
            "no permission for the subject `%s`.",
            "publishing to" if act == "publish" else "subscribing to",
            topic,
            self._subject(topic) if topic != subject else subject,
        )

    async def note_closed(self) -> None:
        """Record the loss of the connection; called by the client."""
        self._loss.note(self.reason or "it was closed")

    async def _take(self, message: Msg) -> None:
        async with self._receiving:
            if not self._loss.happened:
                await self._receive(message.data)

    def _subject(self, topic: str) -> str:
        return f"{self._prefix}.{make_token(topic)}"


def make_token(text: str) -> str:
    """Return a text as one part of a subject, which must not be empty, nor hold dots, spaces or wildcards.

    Example:
        >>> make_token("a.b *"), make_token("")
        ('a%2Eb%20%2A', '%')
    """
    token = quote(text, safe="").replace(".", "%2E")
    if len(token) > MAX_TOPIC:
        return f"%%{hashlib.sha256(text.encode()).hexdigest()}"
    return token or "%"


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise a `BackplaneError` for each error of NATS."""
    from nats.errors import Error

    try:
        yield
    except (Error, OSError, TimeoutError) as error:
        raise BackplaneError(f"NATS: {str(error) or type(error).__name__}") from error
