"""ASGI servers inside the dev server's own process: live reload, and the page that shows an error."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

from nitro_py.dev.child_handover import send_connection
from nitro_py.dev.error_pages import is_local_browser
from nitro_py.dev.error_view import make_id, make_page
from nitro_py.errors import NitroError
from nitro_py.event import Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.application import refuse_request
from nitro_py.runtime.hosts import HostCheck
from nitro_py.runtime.http.error_pages import HTML
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
        script: The script that is added to the page, as an element of HTML.
    """

    def __init__(self, script: str) -> None:
        self._script = script
        self._text = self._view = ""
        self._host_check: HostCheck | None = None

    def show(self, error: NitroError, view: str, host_check: HostCheck | None) -> None:
        """Show an error from now on.

        Args:
            error: The error.
            view: Its view, as HTML.
            host_check: The check of requests; `None` if every host is allowed.
        """
        self._text, self._view = f"nitropy dev: {error}\n", view
        self._host_check = host_check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with status 503."""
        if self._host_check is not None and (refusal := self._host_check.check(scope["headers"])):
            await refuse_request(refusal, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011})
            return
        headers, body = [(b"content-type", b"text/plain; charset=utf-8")], self._text.encode()
        if is_local_browser(scope):
            body, policy = make_page("Error", self._view, id=make_id(self._view), allowed=self._script)
            headers = [(b"content-type", HTML.encode()), (b"content-security-policy", policy.encode())]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})
