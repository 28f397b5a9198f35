"""A streamed response: the Runtime API's streaming response mode, for HTTP integrations."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from nitro_presets.aws_lambda.lambda_runtime.connection import RuntimeApiConnection
from nitro_presets.aws_lambda.lambda_runtime.error_report import ErrorReport

logger = logging.getLogger("nitro_py.aws")

ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"


@dataclass(frozen=True, slots=True)
class Prelude:
    """The status and header fields before a streamed body.

    Args:
        status: The HTTP status.
        headers: The header fields, without cookies.
        cookies: The values of `Set-Cookie`.

    Example:
        >>> Prelude(204).encode()[:18]
        b'{"statusCode":204,'
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Write the prelude with the eight NUL bytes that end it."""
        content = {"statusCode": self.status, "headers": dict(self.headers), "cookies": list(self.cookies)}
        return json.dumps(content, separators=(",", ":")).encode() + bytes(8)


class ResponseStream:
    """A streamed response, on a connection of its own.

    Args:
        address: The Runtime API's host and port.
        target: The path to post to.
    """

    def __init__(self, address: str, target: str) -> None:
        self._address = address
        self._target = target
        self._connection: RuntimeApiConnection | None = None
        self.ended = False

    @property
    def started(self) -> bool:
        """Whether the prelude was sent. From then on an error can be sent in the trailers only."""
        return self._connection is not None

    async def start(self, prelude: Prelude) -> None:
        """Send the prelude.

        Raises:
            OSError: The Runtime API cannot be reached.
        """
        self._connection = await RuntimeApiConnection.open(self._address)
        head = (
            f"POST {self._target} HTTP/1.1\r\n"
            f"Host: {self._address}\r\n"
            "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
            "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
            "Transfer-Encoding: chunked\r\n"
            f"Trailer: {ERROR_TYPE}, {ERROR_BODY}\r\n"
            "Connection: close\r\n\r\n"
        )
        await self._connection.write(head.encode() + _frame(prelude.encode()))

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; wait while Lambda accepts no more.

        Raises:
            OSError: Lambda has ended the response.
        """
        assert self._connection is not None
        # An empty chunk would end the response.
        if data:
            await self._connection.write(_frame(data))

    async def end(self) -> None:
        """End the response and wait until Lambda has received it; a second call does nothing."""
        await self._end(b"")

    async def fail(self, report: ErrorReport) -> None:
        """End a response that has started with an error in the trailers."""
        trailers = f"{ERROR_TYPE}: {report.kind}\r\n{ERROR_BODY}: ".encode() + report.to_trailer() + b"\r\n"
        await self._end(trailers)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _end(self, trailers: bytes) -> None:
        assert self._connection is not None
        if self.ended:
            return
        self.ended = True
        await self._connection.write(b"0\r\n" + trailers + b"\r\n")
        response = await self._connection.read()
        if response.status >= 300:
            logger.error(
                "The Runtime API refused a streamed response: %d %r", response.status, response.body[:200]
            )


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """A handler's result that our own runtime client streams.

    Args:
        produce: Starts the response, writes it, and may end it. An exception before the start is the error of the
            invocation, a later one that of the response.
    """

    produce: Callable[[ResponseStream], Awaitable[None]]


def _frame(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
