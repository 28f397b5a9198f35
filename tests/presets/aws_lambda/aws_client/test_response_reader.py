from __future__ import annotations

import random

import pytest

from nitro_presets.aws_lambda.aws_client.errors import TransportError
from nitro_presets.aws_lambda.aws_client.http import MAX_HEAD, ResponseReader, ServiceResponse, write_request

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  1 \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
    b"3;name=value\r\nhel\r\n00002\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
INFORMED = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN
BINARY_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n"


def read_pieces(reader: ResponseReader, pieces: list[bytes]) -> list[ServiceResponse]:
    """Feed piece by piece, and return the responses."""
    return [response for piece in pieces if (response := reader.feed(piece)) is not None]


def split(data: bytes, source: random.Random) -> list[bytes]:
    """Split data at random places."""
    places = sorted(source.sample(range(1, len(data)), source.randint(0, min(8, len(data) - 1))))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (PLAIN, 200, b"hello"),
        (CHUNKED, 200, b"hello"),
        (EMPTY, 204, b""),
        (INFORMED, 200, b"hello"),
        (BINARY_CHUNK, 200, b"\r\n\r\n"),
        (b"HTTP/1.1 304 X\r\n\r\n", 304, b""),
    ],
    ids=["plain", "chunked", "empty", "informed", "binary", "not modified"],
)
def test_response_is_read_from_any_pieces(data: bytes, status: int, body: bytes) -> None:
    source = random.Random(1)
    reader = ResponseReader()
    for pieces in [[data], [bytes([byte]) for byte in data], *(split(data, source) for _ in range(50))]:
        responses = read_pieces(reader, pieces)
        assert [(response.status, response.body) for response in responses] == [(status, body)]
        assert reader.reusable
        assert not reader.started


def test_header_fields_are_read() -> None:
    (response,) = read_pieces(ResponseReader(), [PLAIN])
    assert response.headers == {"content-length": "5", "x-a": "1"}


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        PLAIN + b"more",
    ],
    ids=["close", "1.0", "too much"],
)
def test_connection_is_not_used_again(data: bytes) -> None:
    reader = ResponseReader()
    assert reader.feed(data) is not None
    assert not reader.reusable


def test_body_without_a_length_ends_with_the_connection() -> None:
    reader = ResponseReader()
    assert read_pieces(reader, [b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"]) == []
    response = reader.close()
    assert response is not None
    assert response.body == b"hello"
    assert not reader.reusable


@pytest.mark.parametrize("data", [PLAIN[:-1], CHUNKED[:-1], b"HTTP/1.1 20", b""])
def test_cut_off_response_is_none(data: bytes) -> None:
    reader = ResponseReader()
    assert reader.feed(data) is None
    assert reader.close() is None


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD,
    ],
    ids=["other protocol", "no status", "no size", "endless head"],
)
def test_what_is_no_http_is_an_error(data: bytes) -> None:
    with pytest.raises(TransportError):
        ResponseReader().feed(data)


@pytest.mark.parametrize(
    ("target", "value"), [("/", "a\r\nx-b: 1"), ("/", "a\nb"), ("/ HTTP/1.1\r\nx: 1", "a"), ("/", "a\r")]
)
def test_line_break_never_makes_a_field(target: str, value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        write_request("GET", target, {"x-a": value}, b"")
