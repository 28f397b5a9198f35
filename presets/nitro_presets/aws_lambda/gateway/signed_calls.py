"""Signed calls of AWS's APIs: their signatures (Signature Version 4), permissions and responses.

The verifier shares no code with the signer that it tests.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.gateway.formats import make_request_id
from nitro_presets.aws_lambda.gateway.http_server import BodyTooLargeError, GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.permissions import Need, Role
from nitro_presets.aws_lambda.gateway.quotas import MIB

logger = logging.getLogger("nitro_py.aws.gateway")

ALGORITHM = "AWS4-HMAC-SHA256"
# The largest difference of a signature's time, in seconds.
SKEW = 300.0
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<scope>[^,\s]+),\s*"
    r"SignedHeaders=(?P<names>[^,\s]+),\s*Signature=(?P<signature>\w+)"
)


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error response of an AWS API.

    Args:
        code: The error code.
        message: The error message.
    """

    code: str
    message: str


# Services whose protocol has no other status than 400 for what a caller does wrong.
_JSON_SERVICES = frozenset({"dynamodb", "secretsmanager", "sqs", "ssm"})
# The operations of services that name none in a call.
_OPERATIONS = {"lambda": "Invoke"}
_MISSING = ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
_TOKEN = ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")
_MISMATCH = ApiError(
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided.",
)


class SignatureVerifier:
    """A verifier of signatures.

    Args:
        credentials: The valid credentials, with one access key each.
        region: The region that signatures must name.
    """

    def __init__(self, credentials: Sequence[Credentials], region: str) -> None:
        self._credentials = {one.access_key: one for one in credentials}
        self._region = region

    def check(self, request: GatewayRequest, body: bytes, service: str) -> ApiError | None:
        """Return the error of a call's signature; `None` if it is valid.

        Args:
            request: The call.
            body: The body of the call.
            service: The expected signing name, such as `execute-api`.
        """
        given = request.get("authorization")
        if given is None:
            return _MISSING
        found = _AUTHORIZATION.fullmatch(given)
        stamp = request.get("x-amz-date")
        if found is None or stamp is None:
            return ApiError("IncompleteSignatureException", "Authorization header or X-Amz-Date is malformed.")
        key, *scope = found["scope"].split("/")
        credentials = self._credentials.get(key)
        if credentials is None or request.get("x-amz-security-token") != credentials.token:
            return _TOKEN
        expected = [stamp[:8], self._region, service, "aws4_request"]
        if scope != expected:
            return ApiError("InvalidSignatureException", f"Credential should be scoped to `{'/'.join(expected)}`.")
        if not _is_now(stamp):
            return ApiError("InvalidSignatureException", f"Signature expired or not yet current: {stamp}")
        names = found["names"].split(";")
        if "host" not in names:
            return ApiError("InvalidSignatureException", "'Host' must be a signed header.")
        signature = _sign(credentials, request, body, names, stamp, expected)
        return None if hmac.compare_digest(signature, found["signature"]) else _MISMATCH


class CallGuard:
    """A guard of AWS's APIs: calls need a valid signature, and what functions call the permission of their role.

    Args:
        verifier: The verifier of signatures.
        roles: The roles of functions, by their access key. Who signs with another valid key may call anything.
    """

    def __init__(self, verifier: SignatureVerifier, roles: Mapping[str, Role]) -> None:
        # What functions have called, by service and operation.
        self.calls: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._verifier = verifier
        self._roles = roles

    def check(
        self, request: GatewayRequest, body: bytes, service: str, needs: Callable[[bytes], Sequence[Need]]
    ) -> tuple[int, ApiError] | None:
        """Return the status and error of a call that is refused; `None` if it may go on.

        Args:
            request: The call.
            body: The body of the call.
            service: The expected signing name, such as `execute-api`.
            needs: Lists the permissions that the call needs, given its body.
        """
        error = self._verifier.check(request, body, service)
        if error is not None:
            return 403, error
        found = _AUTHORIZATION.fullmatch(request.get("authorization") or "")
        role = self._roles.get(found["scope"].partition("/")[0]) if found is not None else None
        if role is not None:
            operation = (request.get("x-amz-target") or "").rpartition(".")[2]
            self.calls[service][operation or _OPERATIONS.get(service, request.method)] += 1
        denial = role.explain_denial(needs(body)) if role is not None else None
        if denial is None:
            return None
        logger.error("[iam] %s", denial)
        return 400 if service in _JSON_SERVICES else 403, ApiError("AccessDeniedException", f"User: {denial}")


def _sign(
    credentials: Credentials, request: GatewayRequest, body: bytes, names: list[str], stamp: str, scope: list[str]
) -> str:
    lines = [f"{name}:{' '.join((request.get(name) or '').split())}" for name in names]
    query = "&".join(sorted(part if "=" in part else f"{part}=" for part in request.query.split("&") if part))
    canonical = [
        request.method,
        # Every service but S3 percent-encodes the path once more than it is sent.
        quote(request.path, safe="/~"),
        query,
        *lines,
        "",
        ";".join(names),
        sha256(body).hexdigest(),
    ]
    digest = sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{credentials.secret_key}".encode()
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


# The largest body that is read, in bytes; a larger one is refused.
MAX_BODY = 16 * MIB


async def answer_error(http: HttpConnection, status: int, error: ApiError) -> None:
    """Send an error as in AWS's JSON protocols: the code in a header field and in the body."""
    headers = [("x-amzn-RequestId", make_request_id()), ("x-amzn-ErrorType", error.code)]
    await http.respond_json(status, {"__type": error.code, "message": error.message}, headers)


async def answer_json(http: HttpConnection, status: int, content: object) -> None:
    """Send a response with a body of JSON."""
    await http.respond_json(status, content, [("x-amzn-RequestId", make_request_id())])


async def answer_bytes(http: HttpConnection, status: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
    """Send a response with a body as it is, or without one."""
    await http.respond(status, [("x-amzn-RequestId", make_request_id()), *headers], body)


async def read_signed(
    http: HttpConnection,
    request: GatewayRequest,
    guard: CallGuard,
    service: str,
    needs: Callable[[bytes], Sequence[Need]],
) -> bytes | None:
    """Read the body of a call, and refuse the call if its signature is not valid or a permission is missing.

    Args:
        http: The connection.
        request: The call.
        guard: The guard of calls.
        service: The expected signing name, such as `execute-api`.
        needs: Lists the permissions that the call needs, given its body.

    Returns:
        The body; `None` if the call was refused.
    """
    try:
        body = await http.read_body(MAX_BODY)
    except BodyTooLargeError:
        await answer_error(http, 413, ApiError("RequestTooLargeException", "The request is too large."))
        return None
    refusal = guard.check(request, body, service, needs)
    if refusal is None:
        return body
    await answer_error(http, *refusal)
    return None
