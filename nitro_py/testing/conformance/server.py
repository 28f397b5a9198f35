"""A target of the suite at a URL."""

# Each wait has its own limit, and its own message when that is reached.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.encoding import Frame, encode_frame, to_json
from nitro_py.headers import Headers
from nitro_py.testing.answers import Closed, SocketClosed, TestResponse, UpgradeRefused
from nitro_py.testing.asgi_conversation import within
from nitro_py.testing.events import ServerEvent, parse_events

# How long each wait may take, in seconds: long enough for a machine that is busy with other things.
TIMEOUT = 30.0
# How long a server may take to answer a close frame, which some do only once a running hook has ended, in seconds.
CLOSE_TIMEOUT = 1.0


class ServerStream:
    """A stream of the suite, over `httpx`."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.headers = Headers(answer.headers.multi_items())
        self._chunks = self._read(answer)
        self._events = parse_events(self._chunks)

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body's pieces."""
        return self._chunks

    def events(self) -> AsyncIterator[ServerEvent]:
        """Return the server-sent events in the body."""
        return self._events

    async def _read(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        async for chunk in answer.aiter_raw():
            yield chunk


class ServerSocket:
    """A socket of the suite, over `websockets`."""

    def __init__(self, connection: ClientConnection) -> None:
        assert connection.response is not None
        self.headers = Headers(connection.response.headers.raw_items())
        self.subprotocol: str | None = connection.subprotocol
        self._connection = connection

    async def send(self, data: object) -> None:
        """Send a message, and wait while the server does not read."""
        try:
            await within(TIMEOUT, self._connection.send(encode_frame(data)), "The server did not read")
        except ConnectionClosed as closed:
            raise SocketClosed(describe(closed)) from None

    async def receive(self, timeout: float | None = None) -> Frame:
        """Return the next message, as it came."""
        try:
            return await within(
                TIMEOUT if timeout is None else timeout, self._connection.recv(), "The server sent no message"
            )
        except ConnectionClosed as closed:
            raise SocketClosed(describe(closed)) from None

    async def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which must be text."""
        data = await self.receive(timeout)
        assert isinstance(data, str), data
        return data

    async def receive_json(self, timeout: float | None = None) -> Any:
        """Read the next message as JSON."""
        return json.loads(await self.receive_text(timeout))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket with a handshake."""
        await self._connection.close(code, reason)

    async def drop(self) -> None:
        """End the connection without a handshake."""
        self._connection.transport.abort()
        await self._connection.wait_closed()

    async def wait_closed(self, timeout: float | None = None) -> Closed:
        """Wait until the server closes the socket."""
        limit = TIMEOUT if timeout is None else timeout
        return await within(limit, self._wait_closed(), "The server did not close the socket")

    async def _wait_closed(self) -> Closed:
        while True:
            try:
                await self.receive()
            except SocketClosed as closed:
                return Closed(closed.code, closed.reason)


class ServerTarget:
    """A target that listens at a URL.

    Args:
        url: The URL, such as `http://127.0.0.1:3000`.
        capabilities: What the target can do; by default everything.
        socket_url: The URL for WebSockets, if it is another.
    """

    def __init__(
        self,
        url: str,
        *,
        capabilities: frozenset[Capability] = frozenset(CAPABILITIES),
        socket_url: str | None = None,
    ) -> None:
        self.url = url
        self.capabilities = capabilities
        self.socket_url = socket_url or url.replace("http", "ws", 1)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """Send a request and return the whole answer."""
        fields = dict(headers or {})
        if json is not None:
            content = to_json(json)
            fields["content-type"] = "application/json"
        async with self._client() as client:
            answer = await client.request(method, self.url + path, content=content, headers=fields)
        return TestResponse(answer.status_code, Headers(answer.headers.multi_items()), answer.content)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[ServerStream]:
        """Send a request and read its answer piece by piece."""
        async with (
            self._client() as client,
            client.stream(method, self.url + path, headers=dict(headers or {})) as answer,
        ):
            yield ServerStream(answer)

    @asynccontextmanager
    async def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
    ) -> AsyncIterator[ServerSocket]:
        """Open a socket."""
        fields = Headers(headers or {})
        place = urlsplit(self.socket_url)
        # The client takes the host that it names from the URL, wherever it connects to.
        url = urlunsplit(place._replace(netloc=fields.pop("host", place.netloc))) + path
        opening = connect(
            url,
            host=place.hostname,
            port=place.port,
            additional_headers=fields.pairs(),
            subprotocols=cast(Sequence[Subprotocol], subprotocols) or None,
            origin=None if origin is None else Origin(origin),
            compression=None,
            open_timeout=TIMEOUT,
            close_timeout=CLOSE_TIMEOUT,
            ping_interval=None,
            max_size=None,
            proxy=None,
        )
        try:
            connection = await opening
        except InvalidStatus as refused:
            answer = refused.response
            body = bytes(answer.body or b"")
            raise UpgradeRefused(
                TestResponse(answer.status_code, Headers(answer.headers.raw_items()), body)
            ) from None
        try:
            yield self.make_socket(connection)
        finally:
            # A test may have left messages behind, and a client that does not read them sees no close frame.
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.close())
                group.create_task(read_to_end(connection))

    def make_socket(self, connection: ClientConnection) -> ServerSocket:
        """Return what a test gets for an open connection; for targets whose clients speak more than WebSocket."""
        return ServerSocket(connection)

    async def check_denied(self, capability: Capability) -> None:
        """Check nothing: a server at a URL shows no build to refuse."""

    def _client(self) -> httpx.AsyncClient:
        # Nothing here speaks TLS, and loading certificates takes longer than most tests.
        return httpx.AsyncClient(timeout=TIMEOUT, verify=False, trust_env=False)


async def read_to_end(connection: ClientConnection) -> None:
    """Read the messages of a connection to its end."""
    try:
        while True:
            await connection.recv()
    except ConnectionClosed:
        return


def describe(closed: ConnectionClosed) -> Closed:
    """Return how a connection was closed: what the server's close frame says, or that it was lost."""
    return Closed(closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else Closed(1006)
