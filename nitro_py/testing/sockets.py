"""WebSockets to an app in this process."""

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


class WebSocketConversation(AsgiConversation):
    """The conversation of a WebSocket; it answers the app's close frame at once, as every client does."""

    closed: Closed | None = None

    def on_sent(self, message: ASGIMessage) -> None:
        """Note how the app closed the socket, if it did."""
        if message["type"] == "websocket.close" and self.closed is None:
            self.end(Closed(message.get("code") or 1000, message.get("reason") or ""))

    def end(self, closed: Closed) -> None:
        """Note how the socket was closed, and tell the app."""
        if self.closed is None:
            self.closed = closed
            self.leave({"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason})


class TestSocket:
    """An open WebSocket; made by `Client.connect`.

    Args:
        conversation: The ASGI conversation.
        subprotocol: The subprotocol that the app accepted, if any.
        headers: The header fields of the app's answer to the handshake.

    Example:
        async with app.connect("/chat") as socket:
            await socket.send({"text": "hello"})
            assert await socket.receive_json() == {"text": "hello"}
    """

    __test__ = False

    def __init__(self, conversation: WebSocketConversation, subprotocol: str | None, headers: Headers) -> None:
        self.subprotocol = subprotocol
        self.headers = headers
        self._conversation = conversation

    @property
    def closed(self) -> Closed | None:
        """How the app or the client closed the socket; `None` while it is open."""
        return self._conversation.closed

    async def send(self, data: object) -> None:
        """Send a message.

        Args:
            data: Text and bytes are sent as they are, anything else as JSON text.

        Raises:
            SocketClosed: The socket is closed.
        """
        if self.closed is not None:
            raise SocketClosed(self.closed)
        frame = encode_frame(data)
        kind = "text" if isinstance(frame, str) else "bytes"
        self._conversation.put({"type": "websocket.receive", kind: frame})

    async def receive(self, timeout: float | None = None) -> Frame:
        """Return the next message: a `str` or `bytes`.

        Args:
            timeout: How long to wait for it, in seconds; by default the `timeout` of the client.

        Raises:
            TimeoutError: No message came in time.
            SocketClosed: The socket is closed, and no message is left.
        """
        message = await self._conversation.take("message", timeout)
        if message is not None and message["type"] == "websocket.send":
            text: str | None = message.get("text")
            frame: Frame = message["bytes"] if text is None else text
            return frame
        if self._conversation.closed is None:
            self._conversation.end(Closed(LOST))
        assert self.closed is not None
        raise SocketClosed(self.closed)

    async def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which must be text; see `receive`.

        Raises:
            AssertionError: The message is binary.
        """
        data = await self.receive(timeout)
        if not isinstance(data, str):
            raise AssertionError(f"Expected a text message, got the bytes {data!r}.")
        return data

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Return the next message, which must be binary; see `receive`.

        Raises:
            AssertionError: The message is text.
        """
        data = await self.receive(timeout)
        if not isinstance(data, bytes):
            raise AssertionError(f"Expected a binary message, got the text {data!r}.")
        return data

    async def receive_json(self, timeout: float | None = None) -> Any:
        """Return the value that the next message stands for as JSON; see `receive`.

        Raises:
            ValueError: The message is not JSON.
        """
        return json.loads(await self.receive(timeout))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket, and wait until the app's close hook has run.

        Args:
            code: The close code.
            reason: The reason, of at most 123 bytes.

        Raises:
            TimeoutError: The hooks take too long.
        """
        self._conversation.end(Closed(code, reason))
        await self._conversation.finish()

    async def leave(self) -> None:
        """Lose the connection, and wait until the app's close hook has run; its failures are kept for later.

        Raises:
            TimeoutError: The hooks take too long.
        """
        self._conversation.end(Closed(LOST))
        await self._conversation.finish_quietly()

    async def wait_closed(self, timeout: float | None = None) -> Closed:
        """Wait until the app closes the socket, drop the messages before that, and return how it was closed.

        Args:
            timeout: How long to wait, in seconds; by default the `timeout` of the client.

        Raises:
            TimeoutError: The socket stays open.
        """
        seconds = self._conversation.timeout if timeout is None else timeout
        return await within(seconds, self._wait_closed(), f"{self._conversation.name} was not closed")

    async def _wait_closed(self) -> Closed:
        while True:
            try:
                await self.receive()
            except SocketClosed as closed:
                return Closed(closed.code, closed.reason)


async def open_socket(conversation: WebSocketConversation) -> TestSocket:
    """Wait for the app's answer to a handshake, and return the open socket.

    Raises:
        UpgradeRefused: The app refuses.
    """
    conversation.put({"type": "websocket.connect"})
    message = await conversation.take("answer to the upgrade")
    if message is None:
        raise AssertionError("The app gave no answer to the upgrade.")
    headers = Headers.from_raw(message.get("headers", ()))
    if message["type"] == "websocket.accept":
        return TestSocket(conversation, message.get("subprotocol"), headers)
    if message["type"] == "websocket.close":
        raise UpgradeRefused(TestResponse(403, Headers(), b""))
    body = await _read_refusal(conversation)
    raise UpgradeRefused(TestResponse(message["status"], headers, body))


async def _read_refusal(conversation: WebSocketConversation) -> bytes:
    chunks: list[bytes] = []
    while (message := await conversation.take("end of the refusal")) is not None:
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return b"".join(chunks)


def offer(subprotocols: Sequence[str], origin: str | None) -> dict[str, str]:
    """Return the header fields of a handshake that name subprotocols and origin."""
    fields = {} if origin is None else {"origin": origin}
    return {**fields, **({"sec-websocket-protocol": ", ".join(subprotocols)} if subprotocols else {})}
