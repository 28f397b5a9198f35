"""A WebSocket over ASGI: from the handshake to the last hook."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from nitro_py.errors import HTTPError, NitroError
from nitro_py.event import Event, Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.mount import MountedApp
from nitro_py.peer import Peer
from nitro_py.request import Request
from nitro_py.response import Response
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.extensions import DirectSocket, find_direct_socket
from nitro_py.runtime.asgi.send_channel import SendChannel
from nitro_py.runtime.containment import log_failure
from nitro_py.runtime.contracts import Channel
from nitro_py.runtime.hooks.session import PeerSession
from nitro_py.runtime.hooks.upgrade import Refusal, decide_upgrade, pass_middleware
from nitro_py.runtime.http.dispatch import answer_error, make_event, mounted_scope, strip_root
from nitro_py.runtime.http.responses import describe_error, send_answer
from nitro_py.runtime.log_context import enter_log_context
from nitro_py.runtime.routing.router import Match, NoMatch
from nitro_py.websocket import CloseDetails, Upgrade, WebSocketHandler

logger = logging.getLogger("nitro_py.websocket")


async def serve_socket(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket connection, or refuse it.

    Args:
        app: The app.
        scope: The ASGI scope, of type `websocket`.
        receive: The ASGI receive callable.
        send: The ASGI send callable.
    """
    raw_path = strip_root(scope)
    match = app.router.match("GET", raw_path, "websocket")
    handler = app.socket_handler_of(match.route) if isinstance(match, Match) else None
    event = make_event(app, match, scope, receive)
    enter_log_context(event, match.route.path if isinstance(match, Match) else None)
    if app.stopping:
        await receive()
        await refuse(Response(status=503), app, event, send)
        return
    if isinstance(match, Match) and isinstance(handler, MountedApp):
        await serve_mounted(app, handler, event, mounted_scope(app, match, scope, raw_path), send)
        return
    await receive()
    if isinstance(match, NoMatch) or not isinstance(handler, WebSocketHandler):
        await refuse(describe_miss(match, event), app, event, send)
        return
    decision, request = await decide_upgrade(
        handler,
        event,
        middleware=app.middleware,
        settings=app.settings.websocket,
        offered=tuple(scope.get("subprotocols", ())),
        development=app.development,
    )
    if app.strict_contexts and isinstance(decision, Upgrade):
        error = find_context_error(decision, handler, match.route.file)
        if error is not None:
            log_failure(logger, error, "The upgrade to %s failed.", event.path)
            decision = Refusal(error)
    if isinstance(decision, Refusal):
        await refuse(decision.answer, app, event, send)
    elif app.stopping:
        await refuse(Response(status=503), app, event, send)
    else:
        await accept(decision, event, send)
        direct = find_direct_socket(scope, send)
        if direct is None:
            await run_socket(app, handler, decision, request, match.route.path, receive, send)
        else:
            take_over(app, direct, handler, decision, request, match.route.path)


def describe_miss(match: Match | NoMatch, event: Event) -> HTTPError:
    """Make the error of a handshake whose path has no socket."""
    if isinstance(match, NoMatch) and match.malformed:
        return HTTPError(400, "The path is not percent-encoded UTF-8.")
    return HTTPError(404, f"No route serves {event.path}.")


async def serve_mounted(app: App, handler: MountedApp, event: Event, scope: Scope, send: Send) -> None:
    """Hand a handshake that passes the middleware to a mounted application, which checks origins itself."""

    async def accept_all() -> None:
        return None

    decision = await pass_middleware(event, app.middleware, accept_all)
    if isinstance(decision, Refusal):
        await event.receive()
        await refuse(decision.answer, app, event, send)
    else:
        await handler.app(scope, event.receive, send)


async def accept(decision: Upgrade, event: Event, send: Send) -> None:
    """Accept a handshake with what middleware and the upgrade hook want in the answer."""
    fields = [*event.response.headers.to_raw(), *Headers(decision.headers).to_raw()]
    await send({"type": "websocket.accept", "subprotocol": decision.protocol, "headers": fields})


async def refuse(answer: Any, app: App, event: Event, send: Send) -> None:
    """Refuse a handshake with an HTTP answer, or with the server's own 403 if it does not support one."""
    if "websocket.http.response" not in event.scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    if isinstance(answer, HTTPError):
        answer = answer_error(app, event, answer)
    elif isinstance(answer, Exception):
        answer = describe_error(answer, development=app.development)
    started = False

    async def send_refusal(message: Any) -> None:
        nonlocal started
        started = True
        # Starlette's responses know by the scope that they refuse a socket, and name the messages themselves.
        kind = message["type"].removeprefix("websocket.")
        await send({**message, "type": f"websocket.{kind}"})

    if event.response.status is None:
        # An answer without a status of its own refuses, too.
        event.response.status = 403
    try:
        await send_answer(answer, event, event.receive, send_refusal)
    except Exception as error:
        if started:
            raise
        await send_answer(answer_error(app, event, error), event, event.receive, send_refusal)


def take_over(
    app: App, direct: DirectSocket, handler: WebSocketHandler, decision: Upgrade, request: Request, route: str
) -> None:
    """Run an accepted socket on our own server: hooks are called as messages come."""
    channel = direct.open_channel(limit=app.settings.websocket.buffer_limit, counters=app.counters)
    session = make_session(app, handler, decision, request, route, channel)
    session.start()
    direct.attach(session)


async def run_socket(
    app: App,
    handler: WebSocketHandler,
    decision: Upgrade,
    request: Request,
    route: str,
    receive: Receive,
    send: Send,
) -> None:
    """Run an accepted socket over `receive` and `send`, until its last hook has run."""
    reading: asyncio.Task[CloseDetails] | None = None
    session: PeerSession | None = None

    def drop() -> None:
        if reading is not None:
            reading.cancel()

    def overflow(code: int, reason: str) -> None:
        if session is not None:
            session.on_close(CloseDetails(code, reason))

    channel = SendChannel(
        send,
        limit=app.settings.websocket.buffer_limit,
        drop=drop,
        overflow=overflow,
        counters=app.counters,
    )
    session = make_session(app, handler, decision, request, route, channel)
    session.start()
    reading = asyncio.create_task(read_socket(session, receive))
    try:
        details = await _settle_reading(reading)
        channel.closed()
        if channel.sent_close is not None:
            # Not every server reports the code that the app itself has sent.
            details = CloseDetails(channel.sent_close.code, channel.sent_close.reason)
        session.on_close(details)
        await session.finished()
        await channel.finish()
    finally:
        session.on_connection_lost()


def make_session(
    app: App, handler: WebSocketHandler, decision: Upgrade, request: Request, route: str, channel: Channel
) -> PeerSession:
    """Make the session of an accepted socket; the app remembers it until it has ended."""
    peer = Peer(
        id=str(uuid.uuid4()),
        request=request,
        namespace=request.path if decision.namespace is None else decision.namespace,
        protocol=decision.protocol,
        context=make_context(app, decision),
        topics=set(),
        channel=channel,
        hub=app.hub,
        publish=app.publish,
    )
    session = PeerSession(
        peer,
        handler,
        app.local_hub,
        route=route,
        max_queue=app.settings.websocket.max_queue,
        counters=app.counters,
    )
    app.track(session)
    return session


def find_context_error(decision: Upgrade, handler: WebSocketHandler, file: str) -> NitroError | None:
    """Return the error of an accepted handshake whose context other targets cannot keep, if it has one.

    Args:
        decision: The decision.
        handler: The route's hooks.
        file: The route's file.
    """
    from nitro_py.runtime.hooks.portable_context import PortableContext

    try:
        PortableContext(decision.context)
    except TypeError as error:
        # Plain hooks are wrapped, to run in threads.
        code = getattr(getattr(handler.upgrade, "__wrapped__", handler.upgrade), "__code__", None)
        line = code.co_firstlineno if code is not None and code.co_filename.endswith(f"/{file}") else None
        # It is not raised: a traceback would have no line of the app.
        return NitroError(
            f"{'Middleware' if handler.upgrade is None else '`upgrade`'} of `{file}` returned an `Upgrade` "
            f"whose context not every target can keep: {error}",
            file=file,
            line=line,
            hint="Put only JSON values into `Upgrade(context=…)`, and keep objects in a dict by `peer.id`.",
        )
    return None


def make_context(app: App, decision: Upgrade) -> dict[str, Any]:
    """Make a peer's context; a strict one refuses values that other targets cannot keep."""
    if not app.strict_contexts:
        return dict(decision.context)
    from nitro_py.runtime.hooks.portable_context import PortableContext

    return PortableContext(decision.context)


async def read_socket(session: PeerSession, receive: Receive) -> CloseDetails:
    """Feed a session with its messages until the socket is gone, and return how it ended."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return CloseDetails(message.get("code") or 1005, message.get("reason") or "")
        text = message.get("text")
        if not session.feed(message["bytes"] if text is None else text):
            await session.wait_until_resumed()


async def _settle_reading(reading: asyncio.Task[CloseDetails]) -> CloseDetails:
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        # Either the channel dropped the session, or the server cancels us; hooks go on in both cases.
        if not reading.done():
            reading.cancel()
        return CloseDetails(1006)
