"""Requests in payload format 2.0 for the app's own handlers, answered without an ASGI application between.

Serves the benchmark rows `lambda-warm-1` and `lambda-warm-50`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nitro_presets.aws_lambda.http.scope import read_body
from nitro_py.event import ASGIMessage, Event, Receive, Scope, Send
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.public_files import PublicFiles
from nitro_py.runtime.containment import contain
from nitro_py.runtime.http.dispatch import answer_error, find_answer, make_event
from nitro_py.runtime.http.responses import CompleteResponse, send_answer
from nitro_py.runtime.routing.router import Match, NoMatch

if TYPE_CHECKING:
    from nitro_py.mount import ASGIApplication

PAYLOAD_VERSION = "2.0"
INTERNAL = "/_nitro/"


class DirectRoutes:
    """The routes of the requests that need no ASGI application.

    Those that need one are for mounted applications, for public files, and below `/_nitro/`.

    Args:
        app: The app.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._public = PublicFiles(app.public_folder, app.manifest.public)

    def find(self, scope: Scope) -> DirectRequest | None:
        """Return the request for a handler; `None` if an ASGI application answers it.

        Args:
            scope: The ASGI scope of `make_scope`, with the header fields that handlers may see.

        Raises:
            ValueError: The event is no valid request.
        """
        raw_path = scope["raw_path"].decode()
        if raw_path.startswith(INTERNAL) or self._public.find(scope) is not None:
            return None
        match = self._app.router.match(scope["method"], raw_path)
        if isinstance(match, Match) and match.route.mounted:
            return None
        return DirectRequest(self._app, match, scope, raw_path)


class CompleteBody:
    """The ASGI receive callable of a request whose body is complete, and whose client never disconnects.

    Args:
        event: The event.

    Raises:
        ValueError: The body is not base64, though the event says so.
    """

    __slots__ = ("_body", "_given")

    def __init__(self, event: dict[str, Any]) -> None:
        self._body = read_body(event)
        self._given = False

    async def __call__(self) -> ASGIMessage:
        """Return the body; a second call never returns."""
        if self._given:
            import asyncio

            await asyncio.get_running_loop().create_future()
        self._given = True
        return {"type": "http.request", "body": self._body, "more_body": False}


class DirectRequest:
    """A request for one of the app's own handlers.

    Args:
        app: The app.
        match: The router's result.
        scope: The ASGI scope.
        raw_path: The path, percent-encoded.

    Raises:
        ValueError: The body is not base64, though the event says so.
    """

    __slots__ = ("_app", "_event", "_match", "_raw_path", "receive", "scope")

    def __init__(self, app: App, match: Match | NoMatch, scope: Scope, raw_path: str) -> None:
        self._app = app
        self._match = match
        self._raw_path = raw_path
        self.scope = scope
        self.receive = CompleteBody(scope["aws.event"])
        self._event: Event = make_event(app, match, scope, self.receive)

    async def answer(self) -> Any:
        """Run middleware and handler.

        Returns:
            A `CompleteResponse`, or an answer that `sender` sends in pieces.
        """
        try:
            answer = await find_answer(self._app, self._match, self._event, self._raw_path)
        except BaseException as error:
            answer = self.fail(contain(error))
        if isinstance(answer, CompleteResponse):
            self._end()
        return answer

    def fail(self, error: Exception) -> CompleteResponse:
        """Return the answer to an error, which is logged unless it is an `HTTPError`."""
        return answer_error(self._app, self._event, error)

    def sender(self, value: Any, *, buffered: bool) -> ASGIApplication:
        """Return an ASGI application that sends an answer in pieces.

        Args:
            value: The answer.
            buffered: Whether a stream is held back until its end, so that one that was not declared is an error.
        """
        return partial(self._send, value, buffered)

    async def _send(self, value: Any, buffered: bool, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_tracked(message: ASGIMessage) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await send_answer(value, self._event, receive, send_tracked, buffered=buffered)
        except BaseException as raised:
            error = contain(raised)
            if started:
                raise error from error.__cause__
            await send_answer(answer_error(self._app, self._event, error), self._event, receive, send)
        finally:
            self._end()

    def _end(self) -> None:
        if self._event.answered_callbacks is not None:
            self._event.note_answered()


class ResponseCollector:
    """The response that an ASGI application sends, put together."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []

    async def send(self, message: ASGIMessage) -> None:
        """Take a message: the ASGI send callable."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", ()))
        else:
            self._pieces.append(message.get("body", b""))

    def whole(self) -> CompleteResponse:
        """Return the response."""
        assert self._status is not None
        return CompleteResponse(self._status, self._headers, b"".join(self._pieces))
