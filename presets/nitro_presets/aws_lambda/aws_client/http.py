"""An HTTP/1.1 client of one service: the wire format (RFC 9112), one connection, and a pool of connections.

Serves the benchmark rows `aws-posts` and `lambda-cold-*`: one write for each request, no task for each connection,
and no import of `http.client` or `email`.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

from nitro_presets.aws_lambda.aws_client.errors import TransportError

# The largest head of a response, in bytes.
MAX_HEAD = 64 * 1024
# How long a connection may be idle before it is checked when it is used again, in seconds.
MAX_UNCHECKED_IDLE = 1.0
# How long the addresses of a host are used, in seconds: as long as AWS's records of names are valid.
MAX_ADDRESS_AGE = 60.0
# The size of the buffer that the connections of a pool receive into, in bytes.
BUFFER = 64 * 1024


class ServiceResponse(NamedTuple):
    """The response of a service.

    Args:
        status: The HTTP status.
        head: The status line and header fields, as they came.
        body: The body, without its framing.
    """

    status: int
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The header fields, with names in lower case; of a repeated field the last."""
        # Read when they are asked for: of most responses only the status counts.
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        fields = (line.partition(":") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in fields}


def write_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    r"""Write a request.

    Args:
        method: The method, in capitals.
        target: The path and query, percent-encoded.
        headers: The header fields, without `content-length`.
        body: The body.

    Raises:
        ValueError: The target or a field contains a line break, which would begin another field.

    Example:
        >>> write_request("GET", "/", {"host": "a"}, b"")
        b'GET / HTTP/1.1\\r\\nhost: a\\r\\ncontent-length: 0\\r\\n\\r\\n'
    """
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{method} {target} HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n"
    if head.count("\n") != len(headers) + 3 or head.count("\r") != len(headers) + 3:
        raise ValueError("A header field or the path of a request contains a line break.")
    return head.encode("latin-1") + body


class ResponseReader:
    """A parser of the responses on one connection, which come in pieces of any size.

    Follows RFC 9112, sections 6 and 7. Responses to `HEAD` are not supported.
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
        """Whether any byte of the next response has come."""
        return self._status != 0 or len(self._buffer) > 0

    def feed(self, data: bytes) -> ServiceResponse | None:
        """Take received bytes, and return the response once it is complete.

        Raises:
            TransportError: They are no HTTP/1.1 response.
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
        """Return the response that ends with the connection, if there is one."""
        if self._status == 0 or self._chunked or self._length >= 0:
            return None
        return self._finish(bytes(self._buffer))

    def _keep_head(self, data: bytes) -> None:
        if len(data) > MAX_HEAD:
            raise TransportError(f"The head of a response has more than {MAX_HEAD} bytes.", sent=True)
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
        # Parsed from the first chunk whenever a piece comes: services send such bodies in one piece.
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


class StaleConnectionError(TransportError):
    """A request on a kept-alive connection that the service had closed before."""


class ServiceConnection(asyncio.BufferedProtocol):
    """One connection, made by `loop.create_connection`.

    Args:
        loop: The event loop of the connection.
        buffer: The buffer to receive into. All connections of a loop can share one, because received bytes are
            copied before the loop reads again.
    """

    __slots__ = (
        "_buffer",
        "_idle_since",
        "_loop",
        "_reader",
        "_socket",
        "_transport",
        "_used",
        "_waiter",
        "closed",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        self._loop = loop
        self._buffer = buffer
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[ServiceResponse] | None = None
        self._socket = -1
        self._used = False
        self._idle_since = 0.0
        self.closed = False

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return not self.closed and self._reader.reusable

    def send(self, request: bytes) -> asyncio.Future[ServiceResponse]:
        """Send a request; return a future of the response, which may raise `TransportError`."""
        waiter = self._loop.create_future()
        self._waiter = waiter
        if self._transport is None or self.closed:
            self.fail(StaleConnectionError("The connection has ended.", sent=False))
        else:
            self._transport.write(request)
        return waiter

    def mark_idle(self) -> None:
        """Start the time of an idle connection."""
        self._used = True
        self._idle_since = time.monotonic()

    def is_alive(self) -> bool:
        """Return whether the service has kept the connection open while it was idle, or the process frozen."""
        if self.closed:
            return False
        if time.monotonic() - self._idle_since < MAX_UNCHECKED_IDLE:
            return True
        # A loop that was frozen with the process has not received the end of the connection yet.
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return not selector.select(0)

    def fail(self, error: TransportError) -> None:
        """Abort the connection; the request on it raises the error."""
        self.abort()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def abort(self) -> None:
        """Close the connection at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the new connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket = transport.get_extra_info("socket").fileno()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Feed the reader with what was read."""
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
        """End the response under way, or fail the request."""
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


class ConnectionPool:
    """A pool of connections to one origin, with one request at a time on each.

    On another event loop than before the pool starts empty.

    Args:
        url: The origin, such as `https://lambda.eu-central-1.amazonaws.com`; a path is ignored.
        connections: The most requests that are under way at once; further ones wait.
        connect_timeout: How long connecting may take, TLS included, in seconds.
        timeout: How long a response may take once the request is sent, in seconds.

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
        self._free_slots = connections
        self._idle: list[ServiceConnection] = []
        # Connections with a request under way, each with its deadline, in the order of sending.
        self._busy: dict[ServiceConnection, float] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        # One look-up of the host's name for all connections.
        self._lookup: asyncio.Task[list[str]] | None = None
        self._lookup_end = 0.0

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> ServiceResponse:
        """Send a request and wait for its response.

        A request on a kept-alive connection that the service had closed is sent once more, on a new one.

        Args:
            method: The method, in capitals.
            target: The path and query, percent-encoded.
            headers: The header fields, without `content-length`; `host` is added if it is missing.
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
            self._bind_to_loop()
        if self._free_slots > 0:
            self._free_slots -= 1
        else:
            await self._wait_for_slot()
        try:
            connection = self._take_idle() or await self._connect()
            try:
                return await self._exchange(connection, data)
            except StaleConnectionError:
                # After a freeze the service has closed all of them, so that another idle one would not help.
                return await self._exchange(await self._connect(), data)
        finally:
            self._release_slot()

    async def close(self) -> None:
        """Close all connections; requests on them fail."""
        if asyncio.get_running_loop() is not self._loop:
            self._bind_to_loop()
        ended = [*self._idle, *self._busy]
        self._idle.clear()
        for connection in ended:
            connection.fail(TransportError("The connection pool was closed.", sent=True))
        if ended:
            # The loop closes their sockets in its next iterations, which may be its last.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _exchange(self, connection: ServiceConnection, data: bytes) -> ServiceResponse:
        deadline = time.monotonic() + self._timeout
        self._busy[connection] = deadline
        if self._timer is None:
            self._set_timer(self._timeout)
        try:
            response = await connection.send(data)
        except BaseException:
            # A response that comes later would be taken for that of the next request.
            connection.abort()
            raise
        finally:
            del self._busy[connection]
        if connection.reusable:
            connection.mark_idle()
            self._idle.append(connection)
        else:
            connection.abort()
        return response

    def _take_idle(self) -> ServiceConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive():
                return connection
            connection.abort()
        return None

    async def _connect(self) -> ServiceConnection:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                failure = OSError("its name has no address")
                for address in await self._find_addresses():
                    try:
                        _, connection = await loop.create_connection(
                            lambda: ServiceConnection(loop, self._buffer),
                            address,
                            port,
                            ssl=self._ssl,
                            server_hostname=host if self._ssl else None,
                        )
                        return connection
                    except OSError as error:
                        failure = error
                raise failure
        except TimeoutError:
            self._lookup = None
            message = f"`{self.host}` accepted no connection within {self._connect_timeout:g} s."
            raise TransportError(message, sent=False) from None
        except OSError as error:
            # The addresses may be out of date, as after the restore of a snapshot.
            self._lookup = None
            raise TransportError(f"`{self.host}` cannot be reached: {error}.", sent=False) from error

    async def _find_addresses(self) -> list[str]:
        lookup = self._lookup
        if lookup is None or (lookup.done() and time.monotonic() > self._lookup_end):
            lookup = self._lookup = asyncio.create_task(self._look_up())
            lookup.add_done_callback(_retrieve)
        # Shielded, as other connections may wait for it.
        return await asyncio.shield(lookup)

    async def _look_up(self) -> list[str]:
        host, port = self._address
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._lookup_end = time.monotonic() + MAX_ADDRESS_AGE
        return [str(address[0]) for *_, address in found]

    async def _wait_for_slot(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # Given a slot and cancelled in the same iteration of the loop: the slot is the next waiter's.
            if not waiter.cancelled():
                self._release_slot()
            raise

    def _release_slot(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free_slots += 1

    def _set_timer(self, delay: float) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = time.monotonic()
        # All have the same time-out, and so expire in the order in which they were sent.
        for connection, deadline in list(self._busy.items()):
            if deadline > now:
                self._set_timer(deadline - now)
                return
            message = f"`{self.host}` sent no response within {self._timeout:g} s."
            connection.fail(TransportError(message, sent=True))

    def _bind_to_loop(self) -> None:
        # Connections of another loop can neither be used nor closed on this one.
        self._loop = asyncio.get_running_loop()
        self._free_slots = self._connections
        self._idle = []
        self._busy = {}
        self._waiters = deque()
        self._timer = None
        self._lookup = None


def _retrieve(lookup: asyncio.Task[list[str]]) -> None:
    # All that waited for it may have been cancelled.
    if not lookup.cancelled():
        lookup.exception()


@cache
def _make_context(bundle: str | None) -> ssl.SSLContext:
    # Once for a process: reading the certificate authorities takes longer than the rest of the client's start.
    return ssl.create_default_context(cafile=bundle)
