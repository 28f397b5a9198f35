"""uvicorn's server with a stop of its own: in peace, and never longer than the grace period."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.shutdown import HURRY, PLUGINS, WORK, GracePeriod
from nitro_py.server.handover import Handover
from nitro_py.server.http.limits import Limiter, make_limiter
from nitro_py.server.http.protocol import HttpProtocol
from nitro_py.server.logging import announce, make_log_config
from nitro_py.server.ports import format_url
from nitro_py.server.websocket.protocol import WebSocketProtocol
from nitro_py.server.workers.fair_listener import FairListener
from nitro_py.server.workers.shared_memory import ConnectionCounts

logger = logging.getLogger("nitro_py.app")

CLOSE = (b"connection", b"close")

# How long a kept connection may go on after the last one was accepted, in seconds: a request may be on its way.
LAST_REQUESTS = 0.2

# How long the kernel takes no more connections before the last that it has taken were accepted, in seconds.
LAST_CONNECTIONS = 0.05

# How long the process may take to end once a stop that was hurried is over, in seconds.
LAST_STEPS = 1.0


class GracefulServer(uvicorn.Server):
    """Serves an app, and stops it as its clients and the platform expect.

    uvicorn itself would close sockets with 1012, all at once, and wait for event streams that never end.

    Args:
        config: What uvicorn shall do.
        application: The app, whatever stands in front of it.
        limiter: What limits its connections.
        ready: Is called once connections are accepted.
        shares: What the workers of the port know of each other, if there are others.
        handover: Where connections come from and go to, if there are servers before and after this one.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        application: Application,
        limiter: Limiter,
        ready: Callable[[], None] | None = None,
        shares: ConnectionCounts | None = None,
        handover: Handover | None = None,
    ) -> None:
        super().__init__(config)
        self._limiter = limiter
        self._shares = shares
        self._handover = handover
        self._listeners: list[FairListener] = []
        self._ready = ready
        self._application = application
        self._app = application.app
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then accepts connections."""
        self._loop = asyncio.get_running_loop()
        if self._shares is None or sockets is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self._listeners = [
                FairListener(listener, self._make_protocol, self._count_connections, self._shares)
                for listener in sockets
            ]
        if self.started and self._handover is not None:
            self._handover.begin(self._make_protocol)
        if self.started and self._ready is not None:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Look after connections once a second, at the tenth of uvicorn's ticks."""
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.tick()
            self._limiter.report()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the stop at the first signal, from which on the app is not ready; a second one hurries it."""
        super().handle_exit(sig, frame)
        if not self._app.stopping:
            self._announce_end()
            # Ctrl+C comes from somebody who waits.
            limit_stop(self._app.begin_stop(patient=sig != signal.SIGINT).left())
        elif self._loop is not None:
            grace = self._app.begin_stop()
            self._loop.call_soon_threadsafe(grace.cut_short)
            limit_stop(min(grace.left(), HURRY) + LAST_STEPS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drains the app, lets it answer what it was asked, and stop it."""
        grace = self._app.begin_stop()
        self._announce_end()
        # In development nobody sends clients elsewhere first, and a person waits.
        if grace.patient and not self._app.development:
            await grace.sleep(self._app.settings.server.drain_delay)
        grace.begin_work()
        await self._stop_accepting(sockets or [])
        waits = grace.patient and not self._app.development
        last_requests = asyncio.create_task(grace.sleep(LAST_REQUESTS if waits else 0.0))
        await self._application.drain()
        if self.server_state.connections and waits:
            await last_requests
        self._let_go()
        await self._finish_requests(grace)
        if await grace.wait([self.lifespan.shutdown()], PLUGINS):
            logger.error("The plugins had not stopped when their time was over.")

    async def _stop_accepting(self, sockets: Iterable[socket.socket]) -> None:
        if self._shares is None and not self._app.development:
            # Nobody else accepts: what the kernel has taken by the time of the close, it would break off.
            for listener in sockets:
                listener.listen(0)
            await asyncio.sleep(LAST_CONNECTIONS)
        for server in self.servers:
            server.close()
        for fair in self._listeners:
            fair.close()
        for listener in sockets:
            listener.close()
        if self._handover is not None:
            self._handover.end()
        if self._successor is not None:
            # The loop takes some turns to tell of connections that it has accepted.
            await asyncio.sleep(LAST_CONNECTIONS)

    def _let_go(self) -> None:
        """End connections that nothing is done on, and the others once it is done, or hand them on."""
        successor = self._successor
        for connection in list(self.server_state.connections):
            if successor is not None and isinstance(connection, HttpProtocol):
                connection.transfer_when_idle(successor.give)
            else:
                connection.shutdown()
        if successor is not None:
            successor.finish()

    @property
    def _successor(self) -> Handover | None:
        return self._handover if self._handover is not None and self._handover.has_successor else None

    def _make_protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _count_connections(self) -> int:
        return len(self.server_state.connections)

    def _announce_end(self) -> None:
        """Tell clients that keep a connection to use another from their next answer on."""
        if self.started and self._successor is None and CLOSE not in self.config.encoded_headers:
            self.config.encoded_headers.append(CLOSE)
            # The list that answers have at hand, until the next is made of the former.
            self.server_state.default_headers.append(CLOSE)

    async def _finish_requests(self, grace: GracePeriod) -> None:
        state = self.server_state
        # Neither of uvicorn's sets tells that it is empty.
        while (state.connections or state.tasks) and grace.left(WORK):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if late := list(state.tasks):
            logger.warning("Cut off %d requests that were not answered when their time was over.", len(late))
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=grace.left(PLUGINS))


def limit_stop(seconds: float) -> None:
    """End the process with status 1 after a time, whatever holds it up, and prints where it hangs.

    Not by a timer of the event loop, which may be what hangs.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)


def serve(
    application: Application,
    listener: socket.socket,
    *,
    front: ASGIApplication | None = None,
    ready: Callable[[], None] | None = None,
    shares: ConnectionCounts | None = None,
    handover: Handover | None = None,
) -> None:
    """Serve an app on a bound socket until a signal stops it.

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
