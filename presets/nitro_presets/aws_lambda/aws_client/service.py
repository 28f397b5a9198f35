"""Signed calls to one AWS service, with retries."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict, Unpack
from urllib.parse import urlsplit

from nitro_presets.aws_lambda.aws_client.credentials import CredentialSource, EnvironmentSource
from nitro_presets.aws_lambda.aws_client.errors import ServiceError, TransportError
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool, ServiceResponse
from nitro_presets.aws_lambda.aws_client.signer import Signer

# Codes with status 400 of calls that may succeed later.
THROTTLING_CODES = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
# Reasons for which DynamoDB cancels a transaction that may succeed later.
RETRYABLE_REASONS = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"})


class Retry(NamedTuple):
    """How a call is tried again: after exponential pauses with full jitter.

    Args:
        attempts: The most attempts, the first included.
        base: The longest pause before the second attempt, in seconds; it doubles each time.
        cap: The longest pause of all, in seconds.
        deadline: How long after the start of the call the last attempt may start, in seconds.

    Example:
        >>> 0 <= Retry(base=0.1).pause(2) <= 0.2
        True
    """

    attempts: int = 6
    base: float = 0.05
    cap: float = 2.0
    deadline: float = 10.0

    def pause(self, attempt: int) -> float:
        """Draw the pause after an attempt, counted from 1, in seconds."""
        # Benchmark rows `lambda-cold-*`: loaded by the first call that fails.
        from random import uniform

        return uniform(0, min(self.cap, self.base * 2.0 ** (attempt - 1)))


DEFAULT_RETRY = Retry()


class ServiceClient:
    """A client of one service at one endpoint.

    Args:
        endpoint: URL of the service; its path is prepended to that of each call.
        name: The signing name, such as `execute-api`.
        region: The region; by default `AWS_REGION`.
        credentials: The source of credentials; by default the environment.
        retry: How calls are tried again.
        idempotent: Whether a call is tried again that may have reached the service and got no response.
        connections: The most calls that are under way at once.
        timeout: How long a response may take, in seconds.

    Example:
        >>> ServiceClient("http://127.0.0.1:8000/_aws/prod", "execute-api", region="eu-central-1").path
        '/_aws/prod'
    """

    def __init__(
        self,
        endpoint: str,
        name: str,
        *,
        region: str | None = None,
        credentials: CredentialSource | None = None,
        retry: Retry = DEFAULT_RETRY,
        idempotent: bool = False,
        connections: int = 64,
        timeout: float = 10.0,
    ) -> None:
        self.path = urlsplit(endpoint).path.rstrip("/")
        self._signer = Signer(region or find_region(), name)
        self._credentials = credentials or EnvironmentSource()
        self._retry = retry
        self._idempotent = idempotent
        self._pool = ConnectionPool(endpoint, connections=connections, timeout=timeout)
        self._host = {"host": self._pool.host}

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> ServiceResponse:
        """Make a call.

        Args:
            method: In capitals.
            path: The path after the endpoint's, percent-encoded.
            headers: The header fields of the call, with names in lower case.
            body: The body.

        Returns:
            A response with a status of 2xx.

        Raises:
            ServiceError: The service refused the call, or throttled it too often.
            TransportError: There was no response.
        """
        path = self.path + path
        headers = {**self._host, **headers}
        started = time.monotonic()
        attempt = 1
        while True:
            credentials = await self._credentials.get()
            signed = self._signer.sign(credentials, method, path, "", headers, body, time.time())
            try:
                response = await self._pool.request(method, path, {**headers, **signed}, body)
            except TransportError as error:
                if error.sent and not self._idempotent:
                    raise
                failure: ServiceError = error
            else:
                if 200 <= response.status < 300:
                    return response
                failure = read_error(response)
                if not is_retryable(failure):
                    raise failure
            pause = self._retry.pause(attempt)
            late = time.monotonic() + pause - started > self._retry.deadline
            if attempt >= self._retry.attempts or late:
                raise failure
            await asyncio.sleep(pause)
            attempt += 1

    async def close(self) -> None:
        """Close all connections; calls on them fail."""
        await self._pool.close()


def is_retryable(error: ServiceError) -> bool:
    """Return whether a refused call may succeed later."""
    if error.status == 429 or error.status >= 500 or error.code in THROTTLING_CODES:
        return True
    reasons = set(list_reasons(error)) - {"None"}
    return bool(reasons) and reasons <= RETRYABLE_REASONS


def list_reasons(error: ServiceError) -> tuple[str, ...]:
    """List the reason for which each action of a transaction was refused, in order; `"None"` for none."""
    return tuple(str(reason.get("Code")) for reason in error.details.get("CancellationReasons", ()))


def read_error(response: ServiceResponse) -> ServiceError:
    r"""Read the error in a response.

    Args:
        response: The response, whose code is in a header (REST) or in the body (JSON protocols).

    Example:
        >>> head = b"HTTP/1.1 410 Gone\\r\\nx-amzn-ErrorType: GoneException"
        >>> read_error(ServiceResponse(410, head, b"")).code
        'GoneException'
    """
    answer = read_object(response.body)
    code = response.headers.get("x-amzn-errortype") or answer.get("__type") or answer.get("code") or "Unknown"
    code = str(code).partition(":")[0].rpartition("#")[2]
    message = answer.get("message") or answer.get("Message") or "The service gives no reason."
    text = f"{response.status} `{code}`: {message}"
    return ServiceError(text, status=response.status, code=code, details=answer)


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; return an empty one for any other body, such as that of a proxy."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


class ClientOptions(TypedDict, total=False):
    """How the client of a service is made.

    Args:
        region: The region; by default `AWS_REGION`.
        endpoint: URL of the service; by default `AWS_ENDPOINT_URL_<SERVICE>`, or else the region's.
        credentials: The source of credentials; by default the environment.
        retry: How calls are tried again.
        connections: The most calls that are under way at once.
        timeout: How long a response may take, in seconds.
    """

    region: str | None
    endpoint: str | None
    credentials: CredentialSource | None
    retry: Retry
    connections: int
    timeout: float


def make_service(name: str, *, idempotent: bool = False, **options: Unpack[ClientOptions]) -> ServiceClient:
    """Make the client of a service in a region.

    Args:
        name: The service's name in host names and signatures, such as `dynamodb`.
        idempotent: Whether a call is tried again that may have reached the service and got no response.
        options: How it is made.
    """
    region = options.get("region") or find_region()
    return ServiceClient(
        options.get("endpoint") or find_endpoint(name, region),
        name,
        region=region,
        credentials=options.get("credentials"),
        retry=options.get("retry", DEFAULT_RETRY),
        idempotent=idempotent,
        connections=options.get("connections", 16),
        timeout=options.get("timeout", 10.0),
    )


def find_region() -> str:
    """Return `AWS_REGION`, or else `AWS_DEFAULT_REGION`.

    Raises:
        ServiceError: Neither is set.
    """
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ServiceError("`AWS_REGION` is not set.", status=0, code="NoRegion")
    return region


def find_endpoint(service: str, region: str) -> str:
    """Return a service's URL: `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`, or else the region's.

    Args:
        service: The service's name in host names, such as `dynamodb`.
        region: The region.
    """
    given = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return given or f"https://{service}.{region}.{suffix}"
