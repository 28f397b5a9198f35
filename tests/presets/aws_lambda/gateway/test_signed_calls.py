from __future__ import annotations

import random
import string
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials as BotocoreCredentials  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest
from nitro_presets.aws_lambda.gateway.signed_calls import SignatureVerifier

CREDENTIALS = Credentials("AKIDEXAMPLE", "secret", "token")
REGION = "eu-central-1"


def make_signed(random: random.Random, service: str = "execute-api") -> tuple[GatewayRequest, bytes]:
    """Make a request at random, signed by botocore."""
    letters = string.ascii_letters + "=@-_.~ é+%"
    segments = ["".join(random.choices(letters, k=random.randint(1, 8))) for _ in range(random.randint(1, 4))]
    path = "/" + "/".join(quote(segment.strip(".") or "a", safe="@") for segment in segments)
    pairs = [
        (random.choice("abc"), quote("".join(random.choices(letters, k=3)))) for _ in range(random.randint(0, 3))
    ]
    query = "&".join(f"{name}={value}" for name, value in pairs)
    body = random.randbytes(random.randint(0, 50))
    method = random.choice(["DELETE", "GET", "POST"])
    target = path + (f"?{query}" if query else "")
    signed = AWSRequest(method, f"http://localhost:3000{target}", {"X-Amz-Thing": " a  b "}, body)
    credentials = BotocoreCredentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, CREDENTIALS.token)
    SigV4Auth(credentials, service, REGION).add_auth(signed)
    headers = {"Host": "localhost:3000", **dict(signed.headers.items())}
    return GatewayRequest(method, target, tuple(headers.items()), "127.0.0.1"), body


def test_what_botocore_signs_is_good() -> None:
    source = random.Random(3)
    verifier = SignatureVerifier([CREDENTIALS], REGION)
    for _ in range(300):
        request, body = make_signed(source)
        assert verifier.check(request, body, "execute-api") is None, request


@pytest.mark.parametrize("part", ["body", "method", "path", "header", "service"])
def test_what_was_changed_is_not(part: str) -> None:
    source = random.Random(4)
    verifier = SignatureVerifier([CREDENTIALS], REGION)
    for _ in range(20):
        request, body = make_signed(source)
        service = "lambda" if part == "service" else "execute-api"
        headers = tuple((name, "c" if name == "X-Amz-Thing" else value) for name, value in request.headers)
        changed = GatewayRequest(
            "PUT" if part == "method" else request.method,
            "/x" + request.target if part == "path" else request.target,
            headers if part == "header" else request.headers,
            request.client,
        )
        denial = verifier.check(changed, body + b"x" if part == "body" else body, service)
        assert denial is not None
        assert denial.code == "InvalidSignatureException"


def test_old_signature_has_expired() -> None:
    request, body = make_signed(random.Random(5))
    today = (request.get("x-amz-date") or "")[:8]
    headers = tuple((name, value.replace(today, "20200101")) for name, value in request.headers)
    stale = GatewayRequest(request.method, request.target, headers, request.client)
    denial = SignatureVerifier([CREDENTIALS], REGION).check(stale, body, "execute-api")
    assert denial is not None
    assert denial.message.startswith("Signature expired")
