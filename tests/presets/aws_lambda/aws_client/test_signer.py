"""Our signatures, compared with botocore's."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from datetime import UTC, datetime

import botocore.auth  # type: ignore[import-untyped]
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials as BotocoreCredentials  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.aws_client.signer import Signer

SERVICES = ["execute-api", "lambda", "dynamodb", "sqs"]
REGIONS = ["eu-central-1", "us-east-1", "cn-north-1"]
PATHS = [
    "/",
    "/prod/@connections/BFHPhfCWIAMCKlQ%3D",
    "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123%3Afunction%3Achat/invocations",
    "/a//b/./c/../d/",
    "/../..",
    "/%7Euser/~user/a+b/%20/%25/%2F",
    "/.hidden/..dots/...",
]
HEADERS = [
    "content-type",
    "x-amz-target",
    "x-amz-invocation-type",
    "x-amzn-trace-id",
    "user-agent",
    "accept",
    "te",
]
VALUES = ["a", " a  b\tc ", "application/x-amz-json-1.0", "Root=1-5759e988-bd862e3fe1be46a994272793", ""]


def sign_with_botocore(
    monkeypatch: pytest.MonkeyPatch,
    credentials: Credentials,
    signer: tuple[str, str],
    request: tuple[str, str, str, Mapping[str, str], bytes],
    now: int,
) -> dict[str, str]:
    """Sign with the reference at a given second; return the headers that it added."""
    method, path, query, headers, body = request
    moment = datetime.fromtimestamp(now, UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    keys = BotocoreCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    url = f"https://{headers['host']}{path}{'?' if query else ''}{query}"
    signed = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    botocore.auth.SigV4Auth(keys, signer[1], signer[0]).add_auth(signed)
    return {name.lower(): value for name, value in signed.headers.items() if name.lower() not in headers}


def draw_text(source: random.Random, alphabet: str, length: int) -> str:
    """Draw a text of up to so many characters."""
    return "".join(source.choices(alphabet, k=source.randint(1, length)))


def draw_path(source: random.Random) -> str:
    """Draw one of the known paths, or one of random characters that may stand in a path."""
    characters = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@%/"
    return source.choice(PATHS) if source.random() < 0.4 else "/" + draw_text(source, characters, 60)


def draw_query(source: random.Random) -> str:
    """Draw a query, often none, with doubled names and missing values."""
    pairs = [f"{draw_text(source, 'abAB-%20', 3)}={draw_text(source, 'xyz%3D~', 4)}" for _ in range(4)]
    return source.choice(["", "", "&".join(pairs), "a=2&a=1&a", "b&a=", "a=1=2"])


def test_signatures_equal_botocore_for_a_thousand_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(20240229)
    signers = {(region, service): Signer(region, service) for region in REGIONS for service in SERVICES}
    credentials = [
        Credentials("AKID", "secret", "token" * 100),
        Credentials("ASIA", "s/e+cret"),
        Credentials("AKID", "other", "token"),
    ]
    for _ in range(1_000):
        signer = source.choice(list(signers))
        who = source.choice(credentials)
        now = 1_700_000_000 + source.choice([0, 0, 1, 86_399, 86_400, source.randint(0, 10**8)])
        headers = {"host": source.choice(["abc.execute-api.eu-central-1.amazonaws.com", "127.0.0.1:8000"])}
        headers |= {name: source.choice(VALUES) for name in source.sample(HEADERS, source.randint(0, 4))}
        method = source.choice(["GET", "POST", "DELETE"])
        request = (method, draw_path(source), draw_query(source), headers, source.randbytes(source.randint(0, 80)))
        expected = sign_with_botocore(monkeypatch, who, signer, request, now)
        assert signers[signer].sign(who, *request, now + source.random() * 0.9) == expected, request


def test_new_secret_is_signed_with_at_once() -> None:
    signer = Signer("eu-central-1", "dynamodb")
    request = ("POST", "/", "", {"host": "a"}, b"")
    first = signer.sign(Credentials("AKID", "one"), *request, 1_700_000_000)
    second = signer.sign(Credentials("AKID", "two"), *request, 1_700_000_000)
    assert first["authorization"] != second["authorization"]
    assert Signer("eu-central-1", "dynamodb").sign(Credentials("AKID", "two"), *request, 1_700_000_000) == second
