"""ASGI servers inside the dev server's own process: live reload, and the page that shows an error."""

from __future__ import annotations

import asyncio
import html
import socket
from functools import partial

from nitro_py.dev.child_handover import send_connection
from nitro_py.errors import NitroError
from nitro_py.event import Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.application import refuse_request
from nitro_py.runtime.hosts import HostCheck
from nitro_py.server.uvicorn_server import EmbeddedServer


class BackgroundServer:
    """A server of an ASGI application in a task of the running event loop.

    Args:
        app: The application.
        listener: The bound socket; it is closed at the end.
    """

    def __init__(self, app: ASGIApplication, listener: socket.socket) -> None:
        self._listener = listener
        self._server = EmbeddedServer(app)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        await self._server.ready.wait()

    async def stop(self, successor: socket.socket | None = None) -> None:
        """Close the socket, and every connection.

        Args:
            successor: A socket to another process, which connections are sent to instead.
        """
        if successor is not None:
            self._server.send_descriptor = partial(send_connection, successor)
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        self._listener.close()


class ErrorPage:
    """An ASGI application that shows why there is no app yet.

    Args:
        error: The error.
        host_check: The check of its requests; `None` if every host is allowed.
    """

    def __init__(self, error: NitroError, host_check: HostCheck | None) -> None:
        self.error = error
        self.host_check = host_check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with status 503."""
        if self.host_check is not None and (refusal := self.host_check.check(scope["headers"])):
            await refuse_request(refusal, scope, receive, send)
            return
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
