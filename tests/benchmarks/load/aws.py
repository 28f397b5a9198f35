"""Stands for AWS's services: DynamoDB knows one row, every connection takes every message.

Is told the row as `{"item": …}` in a line on its standard input, and tells its port.
"""

from __future__ import annotations

import asyncio
import json
import sys

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
    item = json.loads(await asyncio.to_thread(sys.stdin.readline))["item"]
    server = await asyncio.get_running_loop().create_server(lambda: Services(item), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
