"""Kept-alive HTTP/1.1 connections to one service."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections import deque
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

from nitro_presets.aws_lambda.client.connection import Connection, StaleError
from nitro_presets.aws_lambda.client.errors import TransportError
from nitro_presets.aws_lambda.client.wire import Response, write_request

BUFFER = 64 * 1024


class Transport:
    """Sends requests to one origin over a bounded number of connections, each request on one of its own.

    Belongs to the event loop that it is used on; on another loop it starts anew.

    Args:
        url: The origin, such as `https://lambda.eu-central-1.amazonaws.com`; a path is not looked at.
        connections: How many requests are under way at most; further ones wait.
        connect_timeout: How long a connection may take to be made, in seconds, TLS included.
        timeout: How long a response may take, in seconds, once the request is sent.

    Example:
        >>> Transport("http://127.0.0.1:8000").host
        '127.0.0.1:8000'
    """

    def __init__(
        self, url: str, *, connections: int = 64, connect_timeout: float = 3.0, timeout: float = 10.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"Expected a URL of `http` or `https`, got `{url}`.")
        secure = parts.scheme == "https"
        self.host = parts.netloc.rpartition("@")[2]
        self._address = (parts.hostname, parts.port or (443 if secure else 80))
        self._ssl = _make_context(os.environ.get("AWS_CA_BUNDLE")) if secure else None
        self._connections = connections
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._buffer = memoryview(bytearray(BUFFER))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free = connections
        self._idle: list[Connection] = []
        # Each connection with a request under way, and until when it may take, in the order of sending.
        self._busy: dict[Connection, float] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Sends a request and waits for its response.

        A request on a kept-alive connection that turns out to have ended is sent once more, on a new one.

        Args:
            method: In capitals.
            target: Path and query, percent-encoded.
            headers: All fields but `content-length`; `host` is `self.host` where it is not given.
            body: The body.

        Returns:
            The response, whatever its status.

        Raises:
            TransportError: There was no response.
        """
        if "host" not in headers:
            headers = {"host": self.host, **headers}
        data = write_request(method, target, headers, body)
        if asyncio.get_running_loop() is not self._loop:
            self._enter_loop()
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait()
        try:
            connection = self._take() or await self._open()
            try:
                return await self._exchange(connection, data)
            except StaleError:
                # After a freeze they have all ended: the next one in line would be no better than a new one.
                return await self._exchange(await self._open(), data)
        finally:
            self._leave()

    async def close(self) -> None:
        """Ends all connections, and the requests on them."""
        if asyncio.get_running_loop() is not self._loop:
            self._enter_loop()
        ended = [*self._idle, *self._busy]
        self._idle.clear()
        for connection in ended:
            connection.fail(TransportError("The transport was closed.", sent=True))
        if ended:
            # Their sockets are closed in the loop's next turns, which may be its last.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _exchange(self, connection: Connection, data: bytes) -> Response:
        deadline = time.monotonic() + self._timeout
        self._busy[connection] = deadline
        if self._timer is None:
            self._watch(self._timeout)
        try:
            response = await connection.send(data)
        except BaseException:
            # A response that nobody waits for any more would be taken for the next request's.
            connection.abort()
            raise
        finally:
            del self._busy[connection]
        if connection.reusable:
            connection.rest()
            self._idle.append(connection)
        else:
            connection.abort()
        return response

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive():
                return connection
            connection.abort()
        return None

    async def _open(self) -> Connection:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._buffer), host, port, ssl=self._ssl
                )
        except TimeoutError:
            message = f"`{self.host}` took no connection within {self._connect_timeout:g} s."
            raise TransportError(message, sent=False) from None
        except OSError as error:
            raise TransportError(f"`{self.host}` cannot be reached: {error}.", sent=False) from error
        return connection

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # Let in and cancelled in the same turn of the loop: the place is the next one's.
            if not waiter.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1

    def _watch(self, delay: float) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = time.monotonic()
        # All have the same time-out, so that they expire in the order in which they were sent.
        for connection, deadline in list(self._busy.items()):
            if deadline > now:
                self._watch(deadline - now)
                return
            message = f"`{self.host}` gave no response within {self._timeout:g} s."
            connection.fail(TransportError(message, sent=True))

    def _enter_loop(self) -> None:
        # What is left of another loop can neither be used nor closed from here.
        self._loop = asyncio.get_running_loop()
        self._free = self._connections
        self._idle = []
        self._busy = {}
        self._waiters = deque()
        self._timer = None


@cache
def _make_context(bundle: str | None) -> ssl.SSLContext:
    # Once per process: reading the authorities costs more than all the rest of a cold start's client.
    return ssl.create_default_context(cafile=bundle)
