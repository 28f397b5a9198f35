"""A connection to the Runtime API."""

from __future__ import annotations

import asyncio

from nitro_presets.aws_lambda.aws_client.http import ResponseReader, ServiceResponse

PIECE = 256 * 1024


class RuntimeApiConnection:
    """A connection to the Runtime API, for one request at a time.

    Args:
        reader: The stream to read from.
        writer: The stream to write to.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._responses = ResponseReader()

    @classmethod
    async def open(cls, address: str) -> RuntimeApiConnection:
        """Connect to `AWS_LAMBDA_RUNTIME_API`, such as `127.0.0.1:9001`."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self._responses.reusable and not self._reader.at_eof() and not self._writer.is_closing()

    async def write(self, data: bytes) -> None:
        """Send bytes; wait while too many are unsent.

        Raises:
            OSError: The connection was lost.
        """
        self._writer.write(data)
        await self._writer.drain()

    async def read(self) -> ServiceResponse:
        """Wait for the response to a request, without a time-out.

        Raises:
            OSError: The connection was lost before the response was complete.
            TransportError: It is no HTTP/1.1 response.
        """
        while piece := await self._reader.read(PIECE):
            response = self._responses.feed(piece)
            if response is not None:
                return response
        response = self._responses.close()
        if response is None:
            raise ConnectionResetError("The Runtime API closed the connection before it answered.")
        return response

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self._writer.close()
