"""From what a handler returned to an ASGI answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from nitro_py.encoding import to_json
from nitro_py.errors import HTTPError, NitroError
from nitro_py.event import ASGIMessage, Event, Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.response import Response, StreamedResponse
from nitro_py.runtime.asgi.extensions import find_direct_send

if TYPE_CHECKING:
    from nitro_py.mount import ASGIApplication

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"


def _make_json(value: Any) -> bytes:
    return to_json(value).encode()


_JSON_FIELD = (b"content-type", JSON.encode())

# How values are written that are neither a stream nor a response, by their very type.
_PLAIN: dict[type, tuple[Callable[[Any], bytes], tuple[bytes, bytes]]] = {
    **dict.fromkeys((bool, dict, float, int, list), (_make_json, _JSON_FIELD)),
    bytes: (bytes, (b"content-type", BINARY.encode())),
    str: (str.encode, (b"content-type", TEXT.encode())),
}


# A plain class: each request makes one, which takes half as long as of a frozen dataclass, and a cold function
# need not load what makes dataclasses.
class CompleteResponse:
    """An answer that is there as a whole.

    Args:
        status: The HTTP status.
        headers: The header fields as ASGI has them, the body's type and length among them.
        body: The body; empty where the answer has none, as to `HEAD`.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"CompleteResponse({self.status}, {self.headers!r}, {self.body!r})"


async def send_answer(value: Any, event: Event, receive: Receive, send: Send, *, buffered: bool = False) -> None:
    """Send what a handler returned.

    Args:
        value: The returned value, or what `make_complete` made of it.
        event: The request, with the status and header fields that the handler set.
        receive: The ASGI receive callable, which tells that a streaming client left.
        send: The ASGI send callable.
        buffered: Whether the target holds streams back, so that a stream that was not declared is an error.
    """
    answer = make_complete(value, event)
    if isinstance(answer, CompleteResponse):
        if not send_directly(answer, event.scope, send):
            await send_complete(answer, send)
        return
    content: Any = value.body if isinstance(value, Response) else value
    if is_asgi_answer(content):
        await _send_asgi(content, head_of(value, event)[1], event, send)
        return
    if buffered and "streaming" not in event.declared:
        raise NitroError(
            "The handler streams, and this target would hold its stream back.",
            hint="Say so by the return annotation (`EventStream`) or `define_handler(streams=True)`.",
        )
    # Loaded by who streams, as it needs an event loop.
    from nitro_py.runtime.http.streaming import send_pieces

    await send_pieces(content, lambda: head_of(value, event), event, receive, send)


def make_complete(value: Any, event: Event) -> Any:
    """Make the whole answer that a returned value means; what is sent piece by piece stays as it is.

    Args:
        value: The returned value.
        event: The request, with the status and header fields that the handler set.

    Returns:
        A `CompleteResponse`, or else the value: a stream, a response of Starlette's kind, the answer of a
        mounted application.
    """
    plain = _PLAIN.get(type(value))
    if plain is not None and not event.touches_response:
        # Most answers are nothing but a value that needs no second look.
        encode, field = plain
        body = encode(value)
        fields = [field, (b"content-length", b"%d" % len(body))]
        return CompleteResponse(200, fields, b"" if event.method == "HEAD" else body)
    content = value.body if isinstance(value, Response) else value
    if type(content) not in _PLAIN and (
        isinstance(value, CompleteResponse) or is_stream(content) or is_asgi_answer(content)
    ):
        return value
    status, headers = head_of(value, event)
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


def send_directly(answer: CompleteResponse, scope: Scope, send: Send) -> bool:
    """Send a whole answer at once, if the server can and its client does not hold it up."""
    direct = find_direct_send(scope, send)
    if direct is None or direct.paused:
        return False
    direct.answer(answer.status, answer.headers, answer.body)
    return True


async def send_complete(answer: CompleteResponse, send: Send) -> None:
    """Send a whole answer by the messages that any server takes."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def check_head(status: int, headers: Headers, length: int | None) -> None:
    """Check what a handler set of an answer's head.

    Args:
        status: The status.
        headers: The header fields.
        length: How much content there is, in bytes; `None` if that is not known.

    Raises:
        NitroError: It would not be an HTTP answer, or one that its reader takes for two.
    """
    if not 200 <= status <= 599:
        raise NitroError(f"The handler answers with the status {status}: expected 200 to 599.")
    if "transfer-encoding" in headers:
        raise NitroError("The handler set `transfer-encoding`, which is the server's to say.")
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


def head_of(value: Any, event: Event) -> tuple[int | None, Headers]:
    """Return the status and the header fields that a handler set so far, on the event or in its answer."""
    if isinstance(value, Response):
        return value.status, _merge(event.response.headers, value.headers)
    return event.response.status, event.response.headers.copy()


def encode_body(value: Any) -> tuple[bytes, str | None]:
    """Turn a returned value into bytes and their content type; `None` has neither."""
    if value is None:
        return b"", None
    if isinstance(value, str):
        return value.encode(), TEXT
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), BINARY
    return to_json(value).encode(), JSON


def describe_error(error: BaseException, *, development: bool) -> Response:
    """Make the answer to an exception: an `HTTPError` as it says, anything else as 500 without detail."""
    if isinstance(error, HTTPError):
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
    """Return whether a value is sent piece by piece."""
    return isinstance(value, StreamedResponse | AsyncIterator | Iterator)


def is_asgi_answer(value: Any) -> bool:
    """Return whether a value is a response of Starlette's kind, or a mounted application's answer."""
    return isinstance(value, MountedAnswer) or (callable(value) and hasattr(value, "raw_headers"))


class MountedAnswer:
    """The answer that a mounted application will give.

    Args:
        app: The application.
        scope: The ASGI scope as it sees it.
    """

    __slots__ = ("app", "scope")

    def __init__(self, app: ASGIApplication, scope: Scope) -> None:
        self.app = app
        self.scope = scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, with its own scope."""
        await self.app(self.scope, receive, send)


async def _send_asgi(value: Any, headers: Headers, event: Event, send: Send) -> None:
    """Let a response send itself, and add the fields that it does not set."""

    async def send_merged(message: ASGIMessage) -> None:
        if message["type"] == "http.response.start":
            own = Headers.from_raw(message.get("headers", ()))
            message = {**message, "headers": _merge(headers, own).to_raw()}
        await send(message)

    await value(event.scope, event.receive, send_merged if len(headers) else send)


def _merge(base: Headers, over: Headers) -> Headers:
    """Put one answer's fields over another's; cookies of both stay."""
    kept = [pair for pair in base.pairs() if pair[0] == "set-cookie" or pair[0] not in over]
    return Headers([*kept, *over.pairs()])
