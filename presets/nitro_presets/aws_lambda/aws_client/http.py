"""Kept-alive HTTP/1.1 connections to one service."""

from __future__ import annotations

import asyncio
import os
import selectors
import ssl
import time
from collections import deque
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

from nitro_presets.aws_lambda.aws_client.errors import TransportError

MAX_HEAD = 64 * 1024


class ServiceResponse(NamedTuple):
    """What a service answered.

    Args:
        status: The HTTP status.
        head: Status line and header fields as they came.
        body: The body, without its framing.
    """

    status: int
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Read the header fields; names in lower case, of doubled names the last."""
        # Not read before somebody asks: most answers are a status and nothing else.
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        fields = (line.partition(":") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in fields}


def write_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Write a request as one piece.

    Args:
        method: In capitals.
        target: Path and query, percent-encoded.
        headers: All fields but `content-length`.
        body: The body.

    Raises:
        ValueError: A line break stands in the target or in a field, which would be read as another field.

    Example:
        >>> write_request("GET", "/", {"host": "a"}, b"")
        b'GET / HTTP/1.1\\r\\nhost: a\\r\\ncontent-length: 0\\r\\n\\r\\n'
    """
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{method} {target} HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n"
    if head.count("\n") != len(headers) + 3 or head.count("\r") != len(headers) + 3:
        raise ValueError("A line break stands in a header or in the path of a request.")
    return head.encode("latin-1") + body


class ResponseReader:
    """Reads one response after the other from pieces of any size.

    Follows RFC 9112, sections 6 and 7; fed nothing but answers to requests with a body of their own.
    """

    __slots__ = ("_buffer", "_chunked", "_head", "_length", "_status", "reusable")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head = b""
        self._status = 0
        self._length = 0
        self._chunked = False
        self.reusable = True

    @property
    def started(self) -> bool:
        """Return whether any byte of the next response has come."""
        return self._status != 0 or len(self._buffer) > 0

    def feed(self, data: bytes) -> ServiceResponse | None:
        """Take what came, and return the response once it is whole.

        Raises:
            TransportError: It is no HTTP.
        """
        if self._status == 0:
            if self._buffer:
                data = bytes(self._buffer) + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._keep_head(data)
                return None
            self._read_head(data[:end])
            rest = data[end + 4 :]
            if self._status >= 200 and len(rest) == self._length and not self._chunked:
                return self._finish(rest)
            self._buffer = bytearray()
            if self._status < 200:
                self._status = 0
                return self.feed(rest)
            data = rest
        self._buffer += data
        if self._chunked:
            return self._read_chunks()
        if self._length < 0 or len(self._buffer) < self._length:
            return None
        if len(self._buffer) > self._length:
            self.reusable = False
        return self._finish(bytes(self._buffer[: self._length]))

    def close(self) -> ServiceResponse | None:
        """Return the response that the end of the connection completes, if there is one."""
        if self._status == 0 or self._chunked or self._length >= 0:
            return None
        return self._finish(bytes(self._buffer))

    def _keep_head(self, data: bytes) -> None:
        if len(data) > MAX_HEAD:
            raise TransportError(f"A response's head has more than {MAX_HEAD} bytes.", sent=True)
        self._buffer = bytearray(data)

    def _read_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
            raise TransportError(f"Expected a response of HTTP/1.1, got {head[:40]!r}.", sent=True)
        self._head = head
        self._status = int(head[9:12])
        fields = head.lower()
        self._chunked = b"chunked" in _find(fields, b"\r\ntransfer-encoding:")
        length = _find(fields, b"\r\ncontent-length:")
        if length.isdigit():
            self._length = int(length)
        else:
            self._length = 0 if self._status in (204, 304) else -1
        connection = _find(fields, b"\r\nconnection:")
        if connection == b"close" or (head[7:8] == b"0" and connection != b"keep-alive"):
            self.reusable = False

    def _read_chunks(self) -> ServiceResponse | None:
        # Looked at again from the first chunk whenever a piece comes: services send such bodies whole.
        data = bytes(self._buffer)
        chunks: list[bytes] = []
        start = 0
        while (end := data.find(b"\r\n", start)) >= 0:
            try:
                size = int(data[start:end].partition(b";")[0], 16)
            except ValueError:
                raise TransportError("Expected the size of a chunk.", sent=True) from None
            if size == 0:
                ended = data.startswith(b"\r\n", end + 2) or data.find(b"\r\n\r\n", end + 2) >= 0
                return self._finish(b"".join(chunks)) if ended else None
            start = end + 4 + size
            if start > len(data):
                return None
            chunks.append(data[end + 2 : start - 2])
        return None

    def _finish(self, body: bytes) -> ServiceResponse:
        response = ServiceResponse(self._status, self._head, body)
        if self._buffer:
            self._buffer = bytearray()
        self._status = 0
        if self._length < 0 and not self._chunked:
            self.reusable = False
        return response


def _find(fields: bytes, name: bytes) -> bytes:
    start = fields.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = fields.find(b"\r\n", start)
    return (fields[start:end] if end >= 0 else fields[start:]).strip()


# A connection that rested longer is looked at before it is trusted again, in seconds.
TRUST = 1.0


class StaleConnectionError(TransportError):
    """Says that a kept-alive connection had ended before the request reached the service."""


class ServiceConnection(asyncio.BufferedProtocol):
    """One connection, made by `loop.create_connection`.

    Args:
        loop: The loop that it lives on.
        buffer: Where the loop puts what it receives. One buffer serves all connections of a loop: what
            came is taken out before the loop reads again.
    """

    __slots__ = ("_buffer", "_loop", "_reader", "_rested", "_socket", "_transport", "_used", "_waiter", "closed")

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        self._loop = loop
        self._buffer = buffer
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[ServiceResponse] | None = None
        self._socket = -1
        self._used = False
        self._rested = 0.0
        self.closed = False

    @property
    def reusable(self) -> bool:
        """Return whether another request may follow."""
        return not self.closed and self._reader.reusable

    def send(self, request: bytes) -> asyncio.Future[ServiceResponse]:
        """Send a request; the future holds the response, or raises `TransportError`."""
        waiter = self._loop.create_future()
        self._waiter = waiter
        if self._transport is None or self.closed:
            self.fail(StaleConnectionError("The connection has ended.", sent=False))
        else:
            self._transport.write(request)
        return waiter

    def rest(self) -> None:
        """Note that the connection waits for the next request from now on."""
        self._used = True
        self._rested = time.monotonic()

    def is_alive(self) -> bool:
        """Look whether the service ended the connection while it rested, or while the process was frozen."""
        if self.closed:
            return False
        if time.monotonic() - self._rested < TRUST:
            return True
        # The loop has not seen the end yet, when it stood still as long as the process.
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return not selector.select(0)

    def fail(self, error: TransportError) -> None:
        """End the connection, and the request on it."""
        self.abort()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def abort(self) -> None:
        """End the connection at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket = transport.get_extra_info("socket").fileno()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        waiter = self._waiter
        if waiter is None:
            self.abort()
            return
        try:
            response = self._reader.feed(bytes(self._buffer[:nbytes]))
        except TransportError as error:
            self.fail(error)
            return
        if response is not None:
            self._answer(waiter, response)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        waiter = self._waiter
        if waiter is None:
            return
        response = self._reader.close()
        if response is not None:
            self._answer(waiter, response)
        elif self._used and not self._reader.started:
            self.fail(StaleConnectionError("The service had ended the connection.", sent=True))
        else:
            self.fail(TransportError(f"The connection was lost: {exc or 'the service ended it'}.", sent=True))

    def _answer(self, waiter: asyncio.Future[ServiceResponse], response: ServiceResponse) -> None:
        self._waiter = None
        if not waiter.done():
            waiter.set_result(response)


BUFFER = 64 * 1024


class ConnectionPool:
    """Sends requests to one origin over a bounded number of connections, each request on one of its own.

    Belongs to the event loop that it is used on; on another loop it starts anew.

    Args:
        url: The origin, such as `https://lambda.eu-central-1.amazonaws.com`; a path is not looked at.
        connections: How many requests are under way at most; further ones wait.
        connect_timeout: How long a connection may take to be made, in seconds, TLS included.
        timeout: How long a response may take, in seconds, once the request is sent.

    Example:
        >>> ConnectionPool("http://127.0.0.1:8000").host
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
        self._idle: list[ServiceConnection] = []
        # Each connection with a request under way, and until when it may take, in the order of sending.
        self._busy: dict[ServiceConnection, float] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> ServiceResponse:
        """Send a request and wait for its response.

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
            except StaleConnectionError:
                # After a freeze they have all ended: the next one in line would be no better than a new one.
                return await self._exchange(await self._open(), data)
        finally:
            self._leave()

    async def close(self) -> None:
        """End all connections, and the requests on them."""
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

    async def _exchange(self, connection: ServiceConnection, data: bytes) -> ServiceResponse:
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

    def _take(self) -> ServiceConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive():
                return connection
            connection.abort()
        return None

    async def _open(self) -> ServiceConnection:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: ServiceConnection(loop, self._buffer), host, port, ssl=self._ssl
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
