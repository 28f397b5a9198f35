"""Against moto's server, a process of its own that speaks DynamoDB's protocol."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from nitro_presets.aws_lambda.aws_client.attributes import marshal, marshal_item, unmarshal
from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.aws_client.errors import ConditionFailedError, ServiceError
from tests.ports import find_port
from tests.presets.aws_lambda.aws_client.service_double import HANG_UP, QUICK, REGION, FixedSource, Peer, answer

pytestmark = pytest.mark.anyio

TABLE = "nitro"
ROW = {"pk": "c#1", "sk": "c", "n": 1, "at": 1.5, "data": b"\x00", "topics": frozenset({"a"}), "c": {"x": [None]}}
KEY = marshal_item({"pk": "c#1", "sk": "c"})
ABSENT = "attribute_not_exists(pk)"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server."""
    port = find_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def wait_for_port(port: int) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("moto's server does not start")


@pytest.fixture
async def client(moto: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DynamoClient]:
    """Make a client, and the table anew."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto)
    client = DynamoClient(TABLE, region=REGION, credentials=FixedSource(), retry=QUICK)
    names = ("pk", "sk")
    await client.call(
        "CreateTable",
        {
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
            "KeySchema": [
                {"AttributeName": name, "KeyType": kind}
                for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
            ],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    yield client
    await client.call("DeleteTable", {})
    await client.close()


async def test_row_is_put_and_got(client: DynamoClient) -> None:
    await client.call("PutItem", {"Item": marshal_item(ROW)})
    answer = await client.call("GetItem", {"Key": KEY, "ConsistentRead": True})
    assert unmarshal(answer["Item"]) == ROW
    assert "Item" not in await client.call("GetItem", {"Key": marshal_item({"pk": "x", "sk": "c"})})
    assert client.calls == {"CreateTable": 1, "PutItem": 1, "GetItem": 2}


async def test_condition_that_is_not_met_tells_the_row(client: DynamoClient) -> None:
    put: dict[str, Any] = {"Item": marshal_item(ROW), "ConditionExpression": ABSENT}
    await client.call("PutItem", put)
    with pytest.raises(ConditionFailedError) as caught:
        await client.call("PutItem", put | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    assert caught.value.code == "ConditionalCheckFailedException"
    assert caught.value.item == ROW
    with pytest.raises(ConditionFailedError) as caught:
        await client.call("PutItem", put)
    assert caught.value.item is None


async def test_transaction_tells_which_condition_is_not_met(client: DynamoClient) -> None:
    def put(key: str) -> dict[str, Any]:
        item = marshal_item({"pk": key, "sk": "c"})
        return {"Put": {"TableName": TABLE, "Item": item, "ConditionExpression": ABSENT}}

    await client.call("TransactWriteItems", {"TransactItems": [put("a"), put("b")]})
    with pytest.raises(ConditionFailedError) as caught:
        await client.call("TransactWriteItems", {"TransactItems": [put("c"), put("b")]})
    assert caught.value.code == "TransactionCanceledException"
    assert caught.value.reasons == ("None", "ConditionalCheckFailed")


async def test_rows_are_updated_and_queried(client: DynamoClient) -> None:
    for number in range(3):
        await client.call("PutItem", {"Item": marshal_item({"pk": "t", "sk": str(number)})})
    await client.call(
        "UpdateItem",
        {
            "Key": marshal_item({"pk": "t", "sk": "1"}),
            "UpdateExpression": "SET #n = :n ADD topics :t",
            "ExpressionAttributeNames": {"#n": "name"},
            "ExpressionAttributeValues": marshal_item({":n": "grüße", ":t": {"a"}}),
        },
    )
    page = await client.call(
        "Query",
        {
            "KeyConditionExpression": "pk = :pk AND sk > :sk",
            "ExpressionAttributeValues": {":pk": marshal("t"), ":sk": marshal("0")},
            "Limit": 1,
        },
    )
    assert [unmarshal(item) for item in page["Items"]] == [
        {"pk": "t", "sk": "1", "name": "grüße", "topics": frozenset({"a"})}
    ]
    assert unmarshal(page["LastEvaluatedKey"]) == {"pk": "t", "sk": "1"}


async def test_refusal_is_an_error_with_its_code(client: DynamoClient) -> None:
    with pytest.raises(ServiceError) as caught:
        await client.call("GetItem", {"TableName": "other", "Key": KEY})
    assert caught.value.code == "ResourceNotFoundException"
    assert not isinstance(caught.value, ConditionFailedError)


async def test_busy_table_and_lost_answers_are_tried_again() -> None:
    busy = answer(400, b'{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}')
    conflict = answer(
        400,
        b'{"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",'
        b'"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]}',
    )
    async with Peer(busy, HANG_UP, conflict, answer(200, b"{}")) as peer:
        client = DynamoClient(TABLE, region=REGION, endpoint=peer.url, credentials=FixedSource(), retry=QUICK)
        assert await client.call("GetItem", {"Key": KEY}) == {}
        await client.close()
    assert len(peer.requests) == 4
    assert client.calls == {"GetItem": 1}
    assert peer.requests[0].headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert peer.requests[0].headers["content-type"] == "application/x-amz-json-1.0"
