"""Sockets to an app in this process."""

# Each wait has its own limit, and its own message when that is reached.
# ruff: noqa: ASYNC109

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nitro_py.encoding import Frame, encode_frame
from nitro_py.event import ASGIMessage
from nitro_py.headers import Headers
from nitro_py.testing.answers import Closed, SocketClosed, TestResponse, UpgradeRefused
from nitro_py.testing.asgi_conversation import AsgiConversation, within

NO_CODE = 1005
LOST = 1006


class SocketExchange(AsgiConversation):
    """Answers the app's close frame at once, as every client does."""

    closed: Closed | None = None

    def sent(self, message: ASGIMessage) -> None:
        """Note how the app closed the socket."""
        if message["type"] == "websocket.close" and self.closed is None:
            self.end(Closed(message.get("code") or 1000, message.get("reason") or ""))

    def end(self, closed: Closed) -> None:
        """Note how the socket was closed, and tell the app."""
        if self.closed is None:
            self.closed = closed
            self.leave({"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason})


class TestSocket:
    """An open socket; made by `Client.connect`.

    Args:
        exchange: The connection.
        subprotocol: The subprotocol that the app accepted.
        headers: The header fields of its answer.

    Example:
        async with app.connect("/chat") as socket:
            await socket.send({"text": "hello"})
            assert await socket.receive_json() == {"text": "hello"}
    """

    __test__ = False

    def __init__(self, exchange: SocketExchange, subprotocol: str | None, headers: Headers) -> None:
        self.subprotocol = subprotocol
        self.headers = headers
        self._exchange = exchange

    @property
    def closed(self) -> Closed | None:
        """How the socket was closed, whoever did it; `None` while it is open."""
        return self._exchange.closed

    async def send(self, data: object) -> None:
        """Send a message: text and bytes as they are, the rest as JSON text.

        Raises:
            SocketClosed: The socket is closed.
        """
        if self.closed is not None:
            raise SocketClosed(self.closed)
        frame = encode_frame(data)
        kind = "text" if isinstance(frame, str) else "bytes"
        self._exchange.put({"type": "websocket.receive", kind: frame})

    async def receive(self, timeout: float | None = None) -> Frame:
        """Return the next message, as it came.

        Args:
            timeout: How long to wait for it, in seconds; by default the client's own time.

        Raises:
            TimeoutError: None came.
            SocketClosed: There is none, and the socket is closed.
        """
        message = await self._exchange.take("message", timeout)
        if message is not None and message["type"] == "websocket.send":
            text: str | None = message.get("text")
            frame: Frame = message["bytes"] if text is None else text
            return frame
        if self._exchange.closed is None:
            self._exchange.end(Closed(LOST))
        assert self.closed is not None
        raise SocketClosed(self.closed)

    async def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which must be text.

        Raises:
            AssertionError: It is binary.
        """
        data = await self.receive(timeout)
        if not isinstance(data, str):
            raise AssertionError(f"Expected a text message, got the bytes {data!r}.")
        return data

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Return the next message, which must be binary.

        Raises:
            AssertionError: It is text.
        """
        data = await self.receive(timeout)
        if not isinstance(data, bytes):
            raise AssertionError(f"Expected a binary message, got the text {data!r}.")
        return data

    async def receive_json(self, timeout: float | None = None) -> Any:
        """Read the next message as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(await self.receive(timeout))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket, and wait until the app's close hook has run.

        Raises:
            TimeoutError: The hooks take too long.
        """
        self._exchange.end(Closed(code, reason))
        await self._exchange.finish()

    async def wait_closed(self, timeout: float | None = None) -> Closed:
        """Wait until the app closes the socket; messages on the way are passed over.

        Raises:
            TimeoutError: It stays open.
        """
        seconds = self._exchange.timeout if timeout is None else timeout
        return await within(seconds, self._wait_closed(), f"{self._exchange.name} was not closed")

    async def _wait_closed(self) -> Closed:
        while True:
            try:
                await self.receive()
            except SocketClosed as closed:
                return Closed(closed.code, closed.reason)


async def open_socket(exchange: SocketExchange) -> TestSocket:
    """Wait for the app's answer to an upgrade.

    Raises:
        UpgradeRefused: It says no.
    """
    exchange.put({"type": "websocket.connect"})
    message = await exchange.take("answer to the upgrade")
    if message is None:
        raise AssertionError("The app gave no answer to the upgrade.")
    headers = Headers.from_raw(message.get("headers", ()))
    if message["type"] == "websocket.accept":
        return TestSocket(exchange, message.get("subprotocol"), headers)
    if message["type"] == "websocket.close":
        raise UpgradeRefused(TestResponse(403, Headers(), b""))
    body = await _read_refusal(exchange)
    raise UpgradeRefused(TestResponse(message["status"], headers, body))


async def _read_refusal(exchange: SocketExchange) -> bytes:
    chunks: list[bytes] = []
    while (message := await exchange.take("end of the refusal")) is not None:
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return b"".join(chunks)


def offer(subprotocols: Sequence[str], origin: str | None) -> dict[str, str]:
    """Return the header fields by which a handshake names subprotocols and origin."""
    fields = {} if origin is None else {"origin": origin}
    return {**fields, **({"sec-websocket-protocol": ", ".join(subprotocols)} if subprotocols else {})}
