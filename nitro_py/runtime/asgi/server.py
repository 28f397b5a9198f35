"""Fits uvicorn to the app: our own protocols, the app's limits and logs."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn

from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.asgi.graceful import GracefulServer
from nitro_py.runtime.asgi.handover import Handover
from nitro_py.runtime.asgi.http_protocol import HttpProtocol
from nitro_py.runtime.asgi.limits import make_limiter
from nitro_py.runtime.asgi.logs import announce, make_log_config
from nitro_py.runtime.asgi.shares import Shares
from nitro_py.runtime.asgi.websocket.protocol import WebSocketProtocol
from nitro_py.runtime.ports import format_url


def serve(
    application: Application,
    listener: socket.socket,
    *,
    front: ASGIApplication | None = None,
    ready: Callable[[], None] | None = None,
    shares: Shares | None = None,
    handover: Handover | None = None,
) -> None:
    """Serves an app on a bound socket until a signal stops it.

    Args:
        application: The app.
        listener: The socket, bound and listening.
        front: What answers in the app's place and hands on to it, as `nitropy dev` needs.
        ready: Is called once the app serves, in place of the line that tells its URL.
        shares: What the workers of the port know of each other, if there are others.
        handover: Where connections come from and go to, if there are servers before and after this one.
    """
    every = application.app.settings
    settings = every.websocket
    limiter = make_limiter(every, application.app.counters)
    config = uvicorn.Config(
        front or application,
        http=cast(Any, partial(HttpProtocol, limiter=limiter)),
        ws=WebSocketProtocol,
        ws_max_size=settings.max_message,
        ws_ping_interval=settings.idle_timeout or None,
        ws_ping_timeout=settings.idle_timeout or None,
        ws_per_message_deflate=settings.compression,
        timeout_keep_alive=every.http.keep_alive,
        lifespan="on",
        log_config=make_log_config(every.log),
        server_header=False,
    )
    ready = ready or partial(announce, f"Listening on {format_url(listener)}", every.log)
    # uvicorn raises the signal again once it has stopped in peace, which is then no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    server = GracefulServer(config, application, limiter, ready, shares, handover)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    except SystemExit:
        # uvicorn has one status for whatever keeps an app from starting.
        if application.refusal is not None:
            sys.exit(2)
        raise
