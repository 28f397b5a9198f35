"""One connection to the Runtime API."""

from __future__ import annotations

import asyncio

from nitro_presets.aws_lambda.aws_client.http import ResponseReader, ServiceResponse

PIECE = 256 * 1024


class RuntimeApiConnection:
    """Sends requests over one socket, one at a time.

    Args:
        reader: What the API sends.
        writer: What it is sent.
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
        """Return whether another request may follow."""
        return self._responses.reusable and not self._reader.at_eof() and not self._writer.is_closing()

    async def write(self, data: bytes) -> None:
        """Send bytes, and waits while more than a few wait to be sent.

        Raises:
            OSError: The connection is gone.
        """
        self._writer.write(data)
        await self._writer.drain()

    async def read(self) -> ServiceResponse:
        """Wait for the response to what was sent, as long as it takes.

        Raises:
            OSError: The connection ended before it was whole.
            TransportError: It is no HTTP.
        """
        while piece := await self._reader.read(PIECE):
            response = self._responses.feed(piece)
            if response is not None:
                return response
        response = self._responses.close()
        if response is None:
            raise ConnectionResetError("The Runtime API ended the connection before it answered.")
        return response

    def close(self) -> None:
        """Close the connection, after what was sent."""
        self._writer.close()
