"""The answer to a request or a refused upgrade."""

from __future__ import annotations

from collections.abc import Mapping

from nitro_py.headers import Headers


class StreamedResponse:
    """The base class of answers that are sent in pieces."""

    __slots__ = ()


class Response:
    """An answer with a status, header fields and a body.

    Args:
        body: Any value that a handler may return, except another response.
        status: The HTTP status.
        headers: Header fields; they replace those that the body's type implies.

    Raises:
        ValueError: A header field cannot be sent.

    Example:
        >>> Response("<h1>Hi</h1>", headers={"content-type": "text/html; charset=utf-8"}).status
        200
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: object = None, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.body = body
        self.status = status
        self.headers = Headers(headers or {})

    def __repr__(self) -> str:
        return f"Response(status={self.status})"
