"""Answering signed calls: what @connections, Lambda and SQS have in common."""

from __future__ import annotations

from nitro_presets.aws_lambda.gateway.http1 import BodyTooLargeError, HttpConnection, Request
from nitro_presets.aws_lambda.gateway.identifiers import make_request_id
from nitro_presets.aws_lambda.gateway.limits import MIB
from nitro_presets.aws_lambda.gateway.signature import Denial, Verifier

# The most that is read before a call is refused for its size, in bytes.
MAX_BODY = 16 * MIB


async def answer_error(http: HttpConnection, status: int, denial: Denial) -> None:
    """Answer by an error as AWS's JSON protocols write it: the code in a header and in the body."""
    headers = [("x-amzn-RequestId", make_request_id()), ("x-amzn-ErrorType", denial.code)]
    await http.respond_json(status, {"__type": denial.code, "message": denial.message}, headers)


async def answer_json(http: HttpConnection, status: int, content: object) -> None:
    """Answer what a call asked for."""
    await http.respond_json(status, content, [("x-amzn-RequestId", make_request_id())])


async def answer_bytes(http: HttpConnection, status: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
    """Answer with a body as it is, or without one."""
    await http.respond(status, [("x-amzn-RequestId", make_request_id()), *headers], body)


async def read_signed(http: HttpConnection, request: Request, verifier: Verifier, service: str) -> bytes | None:
    """Read a call's body, and refuse the call if it is not signed for the service.

    Returns:
        The body; `None` when the call has been answered.
    """
    try:
        body = await http.read_body(MAX_BODY)
    except BodyTooLargeError:
        await answer_error(http, 413, Denial("RequestTooLargeException", "The request is too large."))
        return None
    denial = verifier.check(request, body, service)
    if denial is None:
        return body
    await answer_error(http, 403, denial)
    return None
