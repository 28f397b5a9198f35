"""The light response: an answer that needs no framework, also where an upgrade is refused."""

from __future__ import annotations

from collections.abc import Mapping

from nitro_py.headers import Headers


class StreamedResponse:
    """The root of the answers that are sent piece by piece: it tells what they are, wherever they are made."""

    __slots__ = ()


class Response:
    """An answer with a status, header fields and a body.

    Args:
        body: Any value that a handler may return, except another response.
        status: The HTTP status.
        headers: Header fields; they win over those that the body's type implies.

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
