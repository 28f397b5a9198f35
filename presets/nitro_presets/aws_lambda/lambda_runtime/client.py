"""The Runtime API of Lambda: where a function gets its invocations from and brings its answers to."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from nitro_presets.aws_lambda.aws_client.http import ServiceResponse, write_request
from nitro_presets.aws_lambda.lambda_runtime.connection import RuntimeApiConnection
from nitro_presets.aws_lambda.lambda_runtime.context import InvocationContext
from nitro_presets.aws_lambda.lambda_runtime.error_report import ErrorReport
from nitro_presets.aws_lambda.lambda_runtime.response_stream import ERROR_TYPE, ResponseStream, StreamedAnswer
from nitro_py.errors import NitroError

logger = logging.getLogger("nitro_py.aws")

ROOT = "/2018-06-01/runtime"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the function.

    Args:
        id: Its id.
        payload: The event, as JSON.
        trace: The value of `_X_AMZN_TRACE_ID`, if the call is traced.
        context: What the handler is told about it.
    """

    id: str
    payload: bytes
    trace: str | None
    context: InvocationContext


class RuntimeApiClient:
    """Speaks with the Runtime API over one kept-alive connection, and another for each streamed response.

    Args:
        address: The API's host and port, from `AWS_LAMBDA_RUNTIME_API`.

    Follows AWS Lambda's Runtime API, version 2018-06-01.

    Example:
        client = RuntimeClient("127.0.0.1:9001")
        invocation = await client.next()
        await client.respond(invocation.id, b'"hello"')
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: RuntimeApiConnection | None = None

    async def next(self) -> Invocation:
        """Wait for the next invocation; in the meantime the environment may freeze.

        Raises:
            NitroError: The API has none.
            OSError: The API is gone.
        """
        response = await self._request("GET", f"{ROOT}/invocation/next")
        headers = response.headers
        if response.status != 200 or "lambda-runtime-aws-request-id" not in headers:
            raise NitroError(f"The Runtime API gave no invocation: {response.status} {response.body[:200]!r}")
        context = InvocationContext.from_headers(headers)
        trace = headers.get("lambda-runtime-trace-id")
        return Invocation(context.aws_request_id, response.body, trace, context)

    async def respond(self, id: str, body: bytes) -> None:
        """Answer an invocation, with at most 6 MB of JSON."""
        await self._post(f"{ROOT}/invocation/{id}/response", body)

    async def stream(self, id: str, answer: StreamedAnswer) -> None:
        """Stream the answer to an invocation.

        Raises:
            Exception: What the answer raised before its start. Later errors are logged, and told by the trailers.
        """
        stream = ResponseStream(self._address, f"{ROOT}/invocation/{id}/response")
        try:
            await answer.produce(stream)
            if not stream.started:
                raise NitroError("The handler ended without an answer.")
            await stream.end()
        except (Exception, asyncio.CancelledError) as error:
            if not stream.started:
                raise
            logger.exception("A streamed answer failed.")
            try:
                await stream.fail(ErrorReport.of(error))
            except OSError as broken:
                logger.error("The Runtime API did not take a streamed answer to its end: %s", broken)
        finally:
            stream.close()

    async def fail(self, id: str, fault: ErrorReport) -> None:
        """Answer an invocation by an error."""
        await self._post(f"{ROOT}/invocation/{id}/error", fault.to_json(), fault.kind)

    async def fail_start(self, fault: ErrorReport) -> None:
        """Say that the function cannot start."""
        await self._post(f"{ROOT}/init/error", fault.to_json(), fault.kind)

    async def wait_for_restore(self) -> None:
        """Say that a snapshot may be taken (SnapStart); returns in the environments made from it.

        Raises:
            NitroError: The API takes no snapshots.
        """
        response = await self._request("GET", f"{ROOT}/restore/next")
        if response.status != 200:
            raise NitroError(f"The Runtime API restores nothing: {response.status} {response.body[:200]!r}")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _post(self, target: str, body: bytes, error: str | None = None) -> None:
        response = await self._request("POST", target, body, error)
        if response.status >= 300:
            logger.error("The Runtime API refused an answer: %d %r", response.status, response.body[:200])

    async def _request(
        self, method: str, target: str, body: bytes = b"", error: str | None = None
    ) -> ServiceResponse:
        headers = {"Host": self._address, "Content-Type": "application/json"}
        if error is not None:
            headers[ERROR_TYPE] = error
        if self._connection is not None and not self._connection.reusable:
            self.close()
        if self._connection is None:
            self._connection = await RuntimeApiConnection.open(self._address)
        await self._connection.write(write_request(method, target, headers, body))
        try:
            return await self._connection.read()
        except BaseException:
            # An answer that nobody waits for any more would be taken for the next request's.
            self.close()
            raise
