"""Answers: from a handler's returned value to ASGI messages."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from nitro_py.encoding import encode_text, to_json_bytes
from nitro_py.errors import HTTPError, NitroError, check_error_status
from nitro_py.event import ASGIMessage, Event, Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.response import Response, StreamedResponse
from nitro_py.runtime.asgi.extensions import find_direct_send

if TYPE_CHECKING:
    from nitro_py.mount import ASGIApplication

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"


_JSON_FIELD = (b"content-type", JSON.encode())

# How values that are neither streams nor responses are encoded, by their exact type.
_PLAIN: dict[type, tuple[Callable[[Any], bytes], tuple[bytes, bytes]]] = {
    **dict.fromkeys((bool, dict, float, int, list), (to_json_bytes, _JSON_FIELD)),
    bytes: (bytes, (b"content-type", BINARY.encode())),
    str: (encode_text, (b"content-type", TEXT.encode())),
}


# Not a frozen dataclass, which takes twice as long to make (row `http`), and whose module a cold function need not
# load (row `lambda-cold-http`).
class CompleteResponse:
    """An answer that is sent at once.

    Args:
        status: The HTTP status.
        headers: The header fields for an ASGI message, with the body's type and length.
        body: The body; empty if the answer has none, as to `HEAD`.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"CompleteResponse({self.status}, {self.headers!r}, {self.body!r})"


async def send_answer(value: Any, event: Event, receive: Receive, send: Send, *, buffered: bool = False) -> None:
    """Send a handler's returned value.

    Args:
        value: The value, or the result of `make_complete`.
        event: The request, with the status and header fields that the handler set.
        receive: The ASGI receive callable, which reports that a streaming client disconnected.
        send: The ASGI send callable.
        buffered: Whether the target buffers answers, so that a stream that was not declared is an error.
    """
    answer = make_complete(value, event)
    if isinstance(answer, CompleteResponse):
        if not send_directly(answer, event.scope, send):
            await send_complete(answer, send)
        return
    content: Any = value.body if isinstance(value, Response) else value
    unsaid = buffered and "streaming" not in event.declared
    if is_asgi_answer(content):
        own: object = getattr(content, "status_code", 200)
        if isinstance(own, int) and not 200 <= own <= 599:
            raise NitroError(f"The handler answers with the status {own}: expected 200 to 599.")
        # What a mounted application answers is its own matter.
        held = _hold_streams(send) if unsaid and not isinstance(content, MountedAnswer) else send
        await _send_asgi(content, status_and_headers(value, event)[1], event, held)
        return
    if unsaid:
        raise _unsaid_stream()
    # Needed only by handlers that stream (row `lambda-cold-http`).
    from nitro_py.runtime.http.streaming import send_pieces

    await send_pieces(content, lambda: status_and_headers(value, event), event, receive, send)


def make_complete(value: Any, event: Event) -> Any:
    """Make the complete answer from a returned value; an answer that is sent in pieces is not changed.

    Args:
        value: The returned value.
        event: The request, with the status and header fields that the handler set.

    Returns:
        A `CompleteResponse`, or else the value: a stream, a response of Starlette's kind, the answer of a
        mounted application.
    """
    plain = _PLAIN.get(type(value))
    if plain is not None and not event.touches_response:
        # Most answers are plain values (row `http`).
        encode, field = plain
        body = encode(value)
        fields = [field, (b"content-length", b"%d" % len(body))]
        return CompleteResponse(200, fields, b"" if event.method == "HEAD" else body)
    content = value.body if isinstance(value, Response) else value
    if type(content) not in _PLAIN and (
        isinstance(value, CompleteResponse) or is_stream(content) or is_asgi_answer(content)
    ):
        return value
    if isinstance(content, HTTPError):
        # It says what it would say if it was raised.
        raise content
    if type(content) is tuple:
        _refuse_status_tuple(content)
    status, headers = status_and_headers(value, event)
    body, kind = encode_body(content)
    if status is None:
        status = 204 if content is None else 200
    bodiless = status in (204, 304)
    check_head(status, headers, None if bodiless or (event.method == "HEAD" and not body) else len(body))
    fields = headers.to_raw()
    if kind is not None and "content-type" not in headers:
        fields.append((b"content-type", kind.encode()))
    if not bodiless and "content-length" not in headers:
        fields.append((b"content-length", b"%d" % len(body)))
    return CompleteResponse(status, fields, b"" if bodiless or event.method == "HEAD" else body)


def _refuse_status_tuple(value: tuple[object, ...]) -> None:
    """Refuse what other frameworks read as a body with a status: it would be sent as a list."""
    status = value[1] if 2 <= len(value) <= 3 else None
    if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:
        raise NitroError(
            f"The handler returned a tuple of a body and the status {status:d}.",
            hint=f"Set `event.response.status = {status:d}` and return the body; a list is returned as `[…]`.",
        )


def send_directly(answer: CompleteResponse, scope: Scope, send: Send) -> bool:
    """Send a complete answer at once, if the server can and its client is not slow; return whether it was sent."""
    direct = find_direct_send(scope, send)
    if direct is None or direct.paused:
        return False
    direct.answer(answer.status, answer.headers, answer.body)
    return True


async def send_complete(answer: CompleteResponse, send: Send) -> None:
    """Send a complete answer by ASGI messages, as any server takes them."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def check_head(status: int, headers: Headers, length: int | None) -> None:
    """Check the status and the header fields that a handler has set.

    Args:
        status: The status.
        headers: The header fields.
        length: The length of the content in bytes; `None` if it is not known.

    Raises:
        NitroError: The answer would not be valid, or a client could read it as two.
    """
    if not 200 <= status <= 599:
        raise NitroError(f"The handler answers with the status {status}: expected 200 to 599.")
    if "transfer-encoding" in headers:
        raise NitroError("The handler set `transfer-encoding`, which only the server may set.")
    said = headers.getlist("content-length")
    if said and status == 204:
        raise NitroError(
            "The handler set `content-length`, and an answer with the status 204 has no content.",
            hint="Leave the field out.",
        )
    if len(said) > 1 or any(not (value.isascii() and value.isdigit()) for value in said):
        raise NitroError(f"The handler set `content-length: {', '.join(said)}`: expected one number.")
    if said and length is not None and said != [str(length)]:
        raise NitroError(
            f"The handler set `content-length: {', '.join(said)}`, and its answer has {length} bytes.",
            hint="Leave the field out.",
        )


def status_and_headers(value: Any, event: Event) -> tuple[int | None, Headers]:
    """Return the status and the header fields that a handler has set so far, on the event or in its answer."""
    if isinstance(value, Response):
        return value.status, _merge(event.response.headers, value.headers)
    return event.response.status, event.response.headers.copy()


def encode_body(value: Any) -> tuple[bytes, str | None]:
    """Return a value's bytes and content type; `None` has neither."""
    if value is None:
        return b"", None
    if isinstance(value, str):
        return encode_text(value), TEXT
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), BINARY
    return to_json_bytes(value), JSON


def find_http_error(error: BaseException) -> HTTPError | None:
    """Return an exception as the `HTTPError` that it is or means: Starlette and FastAPI have their own."""
    if isinstance(error, HTTPError):
        return error
    # Only a handler that has loaded Starlette can raise its exception.
    starlette = sys.modules.get("starlette.exceptions")
    if starlette is None or not isinstance(error, starlette.HTTPException) or not 400 <= error.status_code <= 599:
        return None
    message, data = (error.detail, None) if isinstance(error.detail, str) else (None, error.detail)
    headers = None if error.headers is None else dict(error.headers)
    return HTTPError(error.status_code, message, data, headers)


def describe_error(error: BaseException, *, development: bool) -> Response:
    """Return the answer to an exception: an `HTTPError`'s own, else 500, with details in development only.

    Raises:
        ValueError: The error has a status or a header field that cannot be sent.
    """
    if isinstance(error, HTTPError):
        check_error_status(error.status)
        content = {"status": error.status, "message": error.message, "data": error.data}
        return Response(content, error.status, error.headers)
    data = None
    message = "Internal Server Error"
    if development:
        import traceback

        message = f"{type(error).__name__}: {error}"
        data = traceback.format_exception(error)
    return Response({"status": 500, "message": message, "data": data}, 500)


def is_stream(value: Any) -> bool:
    """Return whether a value is sent in pieces."""
    return isinstance(value, StreamedResponse | AsyncIterator | Iterator)


def is_asgi_answer(value: Any) -> bool:
    """Return whether a value sends itself: a response as Starlette's, or a mounted application's answer."""
    return isinstance(value, MountedAnswer) or (callable(value) and hasattr(value, "raw_headers"))


class MountedAnswer:
    """The answer of a mounted application.

    Args:
        app: The application.
        scope: The ASGI scope for the application.
    """

    __slots__ = ("app", "scope")

    def __init__(self, app: ASGIApplication, scope: Scope) -> None:
        self.app = app
        self.scope = scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, with its own scope."""
        await self.app(self.scope, receive, send)


async def _send_asgi(value: Any, headers: Headers, event: Event, send: Send) -> None:
    """Let a response send itself, and add the fields that it does not have."""

    async def send_merged(message: ASGIMessage) -> None:
        if message["type"] == "http.response.start":
            own = Headers.from_raw(message.get("headers", ()))
            message = {**message, "headers": _merge(headers, own).to_raw()}
        await send(message)

    await value(event.scope, event.receive, send_merged if len(headers) else send)


def _hold_streams(send: Send) -> Send:
    """Return a send callable that lets no answer begin that comes piece by piece."""
    start: ASGIMessage | None = None

    async def send_whole_only(message: ASGIMessage) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            if not any(name.lower() == b"content-length" for name, _ in message.get("headers", ())):
                start = message
                return
        elif start is not None:
            if message.get("more_body", False):
                raise _unsaid_stream()
            await send(start)
            start = None
        await send(message)

    return send_whole_only


def _unsaid_stream() -> NitroError:
    return NitroError(
        "The handler streams without declaring it, and this target would buffer its stream.",
        hint="Declare it by the return annotation (`EventStream`) or `define_handler(streams=True)`.",
    )


def _merge(base: Headers, over: Headers) -> Headers:
    """Return header fields of both; `over` replaces equal names in `base`, except cookies."""
    kept = [pair for pair in base.pairs() if pair[0] == "set-cookie" or pair[0] not in over]
    return Headers([*kept, *over.pairs()])
