"""The HTTP request behind a socket, for upgrade hooks and peers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from nitro_py.headers import Headers, Params, Query

# How `http.cookies` writes characters in a quoted value.
_ESCAPE = re.compile(r"\\(?:([0-3][0-7]{2})|(.))")


def normalise_path(path: str) -> str:
    """Return a path as routes have it: without a slash at its end. Middleware, hooks and namespaces see the same.

    Example:
        >>> normalise_path("/ws/chat/"), normalise_path("")
        ('/ws/chat', '/')
    """
    return path.rstrip("/") or "/"


class Request:
    """An HTTP request, the same on every preset.

    Args:
        url: The complete URL, such as `ws://localhost:3000/api/ws/chat?name=ada`.
        headers: The request's header fields.
        method: The method, in upper case.
        params: The route's path parameters.
        remote_address: The client's IP address; `None` if the target does not know it.
        context: The event's `context`, as middleware has left it.

    Example:
        >>> request = Request("ws://localhost/chat?name=ada", headers=Headers({"cookie": "id=7"}))
        >>> request.path, request.query["name"], request.cookies
        ('/chat', 'ada', {'id': '7'})
    """

    __slots__ = ("_cookies", "_query", "context", "headers", "method", "params", "remote_address", "url")

    def __init__(
        self,
        url: str,
        *,
        headers: Headers,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        remote_address: str | None = None,
        context: dict[str, object] | None = None,
    ) -> None:
        self.url = url
        self.headers = headers
        self.method = method
        self.params: Mapping[str, str] = Params(params or ())
        self.remote_address = remote_address
        self.context: dict[str, object] = {} if context is None else context
        self._query: Query | None = None
        self._cookies: dict[str, str] | None = None

    @property
    def path(self) -> str:
        """The URL's path, percent-decoded, without the query."""
        return normalise_path(unquote(urlsplit(self.url).path))

    @property
    def query(self) -> Query:
        """The parameters of the URL's query."""
        if self._query is None:
            self._query = Query(urlsplit(self.url).query)
        return self._query

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies that the client sent."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.headers)
        return self._cookies

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url})"


def parse_cookies(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request as browsers send them (RFC 6265, section 5.4).

    A value is everything after the first `=`; the first of equal names wins, as its path is the longest. A
    value in quotes is what `http.cookies` has written there.

    Example:
        >>> parse_cookies(Headers({"cookie": 'user[id]=5; session={"id": 5}; user[id]=6'}))
        {'user[id]': '5', 'session': '{"id": 5}'}
    """
    cookies: dict[str, str] = {}
    for field in headers.getlist("cookie"):
        for pair in field.split(";"):
            name, found, value = pair.partition("=")
            name = name.strip()
            if found and name:
                cookies.setdefault(_read_utf8(name), _unquote(_read_utf8(value.strip())))
    return cookies


def _read_utf8(text: str) -> str:
    """Read what a field's bytes mean, if they are UTF-8 and not Latin-1."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _unquote(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value[1:-1])
