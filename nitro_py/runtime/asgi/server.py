"""Fits uvicorn to the app: a socket that can be dropped, and a stop that says goodbye first."""

from __future__ import annotations

import contextlib
import copy
import signal
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto import events

from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.asgi.socket import TRANSPORT_EXTENSION
from nitro_py.runtime.ports import format_url

# How long uvicorn waits for open connections once the app has drained, in seconds.
GRACE = 5


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


class Server(uvicorn.Server):
    """Is uvicorn's server, and drains the app before it closes the connections.

    uvicorn itself would close sockets with 1012 and wait for event streams that never end.
    """

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, drains the app, then lets uvicorn finish."""
        for server in self.servers:
            server.close()
        await self._application.drain()
        await super().shutdown(sockets)


def serve(application: Application, listener: socket.socket, *, front: ASGIApplication | None = None) -> None:
    """Serves an app on a bound socket until a signal stops it.

    Args:
        application: The app.
        listener: The socket, bound and listening.
        front: What answers in the app's place and hands on to it, as `nitropy dev` needs.
    """
    settings = application.app.settings.websocket
    config = uvicorn.Config(
        front or application,
        ws=SocketProtocol,
        ws_max_size=settings.max_message,
        ws_ping_interval=settings.idle_timeout or None,
        ws_ping_timeout=settings.idle_timeout or None,
        ws_per_message_deflate=settings.compression,
        lifespan="on",
        log_config=make_log_config(),
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    print(f"Listening on {format_url(listener)}", flush=True)
    # uvicorn raises the signal again once it has stopped in peace, which is then no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        Server(config, application).run(sockets=[listener])


def make_log_config() -> dict[str, Any]:
    """Gives uvicorn's logging configuration with the app's own loggers in it."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["nitro_py"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
