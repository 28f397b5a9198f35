from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient, marshal_item
from nitro_presets.aws_lambda.aws_client.errors import ServiceError, TransportError
from nitro_presets.aws_lambda.aws_client.service import Retry, list_reasons
from nitro_presets.aws_lambda.gateway.fault_injection import FAULT_NAMES, Faults
from nitro_presets.aws_lambda.gateway.gateway import FixedCredentials
from nitro_py.errors import UsageError
from tests.checkout import ROOT
from tests.presets.aws_lambda.gateway.bundles import OpenSite, Site, order
from tests.presets.aws_lambda.gateway.test_lambda_api import invoke

pytestmark = pytest.mark.anyio

API = "apigatewaymanagementapi"


async def test_throttled_call_passes_later(open_gateway: OpenSite) -> None:
    async with open_gateway(faults=Faults(throttle=1.0)) as site, site.connect() as socket:
        client, id = site.client(API), await site.id()
        with pytest.raises(ClientError) as refused:
            await asyncio.to_thread(client.post_to_connection, ConnectionId=id, Data=b"x")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        site.gateway.faults.throttle = 0.0
        await asyncio.to_thread(client.post_to_connection, ConnectionId=id, Data=b"x")
        assert await socket.recv() == "x"


async def test_throttled_invocation_is_refused_to_who_waits(open_gateway: OpenSite) -> None:
    functions = {"websocket": {}, "http": {"event": "function-url"}}
    async with open_gateway(functions, faults=Faults(lambda_throttle=1.0)) as site:
        with pytest.raises(ClientError) as refused:
            await invoke(site, {})
        assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{site.gateway.url}/")).status_code == 429
        with pytest.raises(InvalidHandshake):
            await site.connect().__aenter__()
        assert site.events() == []


async def test_throttled_event_waits_and_is_not_lost(open_gateway: OpenSite) -> None:
    async with open_gateway(faults=Faults(lambda_throttle=1.0)) as site:
        await invoke(site, {"number": 1}, "Event")
        await site.wait_for(lambda: site.gateway.throttles("websocket"))
        site.gateway.faults.lambda_throttle = 0.0
        await site.wait_for(lambda: site.events())
        await site.gateway.idle()
        assert [event["number"] for event in site.events()] == [1]
        assert site.gateway.dead_letters == ()


@asynccontextmanager
async def open_table(site: Site) -> AsyncIterator[DynamoClient]:
    """Make a client of the table that tries nothing twice."""
    client = DynamoClient(
        site.gateway.table,
        region=site.gateway.region,
        endpoint=site.gateway.database_url,
        credentials=FixedCredentials(),
        retry=Retry(attempts=1),
    )
    yield client
    await client.close()


async def test_table_is_throttled(open_gateway: OpenSite) -> None:
    items = [marshal_item({"pk": name, "sk": "c"}) for name in "abcd"]
    async with open_gateway() as site, open_table(site) as client:
        site.gateway.faults.dynamodb_throttle = 1.0
        with pytest.raises(ServiceError) as refused:
            await client.call("PutItem", {"Item": items[0]})
        assert (refused.value.status, refused.value.code) == (400, "ProvisionedThroughputExceededException")
        put = {"Put": {"TableName": client.table, "Item": items[0]}}
        with pytest.raises(ServiceError) as cancelled:
            await client.call("TransactWriteItems", {"TransactItems": [put, put]})
        assert list_reasons(cancelled.value) == ("ThrottlingError", "None")
        puts = [{"PutRequest": {"Item": item}} for item in items]
        answer = await client.call("BatchWriteItem", {"RequestItems": {client.table: puts}})
        assert answer["UnprocessedItems"] == {client.table: puts[2:]}
        keys = {client.table: {"Keys": items, "ConsistentRead": True}}
        answer = await client.call("BatchGetItem", {"RequestItems": keys})
        assert len(answer["Responses"][client.table]) == 2
        assert answer["UnprocessedKeys"] == {client.table: {"Keys": items[2:], "ConsistentRead": True}}
        site.gateway.faults.dynamodb_throttle = 0.0
        found = (await client.call("Scan", {"TableName": client.table}))["Items"]
        assert sorted(item["pk"]["S"] for item in found) == ["a", "b"]


async def test_answer_is_lost_once_the_call_is_done(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, open_table(site) as client:
        site.gateway.faults.lost_answer = 1.0
        with pytest.raises(TransportError) as lost:
            await client.call("PutItem", {"Item": marshal_item({"pk": "a", "sk": "c"})})
        assert lost.value.sent
        site.gateway.faults.lost_answer = 0.0
        assert (await client.call("Scan", {}))["Count"] == 1


async def test_messages_are_shuffled(open_gateway: OpenSite) -> None:
    sent = list(range(20))
    async with open_gateway(faults=Faults(shuffle=0.3, seed=1), concurrency=1) as site, site.connect() as socket:
        for number in sent:
            await order(socket, number=number)
        await site.wait_for(lambda: len(site.events("MESSAGE")) == len(sent))
        came = [json.loads(event["body"])["number"] for event in site.events("MESSAGE")]
        assert came != sent
        assert sorted(came) == sent


@pytest.mark.parametrize(
    ("faults", "count"),
    [(Faults(), 1), (Faults(lost_disconnect=1.0), 0), (Faults(double_disconnect=1.0), 2)],
    ids=["none", "lost", "double"],
)
async def test_disconnect_comes_as_often_as_told(open_gateway: OpenSite, faults: Faults, count: int) -> None:
    async with open_gateway(faults=faults) as site:
        async with site.connect():
            pass
        await site.wait_for(lambda: len(site.gateway.connections) == 0)
        await site.gateway.idle()
        assert len(site.events("DISCONNECT")) == count


async def test_disconnect_is_over_before_connect(open_gateway: OpenSite) -> None:
    async with open_gateway(faults=Faults(early_disconnect=1.0)) as site:
        with pytest.raises((ConnectionClosed, InvalidHandshake, OSError)):
            await site.connect().__aenter__()
        await site.wait_for(lambda: site.events("CONNECT", "end"))
        left, came = site.events("DISCONNECT")[0], site.events("CONNECT")[0]
        assert left["requestContext"]["connectionId"] == came["requestContext"]["connectionId"]
        assert [note["event"]["requestContext"]["eventType"] for note in site.notes("end")] == [
            "DISCONNECT",
            "CONNECT",
        ]


async def test_process_is_killed_in_the_middle(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        site.gateway.faults.kill = 1.0
        await order(socket, sleep=5)
        assert json.loads(await asyncio.wait_for(socket.recv(), 60))["message"] == "Internal server error"
        site.gateway.faults.kill = 0.0
        await order(socket, sleep=0)
        await site.wait_for(lambda: site.events("MESSAGE", "end"))
        first, second = [note["pid"] for note in site.notes() if "body" in note["event"]]
        assert first != second
        assert len(site.events("MESSAGE", "end")) == 1


async def test_everything_is_slow(open_gateway: OpenSite) -> None:
    async with open_gateway(faults=Faults(slow=0.5, seed=1)) as site:
        started = time.monotonic()
        for _ in range(3):
            await site.gateway.invoke("websocket", b"{}")
        assert time.monotonic() - started > 0.4


async def test_seed_repeats_the_choices() -> None:
    def draw() -> list[bool]:
        faults = Faults(kill=0.5, seed=7)
        return [faults.hits("kill") for _ in range(50)]

    assert draw() == draw()
    assert {*draw()} == {True, False}


async def test_nothing_goes_wrong_unasked() -> None:
    faults = Faults()
    shares = [name for name in FAULT_NAMES if name not in ("kill_seconds", "seed", "shuffle", "slow")]
    assert {"dynamodb_throttle", "kill", "lambda_throttle", "lost_answer", "throttle"} < {*shares}
    assert not any(faults.hits(name) for name in shares for _ in range(100))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            "thunder=1",
            "There is no fault `thunder`.\n  hint: Choose from `double_disconnect`, `dynamodb_throttle`",
        ),
        ("kill=often", "The fault `kill` needs a number, got `often`."),
        ("kill", "The fault `kill` needs a number, got ``."),
        ("kill=2", "The fault `kill` is 2.0: expected a share from 0 to 1."),
        ("slow=-1", "The fault `slow` is -1.0: expected seconds, 0 or more."),
    ],
)
async def test_fault_that_makes_no_sense_is_named(setting: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        Faults.parse([setting])
    assert str(error.value).startswith(told)


async def test_settings_are_read() -> None:
    assert Faults.parse(["kill=0.5", "seed=3", "shuffle=2"]) == Faults(kill=0.5, seed=3, shuffle=2.0)


async def test_every_fault_is_documented() -> None:
    text = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    table = text.partition("| fault | value |")[2].partition("\n\n")[0]
    assert sorted(set(re.findall(r"`(\w+)`", table.replace("`$disconnect`", "").replace("`$connect`", "")))) == [
        *FAULT_NAMES
    ]
