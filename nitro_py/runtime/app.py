"""The app that a manifest describes, loaded and running in this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nitro_py.encoding import make_id
from nitro_py.middleware import Middleware
from nitro_py.runtime.asgi.public_files import ERROR_FILES, PUBLIC_DIR
from nitro_py.runtime.counters import BackplaneState, Counters
from nitro_py.runtime.current_app import OpenStorage, enter_app, leave_app
from nitro_py.runtime.lifespan import DEVELOPMENT_PATIENCE, PATIENCE, run_lifespan, run_plugin
from nitro_py.runtime.routing.handler_call import Call, make_call, refuse_plain, warn_of_markup
from nitro_py.runtime.routing.loader import add_project, load_export, load_handler
from nitro_py.runtime.routing.router import Router
from nitro_py.runtime.settings import Settings
from nitro_py.runtime.tasks import wait_for_tasks

if TYPE_CHECKING:
    from nitro_py.backplane import Backplane
    from nitro_py.capabilities import Kind
    from nitro_py.mount import ASGIApplication, MountedApp
    from nitro_py.peer import Peer
    from nitro_py.runtime.contracts import Hub, OpenStream, Publish
    from nitro_py.runtime.hooks.session import PeerSession
    from nitro_py.runtime.hosts import HostCheck
    from nitro_py.runtime.http.error_pages import ErrorPages
    from nitro_py.runtime.manifest import Manifest, Route
    from nitro_py.runtime.metrics.meter import Meter
    from nitro_py.runtime.metrics.snapshot import Snapshot
    from nitro_py.runtime.routing.loader import AnyHandler
    from nitro_py.runtime.shutdown import GracePeriod
    from nitro_py.runtime.topics.backplane_hub import BackplaneHub
    from nitro_py.runtime.topics.local_hub import LocalHub

logger = logging.getLogger("nitro_py.app")

# The variable that `nitropy preview` sets to the address that it listens on.
LOCAL_HOST = "NITRO_LOCAL_HOST"

ALL_KINDS: tuple[Kind, ...] = ("http", "sse", "websocket")

# The time that clients have to answer the last close frames of a stop, in seconds.
CLOSE_ANSWER_TIMEOUT = 1.0


class App:
    """A running app: its routes, peers and topics, and all that starts and stops with it.

    Args:
        root: The folder that the manifest's files are relative to.
        manifest: The manifest.
        kinds: The kinds of routes that this process serves; the start loads no files of others.
        hub: The peers and topics, if they are not kept in this process.
        backplane: The way to the other processes of the app; `None` keeps topics in this one.
        threads: Whether plain `def` hooks run in threads, as they must where other peers wait for the same loop.
        public_dir: The folder of its public files, relative to `root`.

    Example:
        app = App(folder, read_manifest(folder))
        await app.start()
    """

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        *,
        kinds: Collection[Kind] = ALL_KINDS,
        hub: Hub[Peer] | None = None,
        backplane: Backplane | None = None,
        threads: bool = True,
        public_dir: str = PUBLIC_DIR,
    ) -> None:
        self.root = root
        self.manifest = manifest
        self.public_folder = root / public_dir
        self.kinds = kinds
        self.development = manifest.mode == "development"
        self.strict_contexts = self.development
        self.settings = Settings.from_json(manifest.settings)
        self.host_check = self._make_host_check(os.environ.get(LOCAL_HOST))
        self.router = Router(manifest.routes)
        self.counters = Counters()
        self.backplane = BackplaneState()
        self._backplane_hub: BackplaneHub | None = None
        if backplane is not None:
            from nitro_py.runtime.topics.backplane_hub import BackplaneHub

            self.backplane.name = self.settings.backplane.name
            self._backplane_hub = BackplaneHub(
                self.local_hub, backplane, self.backplane, max_frame=self.settings.websocket.buffer_limit
            )
        self.hub: Hub[Peer] = hub or self._backplane_hub or self.local_hub
        self.locate_socket: Callable[[str], str] | None = None
        self.meter: Meter | None = None
        self.error_pages: ErrorPages | None = None
        if "http" in kinds and set(ERROR_FILES.values()) & set(manifest.public):
            # Not at the top: most apps have neither (row `lambda-cold-http`).
            from nitro_py.runtime.http.error_pages import PublicErrorPages

            self.error_pages = PublicErrorPages(self.public_folder, manifest.public)
        self.middleware: tuple[Middleware, ...] = ()
        self.storages: dict[str, OpenStorage] = {}
        self.mounted_state: dict[str, dict[str, Any]] = {}
        self._notified: set[PeerSession | OpenStream] = set()
        self._grace: GracePeriod | None = None
        self._threads = threads
        self._handlers: dict[str, AnyHandler] = {}
        self._socket_handlers: dict[str, AnyHandler] = {}
        self._calls: dict[str, Call] = {}
        self._connections: set[PeerSession] = set()
        self._streams: set[OpenStream] = set()
        self._stack: AsyncExitStack | None = None

    async def start(self) -> None:
        """Load the routes that this process serves, and start the plugins.

        A second call does nothing; it MUST NOT come before the first has ended.
        """
        if self._stack is not None:
            return
        enter_app(self)
        try:
            self._stack = await self._enter()
        except BaseException:
            await self._close_storages()
            leave_app(self)
            raise

    def serve_locally(self, host: str) -> None:
        """Answer to the names of this machine, and to those of `server.allowed_hosts`, from now on.

        Args:
            host: The address that the server listens on.
        """
        self.host_check = self._make_host_check(host)

    def _make_host_check(self, local: str | None) -> HostCheck | None:
        allowed = self.settings.server.allowed_hosts
        if not allowed and local is None:
            return None
        # Loaded only where hosts are checked.
        from nitro_py.runtime.hosts import make_host_check

        return make_host_check(allowed, local)

    def measure(self) -> None:
        """Measure requests and publishes from now on; to be called before the start."""
        from nitro_py.runtime.metrics.meter import Meter

        self.meter = Meter()

    @cached_property
    def local_hub(self) -> LocalHub:
        """The peers and topics of this process; loaded on first use, as some targets keep them elsewhere."""
        from nitro_py.runtime.topics.local_hub import LocalHub

        return LocalHub(self.counters)

    @cached_property
    def publish(self) -> Publish:
        """The hub's `publish`, measured if the app is."""
        # Not looked up before the first publish: a hub may connect to its services then.
        return self.hub.publish if self.meter is None else self.meter.time_publish(self.hub.publish)

    def take_snapshot(self, meter: Meter) -> Snapshot:
        """Take the values of all metrics as they are now."""
        return meter.take_snapshot(self.counters, self.backplane, streams=len(self._streams))

    @property
    def started(self) -> bool:
        """Whether plugins and mounted applications run."""
        return self._stack is not None

    @property
    def stopping(self) -> bool:
        """Whether the stop has begun, and new connections are refused."""
        return self._grace is not None

    def begin_stop(self, *, gradual: bool = True) -> GracePeriod:
        """Begin the stop, before anything is closed; a second call changes nothing.

        Args:
            gradual: Whether connections are closed one after the other.

        Returns:
            The grace period, which runs from the first call on.
        """
        from nitro_py.runtime.shutdown import GracePeriod

        if self._grace is None:
            self._grace = GracePeriod(self.settings.server.grace, gradual=gradual)
        return self._grace

    async def drain(self) -> None:
        """Close sockets with 1001 and end streams, spread over the grace period, and wait for the last hooks."""
        from nitro_py.runtime.shutdown import WORK_SHARE, close_gradually

        grace = self.begin_stop()
        leaving: set[PeerSession] = set()
        # More than once: a handshake that was accepted just before may have become a connection in the meantime.
        while unnotified := self._find_unnotified():
            self._notified.update(unnotified)
            sockets = self._connections.intersection(unnotified)
            leaving |= sockets
            closes = [stream.close for stream in self._streams.intersection(unnotified)]
            await close_gradually([*(socket.shut_down for socket in sockets), *closes], grace)
        late = await grace.wait([connection.finished() for connection in leaving], WORK_SHARE)
        if late:
            logger.warning("The hooks of %d sockets did not end in the grace period and were cancelled.", late)
        if leaving:
            await self._wait_for_answers(grace)

    async def stop(self) -> None:
        """Drain, wait for background work, and stop the plugins in reverse order."""
        from nitro_py.runtime.shutdown import BACKGROUND_SHARE

        grace = self.begin_stop()
        await self.drain()
        await grace.wait([wait_for_tasks(grace.left(BACKGROUND_SHARE))], BACKGROUND_SHARE)
        stack, self._stack = self._stack, None
        if stack is not None:
            try:
                await stack.aclose()
            finally:
                await self._close_storages()
                leave_app(self)

    async def _close_storages(self) -> None:
        while self.storages:
            await self.storages.popitem()[1].close()

    def _find_unnotified(self) -> list[PeerSession | OpenStream]:
        unfinished: set[PeerSession | OpenStream] = {*self._connections, *self._streams}
        return [*(unfinished - self._notified)]

    async def _wait_for_answers(self, grace: GracePeriod) -> None:
        """Wait until clients have answered: a close frame may be lost if its connection is dropped."""
        from nitro_py.runtime.shutdown import WORK_SHARE

        until = min(grace.left(WORK_SHARE), CLOSE_ANSWER_TIMEOUT)
        pause = 0.01
        while self._connections and until > 0:
            await grace.sleep(pause)
            until -= pause

    def handler_of(self, route: Route) -> AnyHandler:
        """Return a route's handler, imported once."""
        handler = self._handlers.get(route.file)
        if handler is None:
            handler = self._handlers[route.file] = load_handler(self.root, route)
        return handler

    def socket_handler_of(self, route: Route) -> AnyHandler:
        """Return the handler of a route's sockets, whose plain `def` hooks can be awaited, too."""
        handler = self._socket_handlers.get(route.file)
        if handler is None:
            from nitro_py.runtime.threads import call_in_thread, call_inline, move_plain_hooks
            from nitro_py.websocket import WebSocketHandler

            handler = self.handler_of(route)
            if isinstance(handler, WebSocketHandler):
                handler = move_plain_hooks(handler, call_in_thread if self._threads else call_inline)
            self._socket_handlers[route.file] = handler
        return handler

    def mounted_of(self, route: Route) -> ASGIApplication:
        """Return a route's mounted application."""
        return cast("MountedApp", self.handler_of(route)).app

    def call_of(self, route: Route) -> Call:
        """Return the function that answers HTTP requests to a route that is not mounted."""
        call = self._calls.get(route.file)
        if call is None:
            # A process that serves no sockets never loads their files.
            unserved = route.kind == "websocket" and "http" not in route.hooks
            call = refuse_plain if unserved else make_call(self.handler_of(route))
            if self.development:
                call = warn_of_markup(call, route.path)
            self._calls[route.file] = call
        return call

    def track(self, connection: PeerSession) -> None:
        """Remember a connection for the stop, until its last hook has run and its socket is gone."""
        self._connections.add(connection)
        connection.on_end = self._connections.discard

    def add_stream(self, stream: OpenStream, topic: str | None = None, namespace: str | None = None) -> None:
        """Remember an event stream until it is closed, and send it a topic's messages if one is named.

        Args:
            stream: The stream.
            topic: The topic.
            namespace: The topic's namespace; `None` means all.
        """
        self._streams.add(stream)
        stream.on_closed(lambda: self._streams.discard(stream))
        if topic is None:
            return
        id = make_id()
        self.local_hub.add_subscriber(topic, namespace, id, stream)
        stream.on_closed(lambda: self.local_hub.remove_subscriber(topic, namespace, id))
        if self._backplane_hub is not None:
            stream.hold_until(self._backplane_hub.wait_subscribed(topic))

    async def _enter(self) -> AsyncExitStack:
        add_project(self.root)
        self.middleware = tuple(load_export(self.root, file, Middleware) for file in self.manifest.middleware)
        patience = DEVELOPMENT_PATIENCE if self.development else PATIENCE
        async with AsyncExitStack() as stack:
            if self._backplane_hub is not None:
                await stack.enter_async_context(self._backplane_hub.running())
            for file in self.manifest.plugins:
                await stack.enter_async_context(run_plugin(self.root, file, patience=patience))
            for route in self.manifest.routes:
                if route.kind not in self.kinds:
                    continue
                self.handler_of(route)
                if route.mounted:
                    state = await stack.enter_async_context(
                        run_lifespan(self.mounted_of(route), route.file, patience=patience)
                    )
                    self.mounted_state[route.file] = state
            return stack.pop_all()
