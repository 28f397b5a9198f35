"""The dispatch of HTTP requests: match, middleware, handler, answer."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable
from functools import partial
from typing import Any
from urllib.parse import unquote

from nitro_py.errors import ClientLeftError, HTTPError
from nitro_py.event import ASGIMessage, Event, Receive, Scope, Send, raw_path_of
from nitro_py.headers import Headers
from nitro_py.middleware import run_middleware
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.extensions import DirectSend, PassthroughSend, find_stream_send
from nitro_py.runtime.containment import contain, log_failure
from nitro_py.runtime.http.responses import (
    CompleteResponse,
    MountedAnswer,
    describe_error,
    find_http_error,
    make_complete,
    send_answer,
    send_complete,
    send_directly,
)
from nitro_py.runtime.log_context import enter_log_context
from nitro_py.runtime.routing.router import Match, NoMatch
from nitro_py.runtime.tasks import start_task

logger = logging.getLogger("nitro_py.http")

# Fields that describe content, removed if the handler fails and other content is sent.
CONTENT_FIELDS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "expires",
        "last-modified",
        "transfer-encoding",
    }
)


async def serve_http(
    app: App, raw_path: str, scope: Scope, receive: Receive, send: Send, *, buffered: bool = False
) -> None:
    """Answer one HTTP request.

    Args:
        app: The app.
        raw_path: The path below the place that the app is mounted at, percent-encoded.
        scope: The ASGI scope, of type `http`.
        receive: The ASGI receive callable.
        send: The ASGI send callable.
        buffered: Whether the target buffers answers.
    """
    match = app.router.match(scope["method"], raw_path)
    event = make_event(app, match, scope, receive)
    route = match.route.path if isinstance(match, Match) else None
    enter_log_context(event, route)
    timer = None if app.meter is None else app.meter.time_request(scope["method"], route)
    try:
        try:
            answer = make_complete(await _answer(app, match, event, raw_path), event)
        except BaseException as error:
            answer = answer_error(app, event, contain(error))
        if isinstance(answer, CompleteResponse):
            if not send_directly(answer, scope, send):
                await send_complete(answer, send)
            if timer is not None:
                timer.note(answer.status)
        elif timer is not None:
            with timer.timing(send) as timed:
                await _send_pieces(app, answer, event, receive, timed, buffered=buffered)
        else:
            await _send_pieces(app, answer, event, receive, send, buffered=buffered)
    finally:
        if event.answered_callbacks is not None:
            event.note_answered()


async def find_answer(app: App, match: Match | NoMatch, event: Event, raw_path: str) -> Any:
    """Return the answer of middleware and handler, for adapters that send it themselves.

    Args:
        app: The app.
        match: The result of the router.
        event: The request.
        raw_path: The path below the place that the app is mounted at, percent-encoded.

    Returns:
        A `CompleteResponse`, or an answer that is sent in pieces: see `make_complete`.

    Raises:
        Exception: An error of middleware or handler; `answer_error` makes an answer from it.
    """
    return make_complete(await _answer(app, match, event, raw_path), event)


def answer_error(app: App, event: Event, error: Exception) -> CompleteResponse:
    """Return the answer to an error; it is logged if it is no `HTTPError`, or cannot be sent as it is."""
    if is_disconnect(error):
        error = ClientLeftError()
    if event.touches_response:
        drop_content_fields(event)
    if (expected := find_http_error(error)) is not None:
        try:
            return _complete_error(app, event, expected)
        except Exception as failure:
            failure.__cause__ = error
            error = failure
    log_failure(logger, error, "%s %s failed.", event.method, event.path)
    return _complete_error(app, event, error)


def drop_content_fields(event: Event) -> None:
    """Take back what a handler said of the content that it then did not give."""
    if not isinstance(event.response.headers, Headers):
        # It was replaced by what may not be sendable.
        event.response.headers = Headers()
    for name in CONTENT_FIELDS & set(event.response.headers):
        del event.response.headers[name]


def _complete_error(app: App, event: Event, error: Exception) -> CompleteResponse:
    described = describe_error(error, development=app.development)
    if app.error_pages is not None:
        described = app.error_pages.find(event, error, described) or described
    answer: CompleteResponse = make_complete(described, event)
    return answer


def is_disconnect(error: Exception) -> bool:
    """Return whether an error only means that the client disconnected during its request."""
    # Not imported: the error can be Starlette's only if a handler has loaded it.
    requests = sys.modules.get("starlette.requests")
    return isinstance(error, ClientLeftError) or (
        requests is not None and isinstance(error, requests.ClientDisconnect)
    )


def make_event(app: App, match: Match | NoMatch, scope: Scope, receive: Receive) -> Event:
    """Make the event that middleware and handler see."""
    found = match if isinstance(match, Match) else None
    return Event(
        scope,
        receive,
        params={} if found is None else found.params,
        wait_until=start_task,
        max_body=app.settings.http.max_body,
        declared=() if found is None else found.route.requires,
    )


def strip_root(scope: Scope) -> str:
    """Return the raw path below the place that the app itself is mounted at."""
    raw_path = raw_path_of(scope)
    root: str = scope.get("root_path", "")
    if root and raw_path.startswith(root) and raw_path[len(root) : len(root) + 1] in ("", "/"):
        return raw_path[len(root) :] or "/"
    return raw_path


def mounted_scope(app: App, match: Match, scope: Scope, raw_path: str) -> Scope:
    """Make the scope that a mounted application sees: its own place as `root_path`."""
    segments = raw_path.removeprefix("/").split("/")[: match.rest]
    prefix = unquote("".join(f"/{segment}" for segment in segments if segment))
    # The specification gives each application its own copy of the state.
    state = dict(app.mounted_state.get(match.route.file, {}))
    return {**scope, "root_path": scope.get("root_path", "") + prefix, "state": state}


def _answer(app: App, match: Match | NoMatch, event: Event, raw_path: str) -> Awaitable[Any]:
    if not app.middleware:
        return _handle(app, match, event, raw_path)
    return run_middleware(app.middleware, event, partial(_handle, app, match, event, raw_path))


def _handle(app: App, match: Match | NoMatch, event: Event, raw_path: str) -> Awaitable[Any]:
    if isinstance(match, NoMatch):
        raise _missing(match, event)
    if match.route.mounted:
        return _mount(app, match, event, raw_path)
    return app.call_of(match.route)(event)


async def _mount(app: App, match: Match, event: Event, raw_path: str) -> MountedAnswer:
    return MountedAnswer(app.mounted_of(match.route), mounted_scope(app, match, event.scope, raw_path))


async def _send_pieces(
    app: App, answer: Any, event: Event, receive: Receive, send: Send, *, buffered: bool
) -> None:
    """Send an answer in pieces; until it has begun, an error can be answered instead."""
    state: DirectSend | TrackedSend | None = find_stream_send(event.scope, send)
    if state is None:
        send = state = TrackedSend(send)
    try:
        await send_answer(answer, event, receive, send, buffered=buffered)
    except BaseException as raised:
        error = contain(raised)
        if state.started and (isinstance(error, OSError) or is_disconnect(error)):
            return  # The client disconnected during the answer.
        failure = answer_error(app, event, error)
        if state.started:
            raise error from error.__cause__
        await send_answer(failure, event, receive, send)


class TrackedSend(PassthroughSend):
    """An ASGI `send` that notes whether the answer has begun.

    Args:
        send: The server's own.
    """

    __slots__ = ("started",)

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self.started = False

    async def __call__(self, message: ASGIMessage) -> None:
        """Take one ASGI message."""
        self.started = True
        await self.send(message)


def _missing(miss: NoMatch, event: Event) -> HTTPError:
    if miss.malformed:
        return HTTPError(400, "The path is not percent-encoded UTF-8.")
    if miss.allow:
        allow = ", ".join(miss.allow)
        return HTTPError(405, f"No route serves {event.method} here.", headers={"allow": allow})
    return HTTPError(404, f"No route serves {event.method} {event.path}.")
