"""Fits uvicorn to the app: a socket that can be dropped, the app's limits and logs."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto import events

from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.asgi.graceful import GracefulServer
from nitro_py.runtime.asgi.http_protocol import HttpProtocol
from nitro_py.runtime.asgi.logs import announce, make_log_config
from nitro_py.runtime.asgi.socket import TRANSPORT_EXTENSION
from nitro_py.runtime.ports import format_url


class SocketProtocol(WSProtocol):
    """Is uvicorn's WebSocket protocol, and tells the app more: its transport, and how the connection ended."""

    def handle_connect(self, event: events.Request) -> None:
        """Starts the app for a handshake, as uvicorn does; its task runs after this has returned."""
        super().handle_connect(event)
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[TRANSPORT_EXTENSION] = self.transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Says 1006 of a connection that was lost, where uvicorn says that it was closed without a code."""
        # The app takes the first that it gets, so nothing changes after a close frame.
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)


def serve(
    application: Application,
    listener: socket.socket,
    *,
    front: ASGIApplication | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serves an app on a bound socket until a signal stops it.

    Args:
        application: The app.
        listener: The socket, bound and listening.
        front: What answers in the app's place and hands on to it, as `nitropy dev` needs.
        ready: Is called once the app serves, in place of the line that tells its URL.
    """
    settings = application.app.settings.websocket
    config = uvicorn.Config(
        front or application,
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_max_size=settings.max_message,
        ws_ping_interval=settings.idle_timeout or None,
        ws_ping_timeout=settings.idle_timeout or None,
        ws_per_message_deflate=settings.compression,
        lifespan="on",
        log_config=make_log_config(application.app.settings.log),
        server_header=False,
    )
    if ready is None:
        announce(f"Listening on {format_url(listener)}", application.app.settings.log)
    # uvicorn raises the signal again once it has stopped in peace, which is then no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        GracefulServer(config, application, ready).run(sockets=[listener])
