"""The client of `@connections`, the management API of a WebSocket API."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from nitro_presets.aws_lambda.aws_client.credentials import CredentialSource
from nitro_presets.aws_lambda.aws_client.errors import ServiceError
from nitro_presets.aws_lambda.aws_client.service import DEFAULT_RETRY, Retry, ServiceClient
from nitro_py.errors import MessageTooLargeError, PeerClosedError

# The largest message that API Gateway accepts, in bytes.
MAX_MESSAGE = 131_072

_POST_HEADERS = {"content-type": "application/octet-stream"}
_NO_HEADERS: dict[str, str] = {}


class ManagementClient:
    """A client of `@connections` of one stage.

    A post that may have been delivered is not repeated. One that was refused (429, 5xx) is, and so is one on a
    kept-alive connection that API Gateway had closed.

    Args:
        endpoint: The stage's URL, such as `https://abc.execute-api.eu-central-1.amazonaws.com/prod`.
        region: The region; by default `AWS_REGION`.
        credentials: The source of credentials; by default the environment.
        retry: How calls are tried again.
        connections: The most calls that are under way at once.
        timeout: How long a response may take, in seconds.

    Example:
        >>> async def greet(connection_id: str) -> None:
        ...     client = ManagementClient("http://127.0.0.1:8000/_aws/prod", region="eu-central-1")
        ...     await client.post(connection_id, "hello")
    """

    def __init__(
        self,
        endpoint: str,
        *,
        region: str | None = None,
        credentials: CredentialSource | None = None,
        retry: Retry = DEFAULT_RETRY,
        connections: int = 64,
        timeout: float = 10.0,
    ) -> None:
        self._service = ServiceClient(
            endpoint,
            "execute-api",
            region=region,
            credentials=credentials,
            retry=retry,
            connections=connections,
            timeout=timeout,
        )

    async def post(self, connection_id: str, frame: str | bytes) -> None:
        """Send a message to a connection.

        Args:
            connection_id: The connection's id, such as `BFHPhfCWIAMCKlQ=`.
            frame: The message.

        Raises:
            PeerClosedError: The connection is gone, or not open yet.
            MessageTooLargeError: The message has more than 131,072 bytes.
            ServiceError: API Gateway refused the call, or throttled it too often.
            TransportError: There was no response; the message may have been delivered.
        """
        body = frame.encode() if isinstance(frame, str) else frame
        if len(body) > MAX_MESSAGE:
            raise too_large_error(len(body))
        try:
            await self._service.request("POST", _find_path(connection_id), _POST_HEADERS, body)
        except ServiceError as error:
            if error.status == 413:
                raise too_large_error(len(body)) from error
            if error.status == 410:
                raise PeerClosedError(f"The peer `{connection_id}` is gone.") from error
            raise

    async def get(self, connection_id: str) -> dict[str, Any] | None:
        """Return what API Gateway knows of a connection.

        Args:
            connection_id: The connection's id.

        Returns:
            `connectedAt`, `lastActiveAt` and `identity`; `None` if the connection is gone.

        Raises:
            ServiceError: API Gateway refused the call, or throttled it too often.
        """
        try:
            answer = await self._service.request("GET", _find_path(connection_id), _NO_HEADERS, b"")
        except ServiceError as error:
            if error.status == 410:
                return None
            raise
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def delete(self, connection_id: str) -> None:
        """End a connection; one that is gone already is no error.

        Args:
            connection_id: The connection's id.

        Raises:
            ServiceError: API Gateway refused the call, or throttled it too often.
        """
        try:
            await self._service.request("DELETE", _find_path(connection_id), _NO_HEADERS, b"")
        except ServiceError as error:
            if error.status != 410:
                raise

    async def close(self) -> None:
        """Close all connections; calls on them fail."""
        await self._service.close()


def _find_path(connection_id: str) -> str:
    return "/@connections/" + quote(connection_id, safe="")


def too_large_error(size: int) -> MessageTooLargeError:
    """Return the error for a message of too many bytes."""
    return MessageTooLargeError(f"API Gateway takes messages of at most {MAX_MESSAGE} bytes, got {size}.")
