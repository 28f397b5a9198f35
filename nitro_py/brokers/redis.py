"""The backplane on Redis, Valkey and other brokers with their protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from nitro_py.backplane import Outgoing, Receive
from nitro_py.brokers.connection import BACKPLANE_URL, ConnectionLoss, check_url, malformed_url, require_module
from nitro_py.errors import BackplaneError, UsageError
from nitro_py.runtime.responsive_timeout import responsive_timeout

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

# The options that a URL may have. Others take no text, or would change what messages are: the client would find
# the one with each connection, and the other never.
OPTIONS = frozenset(
    {
        "client_name",
        "db",
        "health_check_interval",
        "lib_name",
        "lib_version",
        "password",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_read_size",
        "socket_timeout",
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_exclude_verify_flags",
        "ssl_include_verify_flags",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
        "username",
    }
)
# How long a broker may be silent before it gets a ping, and how long it has for the answer, in seconds.
PING_INTERVAL = 3.0
ANSWER_TIMEOUT = 5.0


class RedisBackplane:
    """A backplane on the publish and subscribe of Redis.

    Args:
        url: The URL of the broker, `redis://`, `rediss://` or `unix://`.
        prefix: The text before the topic in the name of a channel.

    Raises:
        UsageError: The URL is not one of Redis, or has options that its client cannot take from there, or the
            package `redis` is missing.

    Example:
        RedisBackplane("redis://localhost:6379", "shop")
    """

    def __init__(self, url: str, prefix: str) -> None:
        check_redis_url(url, BACKPLANE_URL)
        self._url = url
        self._prefix = f"{prefix}:"

    async def connect(self, receive: Receive) -> RedisConnection:
        """Open a connection to publish and one to subscribe.

        Raises:
            BackplaneError: The broker cannot be reached or refuses.
        """
        connection = RedisConnection(make_client(self._url), self._prefix, receive)
        try:
            await connection.open()
        except BaseException:
            await connection.close()
            raise
        return connection


def check_redis_url(url: str, setting: str) -> None:
    """Refuse a URL that could only fail with each attempt to connect.

    Args:
        url: The URL; errors show no part of it.
        setting: The setting that it is from.

    Raises:
        UsageError: It is not one of Redis, or has options that its client cannot take from there, or the package
            `redis` is missing.
    """
    check_url(url, "redis", "rediss", "unix", setting=setting)
    require_module("redis")
    from redis.asyncio.connection import parse_url

    try:
        parse_url(url)
    except (TypeError, ValueError):
        # The client's own message would show a part of it, and the cause a traceback with it.
        raise malformed_url("redis", setting) from None
    names = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    try:
        if names <= OPTIONS:
            # What the client makes of the options is known before it connects.
            make_client(url).connection_pool.make_connection()  # type: ignore[no-untyped-call]
            return
    except Exception:  # each option has an error of its own
        pass
    # An option's name and value may be a part of a password that was not encoded.
    raise UsageError(
        f"`{setting}` has an option after its `?` that the client of Redis cannot take.",
        hint=f"Those that begin with `ssl_` need `rediss://`. There are {', '.join(sorted(OPTIONS))}.",
    ) from None


def make_client(url: str, **options: Any) -> Redis:
    """Make a client that tries nothing again: what was done twice would be published, or written, twice.

    Args:
        url: The URL of the broker.
        options: Further options of the client.
    """
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    if not url.startswith("unix:"):
        # A Unix socket has no keep-alive, and its client refuses the option.
        options["socket_keepalive"] = True
    return Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=ANSWER_TIMEOUT,
        health_check_interval=0,
        **options,
    )


class RedisConnection:
    """One connection, until either half is lost; made by `RedisBackplane.connect`."""

    max_size: int | None = None

    def __init__(self, client: Redis, prefix: str, receive: Receive) -> None:
        self._client = client
        self._pubsub: PubSub = client.pubsub()
        self._prefix = prefix
        self._receive = receive
        self._confirmed: dict[tuple[str, bytes], list[asyncio.Future[None]]] = {}
        self._heard = asyncio.Event()
        # One connection publishes, in the order of the calls.
        self._publishing = asyncio.Lock()
        self._loss = ConnectionLoss()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect to publish and to subscribe; `RedisBackplane.connect` calls it."""
        with translate_errors():
            await self._client.ping()
            await self._pubsub.ping()
        self._tasks = [asyncio.create_task(self._watch(work)) for work in (self._read(), self._ping())]

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Send messages to the broker in one round trip."""
        self._loss.check()
        pipeline = self._client.pipeline(transaction=False)
        for topic, data in messages:
            pipeline.publish(self._prefix + topic, data)
        with translate_errors():
            async with self._publishing:
                await pipeline.execute()

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe to topics, and wait until the broker has confirmed each."""
        await self._confirm("subscribe", topics)

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give topics up, and wait until the broker has confirmed each."""
        await self._confirm("unsubscribe", topics)

    async def wait_lost(self) -> None:
        """Wait until the connection is lost."""
        await self._loss.wait()

    async def close(self) -> None:
        """End the connection."""
        self._lose("it was closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in (self._pubsub, self._client):
            try:
                await part.aclose()
            except Exception:
                # The connection was lost before.
                continue

    async def _confirm(self, kind: str, topics: Iterable[str]) -> None:
        self._loss.check()
        channels = [(self._prefix + topic).encode() for topic in topics]
        waiting = [asyncio.get_running_loop().create_future() for _ in channels]
        for channel, future in zip(channels, waiting, strict=True):
            self._confirmed.setdefault((kind, channel), []).append(future)
        command = self._pubsub.subscribe if kind == "subscribe" else self._pubsub.unsubscribe
        with translate_errors():
            await command(*channels)
        await asyncio.wait(waiting)
        # Each is confirmed now, or the connection is lost.
        self._loss.check()

    async def _read(self) -> None:
        while True:
            message: dict[str, Any] | None = await self._pubsub.get_message(timeout=None)
            self._heard.set()
            if message is None:
                continue
            if message["type"] == "message":
                await self._receive(message["data"])
            elif (key := (message["type"], message["channel"])) in self._confirmed:
                for future in self._confirmed.pop(key):
                    if not future.done():
                        future.set_result(None)

    async def _ping(self) -> None:
        """Ping a broker that is silent."""
        while True:
            try:
                async with asyncio.timeout(PING_INTERVAL):
                    await self._heard.wait()
            except TimeoutError:
                await self._pubsub.ping()
                try:
                    async with responsive_timeout(ANSWER_TIMEOUT):
                        await self._heard.wait()
                except TimeoutError:
                    raise BackplaneError("The broker does not answer.") from None
            self._heard.clear()

    async def _watch(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            self._lose(str(error) or type(error).__name__)

    def _lose(self, reason: str) -> None:
        self._loss.note(reason)
        for waiting in self._confirmed.values():
            for future in waiting:
                future.cancel()
        self._confirmed.clear()


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise a `BackplaneError` for each error of Redis."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        raise BackplaneError(f"Redis: {error}") from error
