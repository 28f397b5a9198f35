"""Stands for AWS's services: DynamoDB knows one row, every connection takes every message.

Is told the row as `{"item": …}` in a line on its standard input, and tells its port. With `"tls"` in that line it
speaks TLS, and tells the file of the authorities that clients need.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
from pathlib import Path

import botocore  # type: ignore[import-untyped]

from tests.certificates import make_certificate

# As AWS sends it, status and fields.
ANSWER = (
    "HTTP/1.1 200 OK\r\n"
    "Date: Mon, 24 Nov 2025 02:00:00 GMT\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: {}\r\n"
    "Connection: keep-alive\r\n"
    "x-amzn-RequestId: 4b3a2f10-5b5c-4c5e-9d57-0f1f5a6e7d11\r\n"
    "x-amz-apigw-id: UdGkzGmWIAMEJqQ=\r\n\r\n{}"
)


class Services(asyncio.Protocol):
    """The protocol of one connection, which answers its calls.

    Args:
        item: What DynamoDB answers.
    """

    def __init__(self, item: str) -> None:
        self._item = item
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        fields = head.lower()
        length = int(fields.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if not separator or len(body) < length:
            return
        self._received = body[length:]
        answer = self._item if b"x-amz-target:" in fields else ""
        self._transport.write(ANSWER.format(len(answer), answer).encode())


async def main() -> None:
    question = json.loads(await asyncio.to_thread(sys.stdin.readline))
    with tempfile.TemporaryDirectory() as folder:
        context, authorities = make_tls(Path(folder)) if question.get("tls") else (None, None)
        server = await asyncio.get_running_loop().create_server(
            lambda: Services(question["item"]), "127.0.0.1", 0, ssl=context
        )
        port = server.sockets[0].getsockname()[1]
        print(json.dumps({"port": port, "authorities": str(authorities)}), flush=True)
        await server.serve_forever()


def make_tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make the TLS context of AWS's services, and a file of as many authorities as clients of AWS trust."""
    context, authority = make_certificate(folder)
    authorities = folder / "authorities.pem"
    known = (Path(botocore.__file__).parent / "cacert.pem").read_text(encoding="utf-8")
    authorities.write_text(f"{known}\n{authority.read_text()}", encoding="utf-8")
    return context, authorities


asyncio.run(main())
