"""Checking Signature Version 4, written apart from the signer that it judges."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.gateway.formats import make_request_id
from nitro_presets.aws_lambda.gateway.http_server import BodyTooLargeError, GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.quotas import MIB

ALGORITHM = "AWS4-HMAC-SHA256"
# How far a signature's clock may be off, in seconds.
SKEW = 300.0
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<scope>[^,\s]+),\s*"
    r"SignedHeaders=(?P<names>[^,\s]+),\s*Signature=(?P<signature>\w+)"
)


@dataclass(frozen=True, slots=True)
class ApiError:
    """Says why a call is refused.

    Args:
        code: The error's name.
        message: What the caller is told.
    """

    code: str
    message: str


_MISSING = ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
_TOKEN = ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")
_MISMATCH = ApiError(
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided.",
)


class SignatureVerifier:
    """Checks who signed a call.

    Args:
        credentials: The only ones there are.
        region: The region that signatures must name.
    """

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region

    def check(self, request: GatewayRequest, body: bytes, service: str) -> ApiError | None:
        """Find what is wrong with a call's signature; `None` when it is good.

        Args:
            request: The call.
            body: Its body.
            service: The signing name that it must have, such as `execute-api`.
        """
        given = request.get("authorization")
        if given is None:
            return _MISSING
        found = _AUTHORIZATION.fullmatch(given)
        stamp = request.get("x-amz-date")
        if found is None or stamp is None:
            return ApiError("IncompleteSignatureException", "Authorization header or X-Amz-Date is malformed.")
        key, *scope = found["scope"].split("/")
        if key != self._credentials.access_key:
            return _TOKEN
        if request.get("x-amz-security-token") != self._credentials.token:
            return _TOKEN
        expected = [stamp[:8], self._region, service, "aws4_request"]
        if scope != expected:
            return ApiError("InvalidSignatureException", f"Credential should be scoped to `{'/'.join(expected)}`.")
        if not _is_now(stamp):
            return ApiError("InvalidSignatureException", f"Signature expired or not yet current: {stamp}")
        names = found["names"].split(";")
        if "host" not in names:
            return ApiError("InvalidSignatureException", "'Host' must be a signed header.")
        signature = self._sign(request, body, names, stamp, expected)
        return None if hmac.compare_digest(signature, found["signature"]) else _MISMATCH

    def _sign(self, request: GatewayRequest, body: bytes, names: list[str], stamp: str, scope: list[str]) -> str:
        lines = [f"{name}:{' '.join((request.get(name) or '').split())}" for name in names]
        query = "&".join(sorted(part if "=" in part else f"{part}=" for part in request.query.split("&") if part))
        canonical = [
            request.method,
            # Every service but S3 signs the path as encoded once more than it is sent.
            quote(request.path, safe="/~"),
            query,
            *lines,
            "",
            ";".join(names),
            sha256(body).hexdigest(),
        ]
        digest = sha256("\n".join(canonical).encode()).hexdigest()
        key = f"AWS4{self._credentials.secret_key}".encode()
        for part in scope:
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join([ALGORITHM, stamp, "/".join(scope), digest])
        return hmac.digest(key, text.encode(), "sha256").hex()


def _is_now(stamp: str) -> bool:
    try:
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs((datetime.now(UTC) - signed).total_seconds()) <= SKEW


# The most that is read before a call is refused for its size, in bytes.
MAX_BODY = 16 * MIB


async def answer_error(http: HttpConnection, status: int, denial: ApiError) -> None:
    """Answer by an error as AWS's JSON protocols write it: the code in a header and in the body."""
    headers = [("x-amzn-RequestId", make_request_id()), ("x-amzn-ErrorType", denial.code)]
    await http.respond_json(status, {"__type": denial.code, "message": denial.message}, headers)


async def answer_json(http: HttpConnection, status: int, content: object) -> None:
    """Answer what a call asked for."""
    await http.respond_json(status, content, [("x-amzn-RequestId", make_request_id())])


async def answer_bytes(http: HttpConnection, status: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
    """Answer with a body as it is, or without one."""
    await http.respond(status, [("x-amzn-RequestId", make_request_id()), *headers], body)


async def read_signed(
    http: HttpConnection, request: GatewayRequest, verifier: SignatureVerifier, service: str
) -> bytes | None:
    """Read a call's body, and refuse the call if it is not signed for the service.

    Returns:
        The body; `None` when the call has been answered.
    """
    try:
        body = await http.read_body(MAX_BODY)
    except BodyTooLargeError:
        await answer_error(http, 413, ApiError("RequestTooLargeException", "The request is too large."))
        return None
    denial = verifier.check(request, body, service)
    if denial is None:
        return body
    await answer_error(http, 403, denial)
    return None
