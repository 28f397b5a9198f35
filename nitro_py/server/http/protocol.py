"""HTTP/1.1 on one client's connection, with less work for a request than uvicorn's own protocol."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, cast

import httptools
from uvicorn import Config

from nitro_py.runtime.asgi.extensions import DIRECT_EXTENSION
from nitro_py.runtime.routing.methods import METHODS
from nitro_py.server.backlog import SLICE, find_backlogs
from nitro_py.server.connection_transfer import IdleTransfer, SendDescriptor
from nitro_py.server.http.head import (
    describe_connection,
    encode_fields,
    encode_refusal,
    make_parser,
    make_scope,
    names_host,
    resolve_target,
    wants_websocket,
)
from nitro_py.server.http.limits import (
    BAD_HOST,
    BAD_REQUEST,
    NO_ANSWER,
    ConnectionGuard,
    RequestRefusal,
    ServerLimits,
    has_left,
)
from nitro_py.server.http.request_cycle import RequestCycle
from nitro_py.server.logging import find_access_log
from nitro_py.server.uvicorn_internals import PROXY_FIELDS, ServerState, load_apps, make_websocket

# The header fields that the server itself reads.
SERVER_FIELDS: Final = PROXY_FIELDS | {b"connection", b"expect", b"transfer-encoding"}
# Stand for the hosts of a request that names several, and for a host that no request can name.
SEVERAL_HOSTS: Final = b"\n"
UNKNOWN_HOST: Final = b"\r"
# How many bytes are read at a time where more came, before the clock is looked at: at first, and at most.
MIN_PIECE: Final = 4 * 1024
MAX_PIECE: Final = 64 * 1024
# How long a client may take to read an answer once its body is not read any more, in seconds.
LINGER: Final = 1.0
# The most of a request's body that may wait for the app, in bytes; then reading pauses.
MAX_WAITING_BODY: Final = 64 * 1024
VERSIONS: Final = ("1.1", "1.0")
# Looked up rather than decoded (row `http`); any other method is decoded.
_METHODS: Final = {name.encode(): name for name in METHODS}


class IdleTimer:
    """A timer that closes a connection after some idle time.

    One timer of the event loop serves all of a connection's requests: to set and cancel one for each request would
    cost more than to look at the clock (row `http`).

    Args:
        loop: The event loop.
        seconds: How long the connection may be idle, in seconds.
        close: Closes it.
    """

    __slots__ = ("_close", "_loop", "_seconds", "_since", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the time of an idle connection."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)

    def stop(self) -> None:
        """Stop the time: the connection is in use."""
        self._since = None

    def cancel(self) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        else:
            self._close()


class HttpProtocol(asyncio.Protocol):
    """One client's HTTP connection; the server makes one for each.

    Requests that come together are answered one after another, in their order. Follows RFC 9112.

    Args:
        config: uvicorn's configuration.
        server_state: uvicorn's record of its connections and tasks.
        app_state: What the application's lifespan has set, for each request's scope.
        limits: The limits of the server's connections.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self.state = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self._backlogs = find_backlogs(self.loop)
        self.log = find_access_log()
        self.transport = cast(asyncio.Transport, None)
        self._config = config
        self._app, self._proxied_app = load_apps(config)
        self._app_state = app_state
        self._limits = limits or ServerLimits()
        self._guard = ConnectionGuard(self._limits)
        self._scope_base: dict[str, Any] = {}
        self._idle: IdleTimer | IdleTransfer = IdleTimer(
            self.loop, config.timeout_keep_alive, lambda: self.transport.close()
        )
        # Whether the client takes bytes, and whether we do.
        self.write_paused = False
        self._read_paused = False
        self._writable: asyncio.Event | None = None
        # What came and is not read yet, and whether the connection waits for its turn to read it.
        self._backlog = b""
        self._queued = False
        self._piece = MIN_PIECE
        # The head that is being read.
        self._parser: Any = make_parser(self)
        self._url = b""
        # What has come since a head began, for the look at its request line.
        self._received = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = self._is_proxied = False
        # The host that the request names, and the last one that was found valid.
        self._host: bytes | None = None
        self._known_host = UNKNOWN_HOST
        # The request whose body is still being read, the one that is being answered, and those behind it.
        self._parsing: RequestCycle | None = None
        self._current: RequestCycle | None = None
        self._pipelined: deque[tuple[RequestCycle, Any, dict[str, Any]]] = deque()
        # No request comes after this one; what comes is ignored; what comes is a WebSocket handshake.
        self._last = self._ignores_input = self._upgrading = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self.transport = cast(asyncio.Transport, transport)
        self.state.connections.add(self)
        has_place = self._guard.admit(len(self.state.connections))
        if self._guard.is_surplus and not self._limits.admit_surplus(self, is_full=not has_place):
            self.transport.abort()
        self._scope_base = describe_connection(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the app that the client left."""
        self.state.connections.discard(self)
        if self._guard.is_surplus:
            self._limits.forget_surplus(self)
        self._last = True
        # It refers to us as we to it.
        self._parser = None
        self._idle.cancel()
        self._pipelined.clear()
        self._backlog = b""
        current, self._current = self._current, None
        if current is not None:
            current.disconnect()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._ignores_input:
            return
        if len(data) > MIN_PIECE or self._backlog:
            if not self._read_paused and not self._backlog:
                self.transport.pause_reading()
            self._backlog += data
            if not self._queued:
                self.read_backlog()
            return
        self._take(data)

    def read_backlog(self) -> None:
        """Read for a slice, and take bytes from the client again once there is nothing left."""
        self._queued = False
        end = 0.0
        while self._backlog and not self._read_paused:
            before = monotonic()
            end = end or before + SLICE
            if before >= end:
                self._wait_for_turn()
                return
            piece, self._backlog = self._backlog[: self._piece], self._backlog[self._piece :]
            self._take(piece)
            if self._parser is None:
                # The connection is gone, or another protocol's.
                return
            if self._ignores_input:
                self._backlog = b""
            # Plain content costs hardly anything, and tiny chunks or requests cost much.
            cheap = monotonic() - before < SLICE / 8
            self._piece = min(2 * self._piece, MAX_PIECE) if cheap else MIN_PIECE
        if not self._read_paused:
            self.transport.resume_reading()

    def _take(self, data: bytes) -> None:
        guard = self._guard
        guard.count_bytes(len(data))
        self._received = self._received + data if self._received else data
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._read_behind(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(BAD_REQUEST)
        if not guard.is_head_begun:
            self._received = b""
        if refusal := guard.check():
            self._refuse(refusal)

    def pause_writing(self) -> None:
        """Pause the answer's writing: the client takes bytes more slowly than they come."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Resume the answer's writing: the client takes bytes again."""
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None
        if self._current is not None:
            self._current.resume()

    # What the server calls.

    def tick(self) -> None:
        """End a connection whose client keeps us waiting for too long, or has left; called once a second."""
        if self._pipelined and self._read_paused and has_left(self.transport):
            # Nothing is read that could tell.
            self.transport.abort()
            return
        parsing = self._parsing
        refusal = self._guard.tick(
            reads_body=parsing is not None
            and not self._read_paused
            and not self._backlog
            and not parsing.holds_back,
            unsent=self.transport.get_write_buffer_size() if self.write_paused else 0,
        )
        if refusal is NO_ANSWER:
            self.transport.abort()
        elif refusal:
            self._refuse(refusal)

    def shutdown(self) -> None:
        """Close the connection because the server stops, after the answer that is under way."""
        if self._current is None:
            self.transport.close()
        else:
            self._current.keep_alive = False

    def drop_if_idle(self) -> bool:
        """Drop the connection, unless a request is being answered; return whether it was dropped."""
        if self._current is not None:
            return False
        self.transport.abort()
        return True

    @property
    def is_idle(self) -> bool:
        """Whether the client has asked for nothing that is still to be read or answered."""
        waits = self._current is None and self._parsing is None and not self._guard.is_head_begun
        waits = waits and not self._backlog
        return waits and self._parser is not None and not self._last

    def transfer_when_idle(self, send: SendDescriptor) -> None:
        """Let another process go on with the connection, after the answers that this one still owes.

        Args:
            send: Sends the connection's descriptor to that process.
        """
        self._idle.cancel()
        self._idle = IdleTransfer(self, send)
        self._idle.start()

    # What the parser calls. An error that is raised here comes out of the parser as one of its own.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._idle.stop()
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
            self._host = value if self._host is None else SEVERAL_HOSTS
        elif name in SERVER_FIELDS:
            self._read_server_field(name, value.strip().lower())
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the app for a request, or let the request wait for the answers before its own."""
        self._parsing = None
        refusal = self._guard.end_head(self._url, self._headers)
        # A client that asked for the connection's end has no more to ask.
        if self._last:
            return
        if refusal:
            self._refuse(refusal)
            return
        parser = self._parser
        version = parser.get_http_version()
        if version not in VERSIONS:
            raise ValueError(f"Expected HTTP 1.0 or 1.1, got {version}.")
        name = parser.get_method()
        # The parser takes RTSP's version, and several spaces, for HTTP's.
        line = b"%b %b HTTP/" % (name, self._url)
        # Most requests come alone.
        if not self._received.startswith(line) and line not in self._received:
            raise ValueError("Expected a request line of HTTP.")
        if self._host != self._known_host and not self._check_host(version):
            self._refuse(BAD_HOST)
            return
        if self._url[:1] != b"/":
            self._url, self._headers = resolve_target(name, self._url, self._headers)
        if parser.should_upgrade():
            if name == b"CONNECT":
                raise ValueError("Expected a request to this server, got one to a proxy.")
            # The parser stops here, and `_feed` decides what comes of any other protocol.
            self._upgrading = version == "1.1" and self._current is None and wants_websocket(self._headers)
            return
        method = _METHODS.get(name) or name.decode("ascii")
        cycle = RequestCycle(
            self,
            method,
            chunks=version == "1.1",
            keep_alive=version == "1.1" and parser.should_keep_alive(),
            expects_continue=self._expects_continue and version == "1.1",
        )
        scope = make_scope(self._scope_base, method, version, self._url, self._headers)
        scope["state"] = self._app_state.copy()
        scope["extensions"] = {DIRECT_EXTENSION: cycle}
        # Fields behind a body in chunks would come into the same list, and could pass for the head's.
        self._headers = []
        self._parsing = cycle
        self._last = not cycle.keep_alive
        app = self._proxied_app if self._is_proxied else self._app
        if self._current is None:
            self._start(cycle, app, scope)
        else:
            self.pause_reading()
            self._pipelined.append((cycle, app, scope))

    def on_body(self, body: bytes) -> None:
        """Take a piece of a request's body."""
        self._guard.note_progress()
        cycle = self._parsing
        if cycle is not None and cycle.feed(body) > MAX_WAITING_BODY:
            self.pause_reading()

    def on_message_complete(self) -> None:
        """End a request."""
        cycle, self._parsing = self._parsing, None
        if cycle is not None:
            cycle.end()
            if self._current is None:
                # The answer came before the end of its request.
                self._idle.start()

    # What a request cycle and a transfer call.

    async def drain(self) -> None:
        """Wait until the client takes bytes again, or is gone."""
        if self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()

    def pause_reading(self) -> None:
        """Take no more bytes from the client for now."""
        if not self._read_paused:
            self._read_paused = True
            if not self._backlog:
                self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the client again."""
        if self._read_paused:
            self._read_paused = False
            if self._backlog:
                self._wait_for_turn()
            else:
                self.transport.resume_reading()

    def stop_reading(self) -> None:
        """End a connection whose client goes on with a body that was answered; it may still read the answer."""
        if self._ignores_input:
            return
        self._last = self._ignores_input = True
        # Closing at once, with data of the client unread, would reset the connection and lose the answer.
        self.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.abort)

    def finish(self, cycle: RequestCycle) -> None:
        """Go on after an answer: with the next request, or by waiting for one."""
        self.state.total_requests += 1
        self._current = None
        if not cycle.keep_alive:
            self._last = True
            self.transport.close()
        elif self._pipelined:
            self._start(*self._pipelined.popleft())
        else:
            if self._read_paused:
                self.resume_reading()
            self._idle.start()

    def _wait_for_turn(self) -> None:
        if not self._queued:
            self._queued = True
            self._backlogs.add(self)

    def _read_behind(self, rest: memoryview) -> None:
        """Go on behind a head that asks for another protocol, where the parser has stopped."""
        while True:
            if self._upgrading:
                first, self._backlog = bytes(rest) + self._backlog, b""
                self.transport.resume_reading()
                self._switch_to_websocket(first)
                return
            if self._last:
                # Nothing counts any more, and here the parser would take a body for requests.
                self._ignores_input = True
                return
            self._ignore_upgrade()
            if not rest:
                return
            try:
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]

    def _read_server_field(self, name: bytes, value: bytes) -> None:
        """Read a field that is meant for the server.

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

    def _check_host(self, version: str) -> bool:
        """Return whether the request names its host as it must; its host is not the one of the last request."""
        valid = names_host(self._host, version)
        if valid and self._host is not None:
            self._known_host = self._host
        return valid

    def _start(self, cycle: RequestCycle, app: Any, scope: dict[str, Any]) -> None:
        self._current = cycle
        cycle.start(app, scope)

    def _ignore_upgrade(self) -> None:
        """Read a head again without its wish for another protocol.

        The parser stops behind such a head, and would take the request's content for the next request, unlike the
        proxies between us and the client (RFC 9110, section 7.8).
        """
        head = self._write_head([field for field in self._headers if field[0] != b"upgrade"])
        self._parser = make_parser(self)
        self._parser.feed_data(head)

    def _switch_to_websocket(self, rest: bytes) -> None:
        """Hand the connection over to the WebSocket protocol, with what came behind the handshake."""
        self.state.connections.discard(self)
        self._idle.cancel()
        protocol = make_websocket(self._config, self.state, self._app_state)
        protocol.connection_made(self.transport)
        protocol.data_received(self._write_head(self._headers))
        self.transport.set_protocol(protocol)
        self._parser = None
        if rest:
            protocol.data_received(rest)

    def _write_head(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Write the head that the parser has stopped at, with other fields."""
        parser = self._parser
        line = (parser.get_method(), self._url, parser.get_http_version().encode())
        return b"%b %b HTTP/%b\r\n%b\r\n" % (*line, encode_fields(fields))

    def _refuse(self, refusal: RequestRefusal) -> None:
        """Answer a request in the app's place, unless an answer is under way, and end the connection then."""
        if self._ignores_input:
            return
        current = self._current
        self._guard.note(refusal)
        self._last = self._ignores_input = True
        if current is not None and current is not self._parsing:
            # The requests before the bad one still get their answers.
            if self._pipelined and self._pipelined[-1][0] is self._parsing:
                self._pipelined.pop()
            last = self._pipelined[-1][0] if self._pipelined else current
            last.keep_alive = False
            return
        if current is None or not current.started:
            self.transport.write(encode_refusal(*refusal, self.state.default_headers))
        if current is not None:
            self._current = None
            current.disconnect()
        self.transport.close()
