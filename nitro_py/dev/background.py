"""ASGI servers inside the dev server's own process: live reload, and the page that shows an error."""

from __future__ import annotations

import asyncio
import html
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn

from nitro_py.dev.handover import give_connection
from nitro_py.errors import NitroError
from nitro_py.event import Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.server.http.protocol import HttpProtocol
from nitro_py.server.uvicorn_server import LAST_CONNECTIONS
from nitro_py.server.websocket.protocol import WebSocketProtocol


class BackgroundServer:
    """Serves an ASGI application on a bound socket, beside everything else that the loop does.

    Args:
        app: The application.
        listener: The socket; it is closed at the end.
    """

    def __init__(self, app: ASGIApplication, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._listener = listener
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        await self._server.ready.wait()

    async def stop(self, successor: socket.socket | None = None) -> None:
        """Close every connection, and the socket.

        Args:
            successor: Where connections are put instead, for another process to go on with them.
        """
        self._server.successor = successor
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        self._listener.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.successor: socket.socket | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are the dev server's own business.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.successor is not None:
            for server in self.servers:
                server.close()
            # The loop takes some turns to tell of connections that it has accepted.
            await asyncio.sleep(LAST_CONNECTIONS)
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.transfer_when_idle(partial(give_connection, self.successor))
            await asyncio.sleep(LAST_CONNECTIONS)
        await super().shutdown(sockets)


class ErrorPage:
    """An ASGI application that shows why there is no app yet.

    Args:
        error: What is wrong.
    """

    def __init__(self, error: NitroError) -> None:
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with status 503."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011})
            return
        accept = dict(scope["headers"]).get(b"accept", b"")
        kind, text = "text/plain", f"nitropy dev: {self.error}\n"
        if b"text/html" in accept:
            kind, text = "text/html", f"<!doctype html>\n<title>Error</title>\n<pre>{html.escape(text)}</pre>\n"
        headers = [(b"content-type", f"{kind}; charset=utf-8".encode())]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})
