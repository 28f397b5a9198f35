"""The ASGI application that a bundle serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nitro_py.errors import HTTPError, NitroError
from nitro_py.event import Receive, Scope, Send
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.extensions import find_direct_send
from nitro_py.runtime.asgi.internal_routes import (
    INTERNAL_PREFIX,
    LIVE_PATH,
    PROBES,
    READY_PATH,
    answer_internal,
    answers_any_host,
    turn_on_metrics,
)
from nitro_py.runtime.asgi.public_files import PublicFiles
from nitro_py.runtime.containment import contain, log_failure
from nitro_py.runtime.http.dispatch import make_event, serve_http, strip_root
from nitro_py.runtime.http.responses import describe_error, encode_body, send_answer
from nitro_py.runtime.manifest import read_manifest
from nitro_py.runtime.routing.router import NoMatch
from nitro_py.runtime.settings import LOCAL, Settings
from nitro_py.runtime.tasks import start_task

if TYPE_CHECKING:
    from nitro_py.runtime.hosts import HostCheck

logger = logging.getLogger("nitro_py.app")


class Application:
    """An app as an ASGI 3 application.

    If the server does not support the lifespan protocol, the first request starts the app.

    Args:
        app: The app to serve.
        buffered: Whether the target buffers answers, so that a stream that was not declared is an error.

    Example:
        app = Application(App(folder, read_manifest(folder)))
    """

    def __init__(self, app: App, *, buffered: bool = False) -> None:
        self.app = app
        self._buffered = buffered
        self._public = PublicFiles(app.public_folder, app.manifest.public, changing=app.development)
        self._serve_socket: Callable[[App, Scope, Receive, Send], Awaitable[None]] | None = None
        if "websocket" in app.kinds:
            # Targets that keep sockets elsewhere have no module for them.
            from nitro_py.runtime.asgi.websocket import serve_socket

            self._serve_socket = serve_socket
        # The reason why the app cannot start, if it is one that the user can correct.
        self.refusal: NitroError | None = None
        self._started = False
        self._starting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if self.app.host_check is not None and (refusal := self._check_host(self.app.host_check, scope)):
            await refuse_request(refusal, scope, receive, send)
            return
        if not self._started:
            await self._start_for(scope)
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif self._serve_socket is not None:
            await self._serve_socket(self.app, scope, receive, send)

    def _check_host(self, check: HostCheck, scope: Scope) -> HTTPError | None:
        if scope["type"] == "http" and answers_any_host(self.app, strip_root(scope)):
            return None
        return check.check(scope["headers"])

    async def start(self) -> None:
        """Start the app."""
        # Requests may come before the lifespan's start has ended, and without a lifespan several at once.
        async with self._starting:
            await self.app.start()
        self._started = True

    async def drain(self) -> None:
        """Close sockets with 1001 and end streams, before the server closes the connections."""
        await self.app.drain()

    async def _start_for(self, scope: Scope) -> None:
        if scope["type"] == "http" and strip_root(scope) in (LIVE_PATH, READY_PATH):
            # A probe is answered while plugins start; without a lifespan, it starts them.
            start_task(self.start())
        else:
            await self.start()

    def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = strip_root(scope)
        if path.startswith(INTERNAL_PREFIX):
            return self._serve_internal(path, scope, receive, send)
        return self._serve_project(path, scope, receive, send)

    def _serve_project(self, path: str, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        file = self._public.find(scope)
        if file is not None:
            return self._serve_file(file, scope, receive, send)
        return serve_http(self.app, path, scope, receive, send, buffered=self._buffered)

    async def _serve_file(self, file: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app.meter is None:
            await self._public.serve(file, scope, receive, send)
            return
        from nitro_py.runtime.metrics.meter import PUBLIC_FILE

        with self.app.meter.time_request(scope["method"], PUBLIC_FILE).timing(send) as timed:
            await self._public.serve(file, scope, receive, timed)

    async def _serve_internal(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        event = make_event(self.app, NoMatch(), scope, receive)
        try:
            answer = await answer_internal(self.app, event, path)
        except HTTPError as error:
            answer = describe_error(error, development=False)
        if answer is not None:
            direct = find_direct_send(scope, send) if path in PROBES and answer.status == 200 else None
            if direct is not None:
                # Platforms send probes every few seconds; only failures are logged.
                direct.skip_access_log()
            await send_answer(answer, event, receive, send)
        else:
            await self._serve_project(path, scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except BaseException as raised:
            error = contain(raised)
            if isinstance(error, NitroError):
                # Its message is enough, and the server shows it.
                self.refusal = error
            else:
                log_failure(logger, error, "The app cannot start.")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await self.app.stop()
        except BaseException as raised:
            error = contain(raised)
            log_failure(logger, error, "The app could not stop.")
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


async def refuse_request(error: HTTPError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a handshake, that the app does not get to see."""
    prefix = ""
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket."
    body, kind = encode_body(describe_error(error, development=False).body)
    fields = [(b"content-type", (kind or "").encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": f"{prefix}http.response.start", "status": error.status, "headers": fields})
    await send({"type": f"{prefix}http.response.body", "body": body})


def load_application(folder: Path, *, only_process: bool = False) -> Application:
    """Make the ASGI application of a bundle's folder.

    Args:
        folder: The bundle's `server/`.
        only_process: Whether this is the only process of the app on this machine: `local` has nothing to carry.

    Raises:
        NitroError: The bundle cannot be read, or the backplane or the metrics cannot be used with its settings.
    """
    # Not at the top: bundles without brokers have this module, too.
    from nitro_py.brokers.registry import load_backplane

    manifest = read_manifest(folder)
    settings = Settings.from_json(manifest.settings).backplane
    backplane = None if only_process and settings.name == LOCAL else load_backplane(settings)
    app = App(folder, manifest, backplane=backplane)
    turn_on_metrics(app)
    return Application(app)
