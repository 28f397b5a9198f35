"""uvicorn's server with a stop of its own: in peace, and never longer than the grace period."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType
from typing import Any, Final, cast

import uvicorn

from nitro_py.event import ASGIMessage, Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.containment import run_until_done
from nitro_py.runtime.settings import Settings
from nitro_py.runtime.shutdown import CUT_SHORT_SECONDS, PLUGIN_SHARE, WORK_SHARE, GracePeriod
from nitro_py.server.connection_transfer import Handover, SendDescriptor
from nitro_py.server.http.head import CLOSE
from nitro_py.server.http.limits import ServerLimits, make_server_limits
from nitro_py.server.http.protocol import HttpProtocol
from nitro_py.server.logging import announce, make_log_config
from nitro_py.server.ports import format_url
from nitro_py.server.uvicorn_internals import find_missing
from nitro_py.server.watchdog import MAX_PAUSE as WATCHDOG_PAUSE
from nitro_py.server.watchdog import LoopWatchdog
from nitro_py.server.websocket.protocol import WebSocketProtocol
from nitro_py.server.workers.fair_listener import FairListener
from nitro_py.server.workers.shared_memory import ConnectionCounts

logger = logging.getLogger("nitro_py.app")

# How long a kept connection may go on after the last one was accepted, in seconds: a request may be on its way.
LAST_REQUESTS: Final = 0.2
# How long the connections that the kernel has taken may wait to be accepted at a stop, in seconds.
LAST_CONNECTIONS: Final = 0.05
# How long the process may take to end once a stop that was cut short is over, in seconds.
LAST_STEPS: Final = 1.0


def serve(
    application: Application,
    listener: socket.socket,
    *,
    wrapper: ASGIApplication | None = None,
    on_ready: Callable[[], None] | None = None,
    counts: ConnectionCounts | None = None,
    handover: Handover | None = None,
    heartbeat: Callable[[], None] | None = None,
    log_config: dict[str, Any] | None = None,
) -> None:
    """Serve an app on a bound socket until a signal stops it.

    Args:
        application: The app.
        listener: The socket, bound and listening.
        wrapper: The application that gets the app's connections first, as `nitropy dev` needs.
        on_ready: Called once the app serves, in place of the line with its URL.
        counts: How many connections each worker of the port has, if there are other workers.
        handover: Where connections come from and go to, if there are servers before and after this one.
        heartbeat: Called in a thread as long as the event loop answers, if anything waits for that.
        log_config: The configuration of `logging`, in place of the one that follows from the settings `log.*`.

    Raises:
        SystemExit: The app cannot start; the status is 2 where the user can mend that.
    """
    settings = application.app.settings
    limits = make_server_limits(settings, application.app.counters)
    on_ready = on_ready or partial(announce, f"Listening on {format_url(listener)}", settings.log.format)
    config = uvicorn.Config(
        wrapper or application,
        http=cast(Any, partial(HttpProtocol, limits=limits)),
        ws=WebSocketProtocol,
        **list_options(settings, log_config),
    )
    server: uvicorn.Server = GracefulServer(config, application, limits, on_ready, counts, handover, heartbeat)
    if missing := find_missing(server):
        names = ", ".join(f"`{name}`" for name in missing)
        logger.warning(
            "uvicorn %s lacks %s: it serves with its own protocols and its own stop.", uvicorn.__version__, names
        )
        config = uvicorn.Config(
            StartupListener(wrapper or application, on_ready), **list_options(settings, log_config)
        )
        server = uvicorn.Server(config)
    # uvicorn raises the signal again once it has stopped in peace, which is then no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    except SystemExit:
        # uvicorn has one status for everything that keeps an app from starting.
        if application.refusal is not None:
            sys.exit(2)
        raise


def list_options(settings: Settings, log_config: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments of `uvicorn.Config` that follow from an app's settings."""
    return {
        "ws_max_size": settings.websocket.max_message,
        "ws_ping_interval": settings.websocket.idle_timeout or None,
        "ws_ping_timeout": settings.websocket.idle_timeout or None,
        "ws_per_message_deflate": settings.websocket.compression,
        "timeout_keep_alive": settings.http.keep_alive,
        "lifespan": "on",
        "log_config": log_config or make_log_config(settings.log),
        "server_header": False,
    }


class GracefulServer(uvicorn.Server):
    """A server that stops an app as its clients and the platform expect.

    uvicorn itself would close WebSockets with 1012, all at once, and wait for event streams that never end.

    Args:
        config: uvicorn's configuration.
        application: The app, without any application around it.
        limits: The limits of its connections.
        on_ready: Called once connections are accepted.
        counts: How many connections each worker of the port has, if there are other workers.
        handover: Where connections come from and go to, if there are servers before and after this one.
        heartbeat: Called in a thread as long as the event loop answers, if anything waits for that.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        application: Application,
        limits: ServerLimits,
        on_ready: Callable[[], None] | None = None,
        counts: ConnectionCounts | None = None,
        handover: Handover | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config)
        self._limits = limits
        self._counts = counts
        self._handover = handover
        self._listeners: list[FairListener] = []
        self._on_ready = on_ready
        self._application = application
        self._app = application.app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heartbeat = heartbeat
        self._watchdog: LoopWatchdog | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes; a `SystemExit` in a task that the app has made ends that task only."""
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            loop = runner.get_loop()
            serving = loop.create_task(self.serve(sockets=sockets))
            run_until_done(partial(loop.run_until_complete, serving), serving)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then accept connections."""
        self._loop = asyncio.get_running_loop()
        if self._counts is None or sockets is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self._listeners = [
                FairListener(listener, self._make_protocol, self._count_connections, self._counts)
                for listener in sockets
            ]
        if self.started and self._handover is not None:
            self._handover.begin(self._make_protocol)
        if self.started and self._on_ready is not None:
            self._on_ready()
        if self.started:
            self._watchdog = self._make_watchdog(self._loop)
            self._watchdog.start()

    async def on_tick(self, counter: int) -> bool:
        """Check the limits of all connections once a second, at each tenth of uvicorn's ticks."""
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.tick()
            self._limits.report()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the stop at the first signal, from which on the app is not ready; cut it short at a second one."""
        super().handle_exit(sig, frame)
        if not self._app.stopping:
            self._announce_end()
            # A person who has pressed Ctrl+C waits for the end.
            limit_stop(self._app.begin_stop(gradual=sig != signal.SIGINT).left())
        elif self._loop is not None:
            grace = self._app.begin_stop()
            self._loop.call_soon_threadsafe(grace.cut_short)
            limit_stop(min(grace.left(), CUT_SHORT_SECONDS) + LAST_STEPS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain the app, let it answer what it was asked, and stop it."""
        grace = self._app.begin_stop()
        if self._watchdog is not None and self._heartbeat is None:
            self._watchdog.stop()
        self._announce_end()
        # In development no load balancer sends clients elsewhere first, and a person waits.
        if grace.gradual and not self._app.development:
            await grace.sleep(self._app.settings.server.drain_delay)
        grace.begin_work()
        await self._stop_accepting(sockets or [])
        if self._successor is not None:
            # Before the drain: clients need not wait for hooks that run here.
            transfer_connections(self, self._successor.send)
            self._successor.finish()
        waits = grace.gradual and not self._app.development
        last_requests = asyncio.create_task(grace.sleep(LAST_REQUESTS if waits else 0.0))
        await self._application.drain()
        if self.server_state.connections and waits:
            await last_requests
        self._end_connections()
        await self._finish_requests(grace)
        if await grace.wait([self.lifespan.shutdown()], PLUGIN_SHARE):
            logger.error("The plugins had not stopped when their time was over.")

    def _make_watchdog(self, loop: asyncio.AbstractEventLoop) -> LoopWatchdog:
        settings = self._app.settings.server
        pause = settings.stuck_timeout / 4 or WATCHDOG_PAUSE
        return LoopWatchdog(loop, settings.block_warning, self._app.root, self._heartbeat, pause)

    def _announce_end(self) -> None:
        """Tell clients from their next answer on that their connection ends with it."""
        if self.started and self._successor is None and CLOSE not in self.config.encoded_headers:
            self.config.encoded_headers.append(CLOSE)
            # uvicorn makes the next list of default fields of those, and answers use the last one until then.
            self.server_state.default_headers.append(CLOSE)

    async def _stop_accepting(self, sockets: Iterable[socket.socket]) -> None:
        if self._counts is None and not self._app.development:
            # No other process accepts: a close would break off the connections that the kernel has taken by then.
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
            # It takes the loop some turns to begin the connections that it has accepted.
            await asyncio.sleep(LAST_CONNECTIONS)

    def _end_connections(self) -> None:
        """End idle connections, and the others after their answers, but for those that another server takes."""
        for connection in list(self.server_state.connections):
            if self._successor is None or not isinstance(connection, HttpProtocol):
                connection.shutdown()

    async def _finish_requests(self, grace: GracePeriod) -> None:
        state = self.server_state
        # uvicorn's sets have no event for the moment when they are empty.
        while (state.connections or state.tasks) and grace.left(WORK_SHARE):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if late := list(state.tasks):
            logger.warning("Cut off %d requests that were not answered when their time was over.", len(late))
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=grace.left(PLUGIN_SHARE))

    @property
    def _successor(self) -> Handover | None:
        return self._handover if self._handover is not None and self._handover.has_successor else None

    def _make_protocol(self) -> asyncio.Protocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state, limits=self._limits)

    def _count_connections(self) -> int:
        return len(self.server_state.connections)


class EmbeddedServer(uvicorn.Server):
    """A server beside everything else that an event loop does; it leaves signals alone.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApplication) -> None:
        super().__init__(
            uvicorn.Config(
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
        )
        self.ready = asyncio.Event()
        # Sends connections to another process at the stop; without it they are closed.
        self.send_descriptor: SendDescriptor | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process around this server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and end every connection."""
        if self.send_descriptor is not None:
            for server in self.servers:
                server.close()
            # It takes the loop some turns to begin the connections that it has accepted.
            await asyncio.sleep(LAST_CONNECTIONS)
            transfer_connections(self, self.send_descriptor)
            await asyncio.sleep(LAST_CONNECTIONS)
        await super().shutdown(sockets)


class StartupListener:
    """An ASGI application around another that calls a function once that has started.

    Args:
        app: The application.
        on_ready: The function.
    """

    def __init__(self, app: ASGIApplication, on_ready: Callable[[], None]) -> None:
        self._app = app
        self._on_ready = on_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""

        async def listen(message: ASGIMessage) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._on_ready()

        await self._app(scope, receive, listen if scope["type"] == "lifespan" else send)


def transfer_connections(server: uvicorn.Server, send: SendDescriptor) -> None:
    """Let another process go on with all HTTP connections of a server, each as soon as it is idle.

    Args:
        server: The server.
        send: Sends a connection's descriptor to that process.
    """
    for connection in list(server.server_state.connections):
        if isinstance(connection, HttpProtocol):
            connection.transfer_when_idle(send)


def limit_stop(seconds: float) -> None:
    """End the process with status 1 after a time, whatever holds it up, and print where it hangs.

    This is no timer of the event loop, because it may be the event loop that hangs.

    Args:
        seconds: The time.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
