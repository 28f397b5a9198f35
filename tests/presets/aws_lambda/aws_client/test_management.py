from __future__ import annotations

import asyncio
import contextlib
import json
import time

import boto3  # type: ignore[import-untyped]
import pytest

from nitro_presets.aws_lambda.aws_client.errors import ServiceError, TransportError
from nitro_presets.aws_lambda.aws_client.management import MAX_MESSAGE, ManagementClient
from nitro_presets.aws_lambda.aws_client.service import Retry
from nitro_py.errors import MessageTooLargeError, PeerClosedError
from tests.ports import find_port
from tests.presets.aws_lambda.aws_client.service_double import (
    CREDENTIALS,
    HANG_UP,
    OK,
    QUICK,
    REGION,
    SILENCE,
    Answer,
    FixedSource,
    Peer,
    answer,
)

pytestmark = pytest.mark.anyio

ID = "BFHPhfCWIAMCKlQ="
THROTTLED = answer(429, b'{"message": "Too Many Requests"}', "x-amzn-ErrorType: LimitExceededException:http://x/")


def make_client(peer: Peer, retry: Retry = QUICK, timeout: float = 60.0) -> ManagementClient:
    """Make a client of a stage at the peer."""
    return ManagementClient(
        f"{peer.url}/prod/", region=REGION, credentials=FixedSource(), retry=retry, timeout=timeout
    )


def post_with_boto3(endpoint: str, connection_id: str) -> None:
    """Post with the reference."""
    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
    )
    with contextlib.closing(client):
        client.post_to_connection(ConnectionId=connection_id, Data=b"hi")


@pytest.mark.parametrize(
    ("connection_id", "target"),
    [
        (ID, "/prod/@connections/BFHPhfCWIAMCKlQ%3D"),
        ("a/b+c=", "/prod/@connections/a%2Fb%2Bc%3D"),
        ("../x?y#z %", "/prod/@connections/..%2Fx%3Fy%23z%20%25"),
        ("ü~.-_", "/prod/@connections/%C3%BC~.-_"),
    ],
)
async def test_id_is_percent_encoded_as_boto3_does(connection_id: str, target: str) -> None:
    async with Peer() as peer:
        client = make_client(peer)
        await client.post(connection_id, "hi")
        await client.close()
        await asyncio.to_thread(post_with_boto3, f"{peer.url}/prod", connection_id)
    ours, theirs = peer.requests
    assert ours.target == theirs.target == target
    assert (ours.method, ours.body) == (theirs.method, theirs.body)


async def test_frames_are_posted_signed() -> None:
    async with Peer() as peer:
        client = make_client(peer)
        await client.post(ID, "grüße")
        await client.post(ID, b"\x00\xff")
        await client.close()
    assert [(request.method, request.body) for request in peer.requests] == [
        ("POST", "grüße".encode()),
        ("POST", b"\x00\xff"),
    ]
    headers = peer.requests[0].headers
    assert headers["x-amz-security-token"] == "token"
    assert f"/{REGION}/execute-api/aws4_request, " in headers["authorization"]
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in headers["authorization"]


@pytest.mark.parametrize(
    "script",
    [
        (THROTTLED,),
        (THROTTLED, answer(500), answer(503)),
        (answer(502, b"<html>"), THROTTLED),
    ],
    ids=["429", "429, 500, 503", "502, 429"],
)
async def test_refused_post_is_tried_again(script: tuple[Answer, ...]) -> None:
    async with Peer(*script) as peer:
        client = make_client(peer)
        await client.post(ID, "hi")
        await client.close()
    assert [request.body for request in peer.requests] == [b"hi"] * (len(script) + 1)


async def test_attempts_are_bounded() -> None:
    async with Peer(*[THROTTLED] * 9) as peer:
        client = make_client(peer)
        with pytest.raises(ServiceError, match="Too Many Requests") as caught:
            await client.post(ID, "hi")
        await client.close()
    assert (caught.value.status, caught.value.code) == (429, "LimitExceededException")
    assert len(peer.requests) == QUICK.attempts


async def test_no_attempt_starts_after_the_deadline() -> None:
    async with Peer(*[answer(503, pause=0.3)] * 90) as peer:
        client = make_client(peer, Retry(attempts=90, base=0.01, cap=0.01, deadline=2.0))
        started = time.monotonic()
        with pytest.raises(ServiceError):
            await client.post(ID, "hi")
        took = time.monotonic() - started
        await client.close()
    assert 2 <= len(peer.requests) <= 7
    # All 90 attempts would take 27 s.
    assert took < 20


@pytest.mark.parametrize("failure", [HANG_UP, SILENCE], ids=["hang up", "silence"])
async def test_post_that_may_have_been_delivered_is_not_repeated(failure: Answer) -> None:
    async with Peer(failure) as peer:
        client = make_client(peer, timeout=0.1)
        with pytest.raises(TransportError):
            await client.post(ID, "hi")
        await client.close()
    assert len(peer.requests) == 1


async def test_service_that_cannot_be_reached_is_tried_again() -> None:
    async with Peer(port=find_port()) as gone:
        client = make_client(gone, Retry(attempts=100_000, base=0.02, cap=0.02, deadline=60))
    posting = asyncio.create_task(client.post(ID, "hi"))
    await asyncio.sleep(0.1)
    assert not posting.done()
    async with Peer(port=int(gone.url.rpartition(":")[2])) as peer:
        await posting
        await client.close()
    assert len(peer.requests) == 1
    with pytest.raises(TransportError, match="cannot be reached"):
        await make_client(gone).post(ID, "hi")


async def test_gone_peer_is_closed() -> None:
    async with Peer(*[answer(410)] * 3) as peer:
        client = make_client(peer)
        with pytest.raises(PeerClosedError, match=ID):
            await client.post(ID, "hi")
        assert await client.get(ID) is None
        await client.delete(ID)
        await client.close()
    assert [request.method for request in peer.requests] == ["POST", "GET", "DELETE"]


async def test_large_message_is_refused_before_it_is_sent() -> None:
    async with Peer(OK, answer(413)) as peer:
        client = make_client(peer)
        await client.post(ID, b"x" * MAX_MESSAGE)
        with pytest.raises(MessageTooLargeError, match="131072 bytes, got 131074"):
            await client.post(ID, "ü" * (MAX_MESSAGE // 2 + 1))
        assert len(peer.requests) == 1
        with pytest.raises(MessageTooLargeError):
            await client.post(ID, b"small, and the service says no")
        await client.close()
    assert len(peer.requests[0].body) == MAX_MESSAGE


@pytest.mark.parametrize("status", [400, 403, 404, 301])
async def test_other_refusal_is_for_good(status: int) -> None:
    async with Peer(answer(status, b'{"Message": "No."}', "X-Amzn-ErrorType: ForbiddenException")) as peer:
        client = make_client(peer)
        with pytest.raises(ServiceError, match=rf"{status} `ForbiddenException`: No\.") as caught:
            await client.delete(ID)
        await client.close()
    assert caught.value.status == status
    assert len(peer.requests) == 1


async def test_connection_is_asked_about_and_ended() -> None:
    told = {"connectedAt": "2025-11-24T00:00:00Z", "identity": {"sourceIp": "127.0.0.1"}}
    async with Peer(answer(200, json.dumps(told).encode()), Answer((b"HTTP/1.1 204 X\r\n\r\n",))) as peer:
        client = make_client(peer)
        assert await client.get(ID) == told
        await client.delete(ID)
        await client.close()


async def test_slow_peer_holds_up_nobody() -> None:
    slow = answer(200, pause=4.0)
    async with Peer(slow) as peer:
        client = make_client(peer)
        first = asyncio.create_task(client.post(ID, "slow"))
        await peer.wait_for_requests(1)
        await asyncio.gather(*(client.post(ID, "fast") for _ in range(100)))
        assert not first.done()
        await first
        await client.close()
    assert len(peer.requests) == 101
