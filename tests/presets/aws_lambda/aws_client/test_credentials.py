from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nitro_presets.aws_lambda.aws_client import credentials as module
from nitro_presets.aws_lambda.aws_client.credentials import EnvironmentSource, find_credentials_endpoint
from nitro_presets.aws_lambda.aws_client.errors import CredentialError
from tests.presets.aws_lambda.aws_client.service_double import Answer, Peer, answer

pytestmark = pytest.mark.anyio

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"


def give(key: str, seconds: float, pause: float = 0.0) -> Answer:
    """Answer with credentials that last so long."""
    moment = datetime.fromtimestamp(int(time.time() + seconds), UTC)
    body = {
        "AccessKeyId": key,
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return answer(200, json.dumps(body).encode(), pause=pause)


async def test_environment_is_read_once_and_late() -> None:
    environ: dict[str, str] = {}
    source = EnvironmentSource(environ)
    environ |= KEYS
    found = await source.get()
    assert (found.access_key, found.secret_key, found.token, found.expires_at) == ("AKID", "secret", "token", None)
    assert await source.get() is found
    assert "secret" not in repr(found)
    assert "token" not in repr(found)


async def test_keys_without_a_token_are_long_lived() -> None:
    assert (await EnvironmentSource(KEYS | {"AWS_SESSION_TOKEN": ""}).get()).token is None


async def test_container_endpoint_is_asked_once_for_all(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file")
    async with Peer(give("ONE", 3600, pause=0.05)) as peer:
        environ = {
            FULL: f"{peer.url}/v1/credentials?id=1",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "from-environment",
        }
        source = EnvironmentSource(environ)
        tasks = [asyncio.create_task(source.get()) for _ in range(5)]
        await asyncio.sleep(0.02)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks[1:])
        assert await source.get() is found[0]
    assert {id(one) for one in found} == {id(found[0])}
    assert (found[0].access_key, found[0].token) == ("ONE", "token")
    (request,) = peer.requests
    assert (request.method, request.target) == ("GET", "/v1/credentials?id=1")
    assert request.headers["authorization"] == "from-file"


async def test_credentials_are_renewed_before_they_end() -> None:
    lasting = module.REFRESH_BEFORE + 60
    async with Peer(give("ONE", lasting - 61), give("TWO", lasting), give("THREE", lasting)) as peer:
        environ = {FULL: peer.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "given"}
        source = EnvironmentSource(environ)
        assert (await source.get()).access_key == "ONE"
        # Nothing newer is to be had so soon after the last attempt, and these are still good.
        assert (await source.get()).access_key == "ONE"
        source._next_attempt = 0.0
        assert (await source.get()).access_key == "TWO"
        assert (await source.get()).access_key == "TWO"
    assert [request.headers["authorization"] for request in peer.requests] == ["given"] * 2


async def test_credentials_that_ended_in_a_snapshot_are_renewed() -> None:
    async with Peer(give("ONE", -1), give("TWO", 3600)) as peer:
        source = EnvironmentSource({FULL: peer.url})
        assert (await source.get()).access_key == "ONE"
        assert (await source.get()).access_key == "TWO"
    assert "authorization" not in peer.requests[0].headers


async def test_good_credentials_outlive_a_failing_endpoint(caplog: pytest.LogCaptureFixture) -> None:
    async with Peer(give("ONE", 100), answer(400)) as peer:
        source = EnvironmentSource({FULL: peer.url})
        first = await source.get()
        source._next_attempt = 0.0
        with caplog.at_level(logging.WARNING):
            assert await source.get() is first
    assert "It answered 400" in caplog.text


async def test_endpoint_is_asked_again_after_a_failure() -> None:
    async with Peer(answer(500), Answer((), hang_up=True), give("ONE", 3600)) as peer:
        assert (await EnvironmentSource({FULL: peer.url}).get()).access_key == "ONE"
    assert len(peer.requests) == 3


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer(403), "It answered 403"),
        (answer(200, b"no json"), "holds no credentials"),
        (answer(200, b'{"AccessKeyId": "A", "SecretAccessKey": "hidden"}'), "KeyError"),
    ],
)
async def test_endpoint_without_credentials_is_an_error(reply: Answer, reason: str) -> None:
    async with Peer(reply) as peer:
        with pytest.raises(CredentialError, match=reason) as caught:
            await EnvironmentSource({FULL: peer.url}).get()
    assert "hidden" not in str(caught.value)


async def test_token_that_is_no_header_is_an_error() -> None:
    async with Peer() as peer:
        environ = {FULL: peer.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nx: 1"}
        with pytest.raises(CredentialError, match="line break"):
            await EnvironmentSource(environ).get()
    assert peer.requests == []


async def test_missing_token_file_is_an_error(tmp_path: Path) -> None:
    environ = {FULL: "http://localhost:1", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "none")}
    with pytest.raises(CredentialError, match="cannot be read"):
        await EnvironmentSource(environ).get()


async def test_nothing_set_is_an_error() -> None:
    with pytest.raises(CredentialError, match="AWS_ACCESS_KEY_ID"):
        await EnvironmentSource({}).get()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({RELATIVE: "/v2/credentials/1"}, "http://169.254.170.2/v2/credentials/1"),
        ({FULL: "http://127.0.0.1:9001/x"}, "http://127.0.0.1:9001/x"),
        ({FULL: "http://[::1]:9001/x"}, "http://[::1]:9001/x"),
        ({FULL: "http://169.254.170.23/x"}, "http://169.254.170.23/x"),
        ({FULL: "https://elsewhere.example/x"}, "https://elsewhere.example/x"),
    ],
)
def test_endpoint_is_found(environ: dict[str, str], url: str) -> None:
    assert find_credentials_endpoint(environ) == url


@pytest.mark.parametrize("url", ["http://elsewhere.example/", "http://10.0.0.1/", "//x"])
def test_token_is_told_to_nobody_far_away(url: str) -> None:
    with pytest.raises(CredentialError, match="loopback"):
        find_credentials_endpoint({FULL: url})
