"""HTTP/1.1 as bytes: writes requests, reads responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nitro_presets.aws_lambda.client.errors import TransportError

MAX_HEAD = 64 * 1024


class Response(NamedTuple):
    """Is what a service answered.

    Args:
        status: The HTTP status.
        head: Status line and header fields as they came.
        body: The body, without its framing.
    """

    status: int
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Reads the header fields; names in lower case, of doubled names the last."""
        # Not read before somebody asks: most answers are a status and nothing else.
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        fields = (line.partition(":") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in fields}


def write_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Writes a request as one piece.

    Args:
        method: In capitals.
        target: Path and query, percent-encoded.
        headers: All fields but `content-length`.
        body: The body.

    Raises:
        ValueError: A line break stands in the target or in a field, which would be read as another field.

    Example:
        >>> write_request("GET", "/", {"host": "a"}, b"")
        b'GET / HTTP/1.1\\r\\nhost: a\\r\\ncontent-length: 0\\r\\n\\r\\n'
    """
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{method} {target} HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n"
    if head.count("\n") != len(headers) + 3 or head.count("\r") != len(headers) + 3:
        raise ValueError("A line break stands in a header or in the path of a request.")
    return head.encode("latin-1") + body


class ResponseReader:
    """Reads one response after the other from pieces of any size.

    Follows RFC 9112, sections 6 and 7; fed nothing but answers to requests with a body of their own.
    """

    __slots__ = ("_buffer", "_chunked", "_head", "_length", "_status", "reusable")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head = b""
        self._status = 0
        self._length = 0
        self._chunked = False
        self.reusable = True

    @property
    def started(self) -> bool:
        """Says whether any byte of the next response has come."""
        return self._status != 0 or len(self._buffer) > 0

    def feed(self, data: bytes) -> Response | None:
        """Takes what came, and gives the response once it is whole.

        Raises:
            TransportError: It is no HTTP.
        """
        if self._status == 0:
            if self._buffer:
                data = bytes(self._buffer) + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._keep_head(data)
                return None
            self._read_head(data[:end])
            rest = data[end + 4 :]
            if self._status >= 200 and len(rest) == self._length and not self._chunked:
                return self._finish(rest)
            self._buffer = bytearray()
            if self._status < 200:
                self._status = 0
                return self.feed(rest)
            data = rest
        self._buffer += data
        if self._chunked:
            return self._read_chunks()
        if self._length < 0 or len(self._buffer) < self._length:
            return None
        if len(self._buffer) > self._length:
            self.reusable = False
        return self._finish(bytes(self._buffer[: self._length]))

    def close(self) -> Response | None:
        """Gives the response that the end of the connection completes, if there is one."""
        if self._status == 0 or self._chunked or self._length >= 0:
            return None
        return self._finish(bytes(self._buffer))

    def _keep_head(self, data: bytes) -> None:
        if len(data) > MAX_HEAD:
            raise TransportError(f"A response's head has more than {MAX_HEAD} bytes.", sent=True)
        self._buffer = bytearray(data)

    def _read_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
            raise TransportError(f"Expected a response of HTTP/1.1, got {head[:40]!r}.", sent=True)
        self._head = head
        self._status = int(head[9:12])
        fields = head.lower()
        self._chunked = b"chunked" in _find(fields, b"\r\ntransfer-encoding:")
        length = _find(fields, b"\r\ncontent-length:")
        if length.isdigit():
            self._length = int(length)
        else:
            self._length = 0 if self._status in (204, 304) else -1
        connection = _find(fields, b"\r\nconnection:")
        if connection == b"close" or (head[7:8] == b"0" and connection != b"keep-alive"):
            self.reusable = False

    def _read_chunks(self) -> Response | None:
        # Looked at again from the first chunk whenever a piece comes: services send such bodies whole.
        data = bytes(self._buffer)
        chunks: list[bytes] = []
        start = 0
        while (end := data.find(b"\r\n", start)) >= 0:
            try:
                size = int(data[start:end].partition(b";")[0], 16)
            except ValueError:
                raise TransportError("Expected the size of a chunk.", sent=True) from None
            if size == 0:
                ended = data.startswith(b"\r\n", end + 2) or data.find(b"\r\n\r\n", end + 2) >= 0
                return self._finish(b"".join(chunks)) if ended else None
            start = end + 4 + size
            if start > len(data):
                return None
            chunks.append(data[end + 2 : start - 2])
        return None

    def _finish(self, body: bytes) -> Response:
        response = Response(self._status, self._head, body)
        if self._buffer:
            self._buffer = bytearray()
        self._status = 0
        if self._length < 0 and not self._chunked:
            self.reusable = False
        return response


def _find(fields: bytes, name: bytes) -> bytes:
    start = fields.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = fields.find(b"\r\n", start)
    return (fields[start:end] if end >= 0 else fields[start:]).strip()
