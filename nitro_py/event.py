"""The event: an HTTP request on its way through middleware and handler."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nitro_py.encoding import make_id
from nitro_py.errors import ClientLeftError, HTTPError
from nitro_py.headers import Headers, Params, Query
from nitro_py.request import normalise_path, parse_cookies

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest

# Other text in a client's `X-Request-ID` is not used: it ends up in logs, and in requests to other services.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:=+/@-]{1,128}")

# Characters that would end the host in a URL and begin another path; not every server refuses them.
_NO_HOST = re.compile(r"[/?#@\\\s]")

_ASCII = bytes(range(128))

Scope = MutableMapping[str, Any]
ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]


class EventResponse:
    """The status and header fields that a handler sets beside the value that it returns."""

    __slots__ = ("headers", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers = Headers()


class Event:
    """An HTTP request, what handlers keep about it, and the status and header fields of its answer.

    Handlers are given events; they do not make them.

    Args:
        scope: The ASGI scope.
        receive: The ASGI receive callable.
        params: The route's path parameters.
        wait_until: The function that takes work which goes on after the answer.
        max_body: The largest body that `body()` and `request` read, in bytes.
        declared: The capabilities that the route's definition declares: `streaming`, `topics.sse`.

    Attributes:
        context: A dict for what middleware and handlers keep about the request.

    Example:
        @define_handler
        async def handler(event: Event) -> dict[str, str]:
            event.response.headers["cache-control"] = "no-store"
            return {"id": event.params["id"]}
    """

    __slots__ = (
        "_body",
        "_headers",
        "_id",
        "_max_body",
        "_params",
        "_query",
        "_receive",
        "_replayed",
        "_request",
        "_response",
        "_taken",
        "_wait_until",
        "answered_callbacks",
        "context",
        "declared",
        "scope",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        *,
        params: Mapping[str, str],
        wait_until: Callable[[Awaitable[object]], None],
        max_body: int,
        declared: Collection[str] = (),
    ) -> None:
        self.scope = scope
        # The router's own until a handler looks at them.
        self._params = params
        self.context: dict[str, Any] = {}
        self.declared = declared
        self._receive = receive
        self._wait_until = wait_until
        self._max_body = max_body
        self._id: str | None = None
        self._headers: Headers | None = None
        self._query: Query | None = None
        self._body: bytes | None = None
        self._replayed = False
        # The bytes of the body that Starlette's request has taken.
        self._taken = 0
        self._request: StarletteRequest | None = None
        self._response: EventResponse | None = None
        # What `note_answered` calls, for those who need not ask it in vain.
        self.answered_callbacks: list[Callable[[], None]] | None = None

    @property
    def response(self) -> EventResponse:
        """The status and header fields of the answer, beside what the handler returns."""
        if self._response is None:
            self._response = EventResponse()
        return self._response

    @property
    def touches_response(self) -> bool:
        """Whether `response` was used, and so may contain something."""
        return self._response is not None

    @property
    def id(self) -> str:
        """The request's id, which logs show: its `X-Request-ID` if that is valid, else a new one."""
        if self._id is None:
            given = self.headers.get("x-request-id", "")
            self._id = given if REQUEST_ID.fullmatch(given) else make_id()
        return self._id

    @property
    def method(self) -> str:
        """The request's method, in upper case."""
        method: str = self.scope.get("method", "GET")
        return method

    @property
    def path(self) -> str:
        """The URL's path, percent-decoded."""
        return normalise_path(self.scope["path"])

    @property
    def url(self) -> str:
        """The complete URL of the request."""
        return url_of(self.scope, self.headers)

    @property
    def headers(self) -> Headers:
        """The request's header fields; the answer's are `event.response.headers`."""
        if self._headers is None:
            self._headers = Headers.from_raw(self.scope["headers"])
        return self._headers

    @property
    def query(self) -> Query:
        """The parameters of the URL's query."""
        if self._query is None:
            self._query = Query(self.scope["query_string"])
        return self._query

    @property
    def params(self) -> Params:
        """The route's path parameters."""
        if not isinstance(self._params, Params):
            self._params = Params(self._params)
        return self._params

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies that the client sent."""
        return parse_cookies(self.headers)

    @property
    def remote_address(self) -> str | None:
        """The client's IP address; `None` if the target does not know it."""
        return remote_address_of(self.scope)

    @property
    def request(self) -> StarletteRequest:
        """Starlette's request, made on first access.

        Its methods that read the body raise the `HTTPError` 413 if the body is larger than `http.max_body`.
        """
        if self._request is None:
            from nitro_py.starlette_request import StarletteRequest

            self._request = StarletteRequest(self.scope, self._receive_limited)
        return self._request

    async def body(self) -> bytes:
        """Read the complete body; later calls return the same bytes.

        Raises:
            HTTPError: 413, the body is larger than `http.max_body`.
            ClientLeftError: The client disconnected before the body's end.

        Example:
            size = len(await event.body())
        """
        if self._body is None:
            self._body = await self._read_body()
        return self._body

    def wait_until(self, work: Coroutine[Any, Any, object] | Awaitable[object]) -> None:
        """Let work go on after the answer; a target that freezes the process finishes it first.

        Args:
            work: A coroutine or another awaitable. An exception in it is logged.

        Raises:
            TypeError: It cannot be awaited, such as a function that was not called.

        Example:
            event.wait_until(send_mail(address))
        """
        self._wait_until(work)

    def on_answered(self, callback: Callable[[], None]) -> None:
        """Call a function once the answer has gone out, or cannot."""
        if self.answered_callbacks is None:
            self.answered_callbacks = []
        self.answered_callbacks.append(callback)

    def note_answered(self) -> None:
        """Call what waits for the answer, which has gone out or cannot; for adapters."""
        callbacks, self.answered_callbacks = self.answered_callbacks or [], None
        for callback in callbacks:
            callback()

    async def _read_body(self) -> bytes:
        if self._request is not None:
            return await self._request.body()
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_body:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._max_body:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _receive_limited(self) -> ASGIMessage:
        message = await self.receive()
        self._taken += len(message.get("body", b""))
        if self._taken > self._max_body:
            raise self._too_large()
        return message

    def _too_large(self) -> HTTPError:
        return HTTPError(413, f"The body is too large: expected at most {self._max_body} bytes.")

    async def receive(self) -> ASGIMessage:
        """Receive an ASGI message, for an application that takes over; a body that was read comes again."""
        if self._body is None or self._replayed:
            return await self._receive()
        self._replayed = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    def __repr__(self) -> str:
        return f"Event({self.method} {self.path})"


def url_of(scope: Scope, headers: Headers) -> str:
    """Return the URL of an ASGI scope, with the host that the client named."""
    scheme = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
    server = scope.get("server")
    host = headers.get("host")
    if host is None or _NO_HOST.search(host):
        host = "localhost" if not server else server[0] + (f":{server[1]}" if server[1] else "")
    query = _percent_encode(scope["query_string"])
    return f"{scheme}://{host}{raw_path_of(scope)}" + (f"?{query}" if query else "")


def raw_path_of(scope: Scope) -> str:
    """Return the path as the client sent it, percent-encoded, without the query."""
    raw: bytes | None = scope.get("raw_path")
    if raw and b"?" not in raw:
        return raw.decode() if raw.isascii() else _percent_encode(raw)
    # Some servers leave the query in `raw_path`, and the specification lets them leave it out altogether.
    path = _percent_encode(raw.partition(b"?")[0]) if raw else quote(scope["path"], safe="/:@!$&'()*+,;=~")
    return path or "/"


def _percent_encode(part: bytes) -> str:
    """Return a part of a URL as text, with what is not ASCII percent-encoded."""
    return part.decode() if part.isascii() else quote(part, safe=_ASCII)


def remote_address_of(scope: Scope) -> str | None:
    """Return the client's IP address; `None` if the server does not know it."""
    client = scope.get("client")
    return str(client[0]) if client else None
