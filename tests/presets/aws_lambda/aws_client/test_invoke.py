from __future__ import annotations

import json

import pytest

from nitro_presets.aws_lambda.aws_client.errors import ServiceError, TransportError
from nitro_presets.aws_lambda.aws_client.invoke import LambdaClient
from nitro_presets.aws_lambda.aws_client.service import find_endpoint, find_region
from nitro_presets.aws_lambda.aws_client.sqs import SqsClient
from tests.presets.aws_lambda.aws_client.service_double import (
    HANG_UP,
    OK,
    QUICK,
    REGION,
    FixedSource,
    Peer,
    answer,
)

pytestmark = pytest.mark.anyio

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:a:0"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:chat"


async def test_function_is_invoked_with_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(answer(429), answer(202), answer(202)) as peer:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"{peer.url}/_aws")
        client = LambdaClient(region=REGION, credentials=FixedSource(), retry=QUICK)
        await client.invoke_async("chat", b'{"a": 1}', trace=TRACE)
        await client.invoke_async(ARN, b"{}", trace=None)
        await client.close()
    busy, named, by_arn = peer.requests
    assert busy.body == named.body == b'{"a": 1}'
    assert (named.method, named.target) == ("POST", "/_aws/2015-03-31/functions/chat/invocations")
    assert named.headers["x-amz-invocation-type"] == "Event"
    assert named.headers["x-amzn-trace-id"] == TRACE
    assert "trace-id" not in named.headers["authorization"]
    assert f"/{REGION}/lambda/aws4_request" in named.headers["authorization"]
    assert by_arn.target == f"/_aws/2015-03-31/functions/{ARN.replace(':', '%3A')}/invocations"
    assert "x-amzn-trace-id" not in by_arn.headers


async def test_invocation_that_may_have_been_accepted_is_not_repeated() -> None:
    async with Peer(HANG_UP) as peer:
        client = LambdaClient(region=REGION, endpoint=peer.url, credentials=FixedSource(), retry=QUICK)
        with pytest.raises(TransportError):
            await client.invoke_async("chat", b"{}", trace=None)
        await client.close()
    assert len(peer.requests) == 1


async def test_message_is_queued_and_sent_again_without_an_answer() -> None:
    async with Peer(HANG_UP, answer(400, b'{"__type": "com.amazonaws.sqs#RequestThrottled"}'), OK) as peer:
        client = SqsClient(region=REGION, endpoint=peer.url, credentials=FixedSource(), retry=QUICK)
        await client.send("https://sqs/1/chat.fifo", "grüße", "BFHP=", "1")
        await client.close()
    assert len(peer.requests) == 3
    request = peer.requests[-1]
    assert (request.method, request.target) == ("POST", "/")
    assert request.headers["x-amz-target"] == "AmazonSQS.SendMessage"
    assert request.headers["content-type"] == "application/x-amz-json-1.0"
    assert json.loads(request.body) == {
        "QueueUrl": "https://sqs/1/chat.fifo",
        "MessageBody": "grüße",
        "MessageGroupId": "BFHP=",
        "MessageDeduplicationId": "1",
    }


async def test_refused_message_is_an_error_with_its_code() -> None:
    body = b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "No such queue."}'
    async with Peer(answer(400, body)) as peer:
        client = SqsClient(region=REGION, endpoint=peer.url, credentials=FixedSource(), retry=QUICK)
        with pytest.raises(ServiceError, match=r"400 `QueueDoesNotExist`: No such queue\.") as caught:
            await client.send("https://sqs/1/none.fifo", "a", "b", "c")
        await client.close()
    assert caught.value.code == "QueueDoesNotExist"


def test_endpoint_is_the_regions_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.delenv(name, raising=False)
    assert find_endpoint("sqs", "eu-central-1") == "https://sqs.eu-central-1.amazonaws.com"
    assert find_endpoint("sqs", "cn-north-1") == "https://sqs.cn-north-1.amazonaws.com.cn"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert find_endpoint("sqs", "eu-central-1") == "http://127.0.0.1:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:2")
    assert find_endpoint("sqs", "eu-central-1") == "http://127.0.0.1:2"


def test_region_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert find_region() == "eu-west-1"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ServiceError, match="AWS_REGION"):
        find_region()
