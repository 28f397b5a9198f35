"""HTTP/1.1 for uvicorn: what its own protocol does, with less work for a request."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, cast

import httptools
from uvicorn import Config
from uvicorn.server import ServerState

from nitro_py.runtime.asgi.access_log import find_access_log
from nitro_py.runtime.asgi.exchange import Exchange
from nitro_py.runtime.asgi.fields import encode_refusal, wants_socket
from nitro_py.runtime.asgi.handover import Departure, Give
from nitro_py.runtime.asgi.heads import HeadReader
from nitro_py.runtime.asgi.idle import IdleTimer
from nitro_py.runtime.asgi.limits import BAD_HOST, NO_HTTP, NO_WORD, Limiter, Refusal
from nitro_py.runtime.asgi.proxies import unwrap
from nitro_py.runtime.asgi.scope import describe_connection, make_scope, resolve_target
from nitro_py.runtime.direct import DIRECT_EXTENSION

logger = logging.getLogger("uvicorn.error")

# What may wait of a request's body before reading pauses, in bytes.
BODY_LIMIT = 64 * 1024
VERSIONS = ("1.1", "1.0")
# Decoding a method costs more than looking it up.
METHODS = {name.encode(): name for name in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")}


class HttpProtocol(HeadReader):
    """Is one client's connection; uvicorn makes one for each.

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
        self._parsing: Exchange | None = None
        self._current: Exchange | None = None
        self._waiting: deque[tuple[Exchange, Any, dict[str, Any]]] = deque()
        # No request comes after this one, what comes is no HTTP, what comes is a WebSocket handshake.
        self._last = self._broken = self._upgrading = False
        self._idle: IdleTimer | Departure = IdleTimer(
            self.loop, config.timeout_keep_alive, lambda: self.transport.close()
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins a connection."""
        self.transport = cast(asyncio.Transport, transport)
        self.state.connections.add(cast(Any, self))
        if not self._guard.admit(len(self.state.connections)):
            self.transport.abort()
        self._base = describe_connection(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the app that the client left."""
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
        """Takes bytes from the client."""
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
        """Ends a connection whose client keeps us waiting for too long; called once a second."""
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
        """Notes that the client takes bytes again."""
        super().resume_writing()
        if self._current is not None:
            self._current.resume()

    def shutdown(self) -> None:
        """Closes the connection for uvicorn's stop, after the answer that is under way."""
        if self._current is None:
            self.transport.close()
        else:
            self._current.keep_alive = False

    @property
    def is_idle(self) -> bool:
        """Whether the client has asked for nothing that is still to be read or answered."""
        waits = self._current is None and self._parsing is None and not self._guard.is_head_begun
        return waits and self._parser is not None and not self._last

    def hand_on(self, give: Give) -> None:
        """Lets another process go on with the connection, after what this one has to answer.

        Args:
            give: Takes it.
        """
        self._idle.cancel()
        self._idle = Departure(self, give)
        self._idle.start()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begins a request."""
        self._idle.stop()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Starts the app for a request, or lets it wait for the answers before its own."""
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
        exchange = Exchange(
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
        """Takes a piece of a request's body."""
        self._guard.progress()
        exchange = self._parsing
        if exchange is not None and exchange.feed(body) > BODY_LIMIT:
            self.pause_reading()

    def on_message_complete(self) -> None:
        """Ends a request."""
        exchange, self._parsing = self._parsing, None
        if exchange is not None:
            exchange.end()
            if self._current is None:
                # The answer came before the end of its request.
                self._idle.start()

    def finish(self, exchange: Exchange) -> None:
        """Goes on after an answer: with the next request, or with waiting for one."""
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

    def _start(self, exchange: Exchange, app: Any, scope: dict[str, Any]) -> None:
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
                self._hand_over(bytes(rest))
                return
            if self._last:
                # Nothing counts any more, and here the parser would take a body for requests.
                self._broken = True
                return
            self._ignore_upgrade()

    def _hand_over(self, rest: bytes) -> None:
        """Hands the connection over to the WebSocket protocol, with what came behind the handshake."""
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
        """Answers a request in the app's place, unless an answer is under way, and ends the connection then."""
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
