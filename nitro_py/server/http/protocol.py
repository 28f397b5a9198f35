"""HTTP/1.1 for uvicorn: what its own protocol does, with less work for a request."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn import Config
from uvicorn.server import ServerState

from nitro_py.runtime.asgi.extensions import DIRECT_EXTENSION
from nitro_py.server.handover import IdleTransfer, SendDescriptor
from nitro_py.server.http.head import (
    PROXY_FIELDS,
    describe_connection,
    encode_fields,
    encode_refusal,
    make_parser,
    make_scope,
    names_host,
    resolve_target,
    unwrap,
    wants_socket,
)
from nitro_py.server.http.limits import BAD_HOST, NO_HTTP, NO_WORD, Guard, Limiter, Refusal
from nitro_py.server.http.request_cycle import RequestCycle
from nitro_py.server.logging import find_access_log


class FlowControl(asyncio.Protocol):
    """A connection that knows whether its client takes bytes, and whether we do."""

    def __init__(self) -> None:
        self.transport = cast(asyncio.Transport, None)
        self.write_paused = False
        self._read_paused = False
        self._room: asyncio.Event | None = None

    def pause_writing(self) -> None:
        """Note that the client takes bytes more slowly than they come."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Note that the client takes bytes again."""
        self.write_paused = False
        if self._room is not None:
            self._room.set()
            self._room = None

    async def drain(self) -> None:
        """Wait until the client takes bytes again, or is gone."""
        if self.write_paused:
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()

    def pause_reading(self) -> None:
        """Take no more bytes from the client for now."""
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()


class IdleTimer:
    """Closes a connection that has been idle for a time; one timer serves all of a connection's requests.

    Args:
        loop: The event loop.
        seconds: How long the connection may be idle.
        close: What closes it.
    """

    __slots__ = ("_close", "_loop", "_seconds", "_since", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Note that the connection is idle from now on."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """Note that the connection is in use."""
        self._since = None

    def cancel(self) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._close()


# Fields that the server itself looks at.
OWN_FIELDS = PROXY_FIELDS | {b"connection", b"expect", b"transfer-encoding"}
# Stand for the hosts of a request that names several, and for one that no request can name.
SEVERAL, NONE_YET = b"\n", b"\r"


class HeadReader(FlowControl):
    """A connection whose parser has a request's head put together here.

    Args:
        limiter: What limits how much a client may have.
    """

    def __init__(self, limiter: Limiter) -> None:
        super().__init__()
        self._parser: Any = make_parser(self)
        self._guard = Guard(limiter)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = self._is_proxied = False
        # The host that the request names, and the last one that was looked at.
        self._host: bytes | None = None
        self._known_host = NONE_YET

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._guard.begin_head()
        self._url = b""
        self._headers = []
        self._expects_continue = self._is_proxied = False
        self._host = None

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        name = name.lower()
        if name == b"host":
            self._host = value if self._host is None else SEVERAL
        elif name in OWN_FIELDS:
            self._note(name, value.strip().lower())
        self._headers.append((name, value))

    def _note(self, name: bytes, value: bytes) -> None:
        """Look at a field; an error that is raised here comes out of the parser as one of its own.

        Raises:
            ValueError: The field lets servers differ about where a request ends.
        """
        if name in PROXY_FIELDS:
            self._is_proxied = True
        elif name == b"expect":
            self._expects_continue = self._expects_continue or value == b"100-continue"
        elif name == b"transfer-encoding":
            if value != b"chunked":
                raise ValueError(f"Expected the transfer coding `chunked`, got {value!r}.")
        elif not self._guard.is_head_begun:
            raise ValueError("`Connection` cannot stand behind a body.")

    def _accept_host(self, version: str) -> bool:
        """Look at a host that the last request did not name."""
        accepted = names_host(self._host, version)
        if accepted and self._host is not None:
            self._known_host = self._host
        return accepted

    def _ignore_upgrade(self) -> None:
        """Read a head again without the wish for another protocol.

        The parser stops behind such a head, and would take the request's content for the next request, unlike
        those who are between us and the client (RFC 9110, section 7.8).
        """
        head = self._write_head([field for field in self._headers if field[0] != b"upgrade"])
        self._parser = make_parser(self)
        self._parser.feed_data(head)

    def _write_head(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Write the head that the parser has stopped at, with other fields."""
        parser = self._parser
        line = (parser.get_method(), self._url, parser.get_http_version().encode())
        return b"%b %b HTTP/%b\r\n%b\r\n" % (*line, encode_fields(fields))


logger = logging.getLogger("uvicorn.error")

# What may wait of a request's body before reading pauses, in bytes.
BODY_LIMIT = 64 * 1024
VERSIONS = ("1.1", "1.0")
# Decoding a method costs more than looking it up.
METHODS = {name.encode(): name for name in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")}


class HttpProtocol(HeadReader):
    """One client's connection; uvicorn makes one for each.

    Requests that come together are answered one after another, in their order. Follows RFC 9112.

    Args:
        config: uvicorn's configuration.
        server_state: What uvicorn knows of all connections.
        app_state: What the lifespan left for each request's scope.
        limiter: What limits how much a client may have.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        super().__init__(limiter or Limiter())
        if not config.loaded:
            config.load()
        self.state = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self.log = find_access_log()
        self._config = config
        self._app, self._proxied_app = unwrap(config.loaded_app)
        self._app_state = app_state
        self._base: dict[str, Any] = {}
        # The request whose body is still being read, the one that is being answered, and those behind it.
        self._parsing: RequestCycle | None = None
        self._current: RequestCycle | None = None
        self._waiting: deque[tuple[RequestCycle, Any, dict[str, Any]]] = deque()
        # No request comes after this one, what comes is no HTTP, what comes is a WebSocket handshake.
        self._last = self._broken = self._upgrading = False
        self._idle: IdleTimer | IdleTransfer = IdleTimer(
            self.loop, config.timeout_keep_alive, lambda: self.transport.close()
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self.transport = cast(asyncio.Transport, transport)
        self.state.connections.add(cast(Any, self))
        if not self._guard.admit(len(self.state.connections)):
            self.transport.abort()
        self._base = describe_connection(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the app that the client left."""
        self.state.connections.discard(cast(Any, self))
        self._last = True
        # It refers to us as we to it.
        self._parser = None
        self._idle.cancel()
        self._waiting.clear()
        current, self._current = self._current, None
        if current is not None:
            current.disconnect()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._broken:
            return
        self._guard.take(len(data))
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(NO_HTTP)
        if refusal := self._guard.check():
            self._refuse(refusal)

    def tick(self) -> None:
        """End a connection whose client keeps us waiting for too long; called once a second."""
        parsing = self._parsing
        refusal = self._guard.tick(
            reads_body=parsing is not None and not self._read_paused and not parsing.holds_back,
            unsent=self.transport.get_write_buffer_size() if self.write_paused else 0,
        )
        if refusal is NO_WORD:
            self.transport.abort()
        elif refusal:
            self._refuse(refusal)

    def resume_writing(self) -> None:
        """Note that the client takes bytes again."""
        super().resume_writing()
        if self._current is not None:
            self._current.resume()

    def shutdown(self) -> None:
        """Close the connection for uvicorn's stop, after the answer that is under way."""
        if self._current is None:
            self.transport.close()
        else:
            self._current.keep_alive = False

    @property
    def is_idle(self) -> bool:
        """Whether the client has asked for nothing that is still to be read or answered."""
        waits = self._current is None and self._parsing is None and not self._guard.is_head_begun
        return waits and self._parser is not None and not self._last

    def transfer_when_idle(self, give: SendDescriptor) -> None:
        """Let another process go on with the connection, after what this one has to answer.

        Args:
            give: Takes it.
        """
        self._idle.cancel()
        self._idle = IdleTransfer(self, give)
        self._idle.start()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._idle.stop()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the app for a request, or let it wait for the answers before its own."""
        self._parsing = None
        refusal = self._guard.end_head(self._url, self._headers)
        # Whoever asked for the connection's end has no more to ask.
        if self._last:
            return
        if refusal:
            self._refuse(refusal)
            return
        parser = self._parser
        version = parser.get_http_version()
        if version not in VERSIONS:
            raise ValueError(f"Expected HTTP 1.0 or 1.1, got {version}.")
        if self._host != self._known_host and not self._accept_host(version):
            self._refuse(BAD_HOST)
            return
        name = parser.get_method()
        if self._url[:1] != b"/":
            self._url, self._headers = resolve_target(name, self._url, self._headers)
        if parser.should_upgrade():
            if name == b"CONNECT":
                raise ValueError("Expected a request to this server, got one to a proxy.")
            # The parser stops here, and what comes of any other protocol is settled where it does.
            self._upgrading = version == "1.1" and self._current is None and wants_socket(self._headers)
            return
        method = METHODS.get(name) or name.decode("ascii")
        exchange = RequestCycle(
            self,
            method,
            chunks=version == "1.1",
            keep_alive=version == "1.1" and parser.should_keep_alive(),
            expects_continue=self._expects_continue and version == "1.1",
        )
        scope = make_scope(self._base, method, version, self._url, self._headers)
        scope["state"] = self._app_state.copy()
        scope["extensions"] = {DIRECT_EXTENSION: exchange}
        # Fields behind a body in chunks would come into the same list, and could pass for the head's.
        self._headers = []
        self._parsing = exchange
        self._last = not exchange.keep_alive
        app = self._proxied_app if self._is_proxied else self._app
        if self._current is None:
            self._start(exchange, app, scope)
        else:
            self.pause_reading()
            self._waiting.append((exchange, app, scope))

    def on_body(self, body: bytes) -> None:
        """Take a piece of a request's body."""
        self._guard.progress()
        exchange = self._parsing
        if exchange is not None and exchange.feed(body) > BODY_LIMIT:
            self.pause_reading()

    def on_message_complete(self) -> None:
        """End a request."""
        exchange, self._parsing = self._parsing, None
        if exchange is not None:
            exchange.end()
            if self._current is None:
                # The answer came before the end of its request.
                self._idle.start()

    def finish(self, exchange: RequestCycle) -> None:
        """Go on after an answer: with the next request, or with waiting for one."""
        self.state.total_requests += 1
        self._current = None
        if not exchange.keep_alive:
            self._last = True
            self.transport.close()
        elif self._waiting:
            self._start(*self._waiting.popleft())
        else:
            self.resume_reading()
            self._idle.start()

    def _start(self, exchange: RequestCycle, app: Any, scope: dict[str, Any]) -> None:
        self._current = exchange
        exchange.start(app, scope)

    def _feed(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while rest:
            try:
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
            if self._upgrading:
                self._switch_to_websocket(bytes(rest))
                return
            if self._last:
                # Nothing counts any more, and here the parser would take a body for requests.
                self._broken = True
                return
            self._ignore_upgrade()

    def _switch_to_websocket(self, rest: bytes) -> None:
        """Hand the connection over to the WebSocket protocol, with what came behind the handshake."""
        self.state.connections.discard(cast(Any, self))
        self._idle.cancel()
        factory = cast(Any, self._config.ws_protocol_class)
        protocol = factory(config=self._config, server_state=self.state, app_state=self._app_state)
        protocol.connection_made(self.transport)
        protocol.data_received(self._write_head(self._headers))
        self.transport.set_protocol(protocol)
        self._parser = None
        if rest:
            protocol.data_received(rest)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer a request in the app's place, unless an answer is under way, and end the connection then."""
        if self._broken:
            return
        current = self._current
        self._guard.note(refusal)
        self._last = self._broken = True
        if current is not None and current is not self._parsing:
            # What came before the garbage deserves its answer.
            if self._waiting and self._waiting[-1][0] is self._parsing:
                self._waiting.pop()
            last = self._waiting[-1][0] if self._waiting else current
            last.keep_alive = False
            return
        if current is None or not current.started:
            self.transport.write(encode_refusal(*refusal, self.state.default_headers))
        if current is not None:
            self._current = None
            current.disconnect()
        self.transport.close()
