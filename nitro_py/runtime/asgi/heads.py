"""Reading the heads of a connection's requests."""

from __future__ import annotations

from typing import Any

from nitro_py.runtime.asgi.fields import encode_fields, names_host
from nitro_py.runtime.asgi.flow import FlowControl
from nitro_py.runtime.asgi.limits import Guard, Limiter
from nitro_py.runtime.asgi.proxies import PROXY_FIELDS
from nitro_py.runtime.asgi.scope import make_parser

# Fields that the server itself looks at.
OWN_FIELDS = PROXY_FIELDS | {b"connection", b"expect", b"transfer-encoding"}
# Stand for the hosts of a request that names several, and for one that no request can name.
SEVERAL, NONE_YET = b"\n", b"\r"


class HeadReader(FlowControl):
    """Is a connection whose parser has a request's head put together here.

    Args:
        limiter: What limits how much a client may have.
    """

    def __init__(self, limiter: Limiter) -> None:
        super().__init__()
        self._parser: Any = make_parser(self)
        self._guard = Guard(limiter)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = self._is_proxied = False
        # The host that the request names, and the last one that was looked at.
        self._host: bytes | None = None
        self._known_host = NONE_YET

    def on_message_begin(self) -> None:
        """Begins a request."""
        self._guard.begin_head()
        self._url = b""
        self._headers = []
        self._expects_continue = self._is_proxied = False
        self._host = None

    def on_url(self, url: bytes) -> None:
        """Takes a piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header field."""
        name = name.lower()
        if name == b"host":
            self._host = value if self._host is None else SEVERAL
        elif name in OWN_FIELDS:
            self._note(name, value.strip().lower())
        self._headers.append((name, value))

    def _note(self, name: bytes, value: bytes) -> None:
        """Looks at a field; an error that is raised here comes out of the parser as one of its own.

        Raises:
            ValueError: The field lets servers differ about where a request ends.
        """
        if name in PROXY_FIELDS:
            self._is_proxied = True
        elif name == b"expect":
            self._expects_continue = self._expects_continue or value == b"100-continue"
        elif name == b"transfer-encoding":
            if value != b"chunked":
                raise ValueError(f"Expected the transfer coding `chunked`, got {value!r}.")
        elif not self._guard.is_head_begun:
            raise ValueError("`Connection` cannot stand behind a body.")

    def _accept_host(self, version: str) -> bool:
        """Looks at a host that the last request did not name."""
        accepted = names_host(self._host, version)
        if accepted and self._host is not None:
            self._known_host = self._host
        return accepted

    def _ignore_upgrade(self) -> None:
        """Reads a head again without the wish for another protocol.

        The parser stops behind such a head, and would take the request's content for the next request, unlike
        those who are between us and the client (RFC 9110, section 7.8).
        """
        head = self._write_head([field for field in self._headers if field[0] != b"upgrade"])
        self._parser = make_parser(self)
        self._parser.feed_data(head)

    def _write_head(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Writes the head that the parser has stopped at, with other fields."""
        parser = self._parser
        line = (parser.get_method(), self._url, parser.get_http_version().encode())
        return b"%b %b HTTP/%b\r\n%b\r\n" % (*line, encode_fields(fields))
