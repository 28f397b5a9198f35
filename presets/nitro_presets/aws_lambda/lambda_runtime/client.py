"""The client of Lambda's Runtime API, which a function gets invocations from and sends responses to."""

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
    """An invocation of the function.

    Args:
        id: The request id.
        payload: The event as JSON.
        trace: The value of `Lambda-Runtime-Trace-Id`, if there is one.
        context: The context for the handler.
    """

    id: str
    payload: bytes
    trace: str | None
    context: InvocationContext


class RuntimeApiClient:
    """A client of the Runtime API, with one kept-alive connection and another for each streamed response.

    Follows AWS Lambda's Runtime API, version 2018-06-01.

    Args:
        address: The API's host and port, from `AWS_LAMBDA_RUNTIME_API`.

    Example:
        client = RuntimeClient("127.0.0.1:9001")
        invocation = await client.next()
        await client.respond(invocation.id, b'"hello"')
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: RuntimeApiConnection | None = None

    async def next(self) -> Invocation:
        """Wait for the next invocation; meanwhile Lambda may freeze the process.

        Raises:
            NitroError: The Runtime API answers without an invocation.
            OSError: The connection to the Runtime API failed.
        """
        response = await self._request("GET", f"{ROOT}/invocation/next")
        headers = response.headers
        if response.status != 200 or "lambda-runtime-aws-request-id" not in headers:
            raise NitroError(f"The Runtime API returned no invocation: {response.status} {response.body[:200]!r}")
        context = InvocationContext.from_headers(headers)
        trace = headers.get("lambda-runtime-trace-id")
        return Invocation(context.aws_request_id, response.body, trace, context)

    async def respond(self, id: str, body: bytes) -> None:
        """Send the response of an invocation: at most 6 MB of JSON."""
        await self._post(f"{ROOT}/invocation/{id}/response", body)

    async def stream(self, id: str, answer: StreamedAnswer) -> None:
        """Stream the response of an invocation.

        Raises:
            Exception: An error before the response has started. Later ones are logged, and sent in the trailers.
        """
        stream = ResponseStream(self._address, f"{ROOT}/invocation/{id}/response")
        try:
            await answer.produce(stream)
            if not stream.started:
                raise NitroError("The handler ended without a response.")
            await stream.end()
        except (Exception, asyncio.CancelledError) as error:
            if not stream.started:
                raise
            logger.exception("A streamed response failed.")
            try:
                await stream.fail(ErrorReport.of(error))
            except OSError as broken:
                logger.error("The Runtime API did not receive the end of a streamed response: %s", broken)
        finally:
            stream.close()

    async def report_error(self, id: str, report: ErrorReport) -> None:
        """Report that an invocation failed."""
        await self._post(f"{ROOT}/invocation/{id}/error", report.to_json(), report.kind)

    async def report_init_error(self, report: ErrorReport) -> None:
        """Report that the function cannot start."""
        await self._post(f"{ROOT}/init/error", report.to_json(), report.kind)

    async def wait_for_restore(self) -> None:
        """Let SnapStart take a snapshot, and return in each process that is restored from it.

        Raises:
            NitroError: The Runtime API does not support SnapStart.
        """
        response = await self._request("GET", f"{ROOT}/restore/next")
        if response.status != 200:
            raise NitroError(f"The Runtime API does not restore: {response.status} {response.body[:200]!r}")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _post(self, target: str, body: bytes, error: str | None = None) -> None:
        response = await self._request("POST", target, body, error)
        if response.status >= 300:
            logger.error("The Runtime API refused a response: %d %r", response.status, response.body[:200])

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
        try:
            await self._connection.write(write_request(method, target, headers, body))
            return await self._connection.read()
        except BaseException:
            # A response that comes later would be taken for that of the next request.
            self.close()
            raise
