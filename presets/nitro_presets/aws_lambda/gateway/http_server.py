"""The gateway's HTTP/1.1 server on h11, for clients and functions: streamed bodies, trailers, upgrades."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import h11

Fields = Iterable[tuple[str, str]]
PIECE = 64 * 1024
# The largest head of a request, in bytes.
MAX_HEAD = 64 * 1024
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class BodyTooLargeError(Exception):
    """A body that is larger than the limit."""


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """The head of a request.

    Args:
        method: The method.
        target: The path and query, as sent.
        headers: The header fields, with names as sent.
        client: The client's IP address.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    client: str

    @property
    def path(self) -> str:
        """The path, as sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, as sent, without its question mark."""
        return self.target.partition("?")[2]

    def get(self, name: str) -> str | None:
        """Return the last value of a header field, whose name is given in lower case."""
        found = [value for field, value in self.headers if field.lower() == name]
        return found[-1] if found else None


class ConnectionObserver(Protocol):
    """What is told of the answer to a request."""

    def on_status(self, status: int) -> None:
        """Note the status of the answer, 101 for a socket."""

    def on_disconnect(self, code: int, reason: str) -> None:
        """Note the end of a socket."""


class HttpConnection:
    """The server's side of a connection.

    Args:
        reader: The stream to read from.
        writer: The stream to write to.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.trailers: dict[str, str] = {}
        self.observer: ConnectionObserver | None = None
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._method = ""

    @property
    def client(self) -> str:
        """The client's address and port."""
        host, port = self.writer.get_extra_info("peername")[:2]
        return f"{host}:{port}"

    async def next_request(self) -> GatewayRequest | None:
        """Wait for the head of a request; return `None` if the client has closed the connection.

        Raises:
            h11.RemoteProtocolError: The bytes are no HTTP/1.1.
        """
        event = await self._next_event()
        if not isinstance(event, h11.Request):
            return None
        self._method = event.method.decode()
        self.trailers = {}
        address = self.writer.get_extra_info("peername")
        return GatewayRequest(
            method=self._method,
            target=event.target.decode("latin-1"),
            headers=tuple((name.decode(), value.decode("latin-1")) for name, value in event.headers.raw_items()),
            client=address[0] if address else "",
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the request's body as it comes, and set `trailers` at its end.

        Raises:
            ConnectionResetError: The client left before the end.
        """
        while self._h11.their_state is h11.SEND_BODY:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            else:
                raise ConnectionResetError("The client left in the middle of its request.")

    async def read_body(self, limit: int) -> bytes:
        """Read the request's body.

        Raises:
            BodyTooLargeError: The body has more bytes than the limit.
        """
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise BodyTooLargeError
        return bytes(body)

    async def respond(self, status: int, headers: Fields = (), body: bytes = b"") -> None:
        """Send a whole response."""
        await self.start(status, [*headers, ("content-length", str(len(body)))])
        await self.write(body)
        await self.end()

    async def respond_json(self, status: int, content: object, headers: Fields = ()) -> None:
        """Send a whole response with a body of JSON."""
        await self.respond(status, [("content-type", "application/json"), *headers], json.dumps(content).encode())

    async def start(self, status: int, headers: Fields) -> None:
        """Send the head of a response; without `content-length` the body is chunked."""
        phrase = _PHRASES.get(status, "")
        fields = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        self._send(h11.Response(status_code=status, headers=fields, reason=phrase.encode()))
        if self.observer is not None:
            self.observer.on_status(status)
        self._bodiless = self._method == "HEAD" or status in (204, 304)

    async def write(self, data: bytes) -> None:
        """Send a piece of a body; wait while the client accepts no more.

        Raises:
            OSError: The connection was lost.
        """
        if data and not self._bodiless:
            self._send(h11.Data(data=data))
            await self.writer.drain()

    async def end(self) -> None:
        """End a response."""
        self._send(h11.EndOfMessage())
        await self.writer.drain()

    def switch(self, headers: Fields) -> bytes:
        """Send the 101 response of an upgrade, and return the bytes that were received after the request."""
        fields = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        self._send(h11.InformationalResponse(status_code=101, headers=fields, reason=b"Switching Protocols"))
        if self.observer is not None:
            self.observer.on_status(101)
        return self._h11.trailing_data[0]

    async def finish(self) -> bool:
        """Read the rest of a request, and return whether another may follow."""
        with contextlib.suppress(h11.RemoteProtocolError, ConnectionError):
            async for _ in self.chunks():
                pass
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    def abort(self) -> None:
        """Close the connection at once."""
        self.writer.transport.abort()

    async def refuse(self, status: int) -> None:
        """Answer a malformed request, unless a response has started."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._method = ""
            await self.respond(status, [("connection", "close")])

    async def _next_event(self) -> object:
        while True:
            event = self._h11.next_event()
            if event is h11.PAUSED:
                return None
            if event is not h11.NEED_DATA:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self.reader.read(PIECE))

    def _send(self, event: h11.Event) -> None:
        if self.writer.is_closing():
            raise ConnectionResetError("The client is gone.")
        self.writer.write(self._h11.send(event) or b"")


Handle = Callable[[HttpConnection, GatewayRequest], Awaitable[None]]


class Listener:
    """A server on one socket.

    Args:
        handle: Called with each request.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self, listener: socket.socket) -> None:
        """Start to accept connections."""
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=PIECE)

    async def close(self) -> None:
        """Close the socket and all connections."""
        self._closed = True
        if self._server is not None:
            # asyncio loses a connection that it has accepted in the same turn: it gets a turn of its own.
            for listener in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listener.fileno())
            await asyncio.sleep(0)
            self._server.close()
        serving = tuple(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            # It was accepted in the moment of the end.
            writer.close()
            return
        task = asyncio.ensure_future(self._serve(HttpConnection(reader, writer)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await asyncio.wait({task})
        # A task that is cancelled before it begins closes nothing itself.
        writer.close()
        if not task.cancelled():
            task.result()

    async def _serve(self, connection: HttpConnection) -> None:
        try:
            while (request := await connection.next_request()) is not None:
                await self._handle(connection, request)
                if not await connection.finish():
                    break
        except h11.RemoteProtocolError as error:
            with contextlib.suppress(OSError):
                await connection.refuse(error.error_status_hint)
        except OSError:
            pass
