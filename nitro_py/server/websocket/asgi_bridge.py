"""A WebSocket connection as ASGI messages: its handshake, and the rest unless the application takes it over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from sys import getsizeof
from typing import Any, Final, Protocol
from urllib.parse import unquote

from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError
from nitro_py.event import ASGIMessage, Scope
from nitro_py.runtime.asgi.extensions import SOCKET_EXTENSION, MessageReceiver
from nitro_py.runtime.containment import contain, log_failure
from nitro_py.runtime.contracts import Channel
from nitro_py.runtime.counters import Counters
from nitro_py.server.http.head import PLAIN_TEXT, Field, describe_connection
from nitro_py.server.logging import name_client, name_target
from nitro_py.server.websocket.channel import TransportChannel
from nitro_py.server.websocket.deflate import Writer, negotiate
from nitro_py.server.websocket.handshake import (
    HandshakeError,
    UpgradeRequest,
    accept_key,
    read_request,
    write_head,
)
from nitro_py.server.websocket.shared_state import SharedState
from nitro_py.websocket import CloseDetails

logger = logging.getLogger("uvicorn.error")

# How many messages, and how many bytes of them, may wait for `receive` before reading pauses.
MAX_QUEUE: Final = 16
MAX_QUEUE_SIZE: Final = 256 * 1024


class ClientDisconnected(OSError):
    """The client is gone; ASGI's `send` raises an `OSError` then."""


class BridgeState(Enum):
    """What the application may send: the values name the ASGI messages."""

    HANDSHAKE = "`websocket.accept`, `websocket.close` or `websocket.http.response.start`"
    REFUSING = "`websocket.http.response.body`"
    OPEN = "`websocket.send` or `websocket.close`"
    CLOSED = "nothing"


class BridgeOwner(Protocol):
    """A WebSocket connection, as far as its bridge needs it."""

    def open(self, write: Writer | None) -> TransportChannel:
        """Begin to read messages, and return the channel that writes them; called once the handshake is accepted.

        Args:
            write: Writes compressed messages, if client and server agreed on that.
        """

    def attach(self, receiver: MessageReceiver) -> None:
        """Hand messages to another receiver from now on."""


class AsgiBridge:
    """The bridge between a connection and the application that runs for it: its ASGI `receive` and `send`.

    Args:
        owner: The connection.
        transport: The connection's transport.
        shared: What the server's connections share.
    """

    __slots__ = (
        "_channel",
        "_head",
        "_lost",
        "_owner",
        "_queue",
        "_queue_size",
        "_request",
        "_scope",
        "_shared",
        "_state",
        "_transport",
        "on_resume",
    )

    def __init__(self, owner: BridgeOwner, transport: asyncio.Transport, shared: SharedState) -> None:
        self._owner = owner
        self._transport = transport
        self._shared = shared
        self._state = BridgeState.HANDSHAKE
        self._scope: Scope | None = None
        self._queue: asyncio.Queue[Frame | CloseDetails | None] = asyncio.Queue()
        self._queue_size = 0
        self._lost = False
        self._channel: TransportChannel | None = None
        # A refusal's status and fields, until the first part of its body shows how it is framed.
        self._head: tuple[int, list[Field]] | None = None
        self.on_resume: Callable[[], None] | None = None

    def begin(self, head: bytes) -> None:
        """Start the application for a request, or refuse one that is no handshake."""
        try:
            self._request = read_request(head)
        except HandshakeError as error:
            self.refuse(error.status, error.message.encode(), error.fields)
            return
        self._scope = self._make_scope(self._request)
        if self._shared.full:
            logger.warning("Exceeded concurrency limit.")
            self.refuse(503, b"Too many connections.")
            return
        # The application's first `receive` gives the connect message.
        self._queue.put_nowait(None)
        task = asyncio.get_running_loop().create_task(self._run(self._scope))
        self._shared.state.tasks.add(task)
        task.add_done_callback(self._shared.state.tasks.discard)

    def refuse(self, status: int, body: bytes, fields: list[Field] | None = None) -> None:
        """Answer the request with an error of the server's own, if nothing has answered it yet."""
        if self._state is BridgeState.HANDSHAKE:
            self._begin_refusal(status, [PLAIN_TEXT, *(fields or [])])
            self._write_body(body, more=False)

    def feed(self, data: Frame) -> bool:
        """Queue a message for `receive`, and return whether there is room for more."""
        self._queue.put_nowait(data)
        self._queue_size += getsizeof(data)
        return self._queue.qsize() < MAX_QUEUE and self._queue_size < MAX_QUEUE_SIZE

    def on_close(self, details: CloseDetails) -> None:
        """Queue the disconnect for `receive`, once."""
        if not self._lost:
            self._lost = True
            self._state = BridgeState.CLOSED
            self._queue.put_nowait(details)

    def on_connection_lost(self) -> None:
        """Do nothing: the disconnect has been queued."""

    def open_channel(self, *, limit: int, counters: Counters) -> Channel:
        """Return what writes to the client, for an application that takes the socket over."""
        if self._channel is None:
            raise RuntimeError(f"Expected an accepted handshake, got state {self._state.name}.")
        self._channel.configure(limit=limit, counters=counters)
        return self._channel

    def attach(self, receiver: MessageReceiver) -> None:
        """Hand the socket over to a receiver, with what came already."""
        self._state = BridgeState.CLOSED
        self._owner.attach(receiver)
        has_room = True
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if isinstance(item, CloseDetails):
                receiver.on_close(item)
            elif item is not None:
                has_room = receiver.feed(item)
        if (room := self.on_resume) is not None and has_room:
            room()
        elif room is not None:
            receiver.on_resume = room

    async def receive(self) -> ASGIMessage:
        """Return the next message from the client; the ASGI `receive`."""
        item = await self._queue.get()
        if self._queue.empty():
            self._queue_size = 0
        if self.on_resume is not None and self._queue.empty():
            room, self.on_resume = self.on_resume, None
            room()
        if item is None:
            return {"type": "websocket.connect"}
        if isinstance(item, CloseDetails):
            return {"type": "websocket.disconnect", "code": item.code, "reason": item.reason}
        return {"type": "websocket.receive", "text" if isinstance(item, str) else "bytes": item}

    async def send(self, message: ASGIMessage) -> None:
        """Send a message to the client; the ASGI `send`.

        Raises:
            ClientDisconnected: The client is gone.
            RuntimeError: The message does not fit the state of the connection.
        """
        kind = message["type"]
        if self._lost:
            raise ClientDisconnected
        if self._state is BridgeState.HANDSHAKE and kind == "websocket.accept":
            self._accept(message)
        elif self._state is BridgeState.HANDSHAKE and kind == "websocket.close":
            self._begin_refusal(403, [])
            self._write_body(b"", more=False)
        elif self._state is BridgeState.HANDSHAKE and kind == "websocket.http.response.start":
            self._begin_refusal(message["status"], list(message.get("headers", [])))
        elif self._state is BridgeState.REFUSING and kind == "websocket.http.response.body":
            self._write_body(message.get("body", b""), more=message.get("more_body", False))
        elif self._state is BridgeState.OPEN and kind == "websocket.send":
            await self._send(message)
        elif self._state is BridgeState.OPEN and kind == "websocket.close":
            self._close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(f"Expected {self._state.value}, got `{kind}`.")

    async def _run(self, scope: Scope) -> None:
        try:
            await self._shared.app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException as error:
            log_failure(logger, contain(error), "Exception in ASGI application")
            self._close(1011, "Internal error")
        else:
            if self._state is BridgeState.HANDSHAKE:
                logger.error("ASGI callable returned without completing handshake.")
            self._close(1000, "")
        finally:
            self.refuse(500, b"Internal Server Error")
            if self._state is BridgeState.REFUSING:
                self._transport.close()

    def _accept(self, message: ASGIMessage) -> None:
        fields: list[Field] = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", accept_key(self._request.key)),
        ]
        if message.get("subprotocol"):
            fields.append((b"sec-websocket-protocol", message["subprotocol"].encode("latin-1")))
        write: Writer | None = None
        if self._shared.compression:
            agreed = negotiate(self._request.offers(b"sec-websocket-extensions"))
            if agreed is not None:
                extension, write = agreed
                fields.append((b"sec-websocket-extensions", extension.encode()))
        head = write_head(101, [*fields, *self._shared.state.default_headers, *message.get("headers", [])])
        self._log("[accepted]")
        self._state = BridgeState.OPEN
        self._transport.write(head)
        self._channel = self._owner.open(write)

    def _begin_refusal(self, status: int, fields: list[Field]) -> None:
        if not 200 <= status < 600:
            raise RuntimeError(f"Expected a status of 200 to 599 in a refusal, got {status}.")
        self._head = (status, fields)
        self._state = BridgeState.REFUSING

    def _write_body(self, body: bytes, *, more: bool) -> None:
        """Write a part of a refusal's body, its head before the first part, and close after the last."""
        if self._head is not None:
            (status, fields), self._head = self._head, None
            named = {name.lower() for name, _ in fields}
            # Without a length, a body in parts ends with the connection (RFC 9112, section 6.3).
            if b"content-length" not in named and not more:
                fields = [*fields, (b"content-length", str(len(body)).encode())]
            fields = [*fields, (b"connection", b"close"), *self._shared.state.default_headers]
            self._transport.write(write_head(status, fields))
            self._log(str(status))
        self._transport.write(body)
        if not more:
            self.on_close(CloseDetails(1006))
            self._transport.close()

    async def _send(self, message: ASGIMessage) -> None:
        assert self._channel is not None
        text = message.get("text")
        try:
            rest = self._channel.send(message["bytes"] if text is None else text)
            if rest is not None:
                await rest
        except PeerClosedError:
            raise ClientDisconnected from None

    def _close(self, code: int, reason: str) -> None:
        if self._state is BridgeState.OPEN and self._channel is not None:
            self._channel.begin_close(code, reason)
            self.on_close(CloseDetails(code, reason))

    def _make_scope(self, request: UpgradeRequest) -> Scope:
        path, _, query = request.target.partition(b"?")
        root = self._shared.root_path
        connection = describe_connection(self._transport)
        return {
            **connection,
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws" if connection["scheme"] == "http" else "wss",
            "root_path": root,
            "path": root + unquote(path.decode("latin-1")),
            "raw_path": root.encode() + path,
            "query_string": query,
            "headers": request.fields,
            "subprotocols": request.offers(b"sec-websocket-protocol"),
            "state": self._shared.app_state.copy(),
            "extensions": {"websocket.http.response": {}, SOCKET_EXTENSION: self},
        }

    def _log(self, outcome: str) -> None:
        scope: Any = self._scope
        # Without a scope, the request was no handshake.
        if scope is not None:
            logger.info('%s - "WebSocket %s" %s', name_client(scope), name_target(scope), outcome)
