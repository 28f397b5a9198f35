from __future__ import annotations

import asyncio
import json
import time

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_py.errors import UsageError
from tests.presets.aws_lambda.gateway.bundles import OpenSite, order

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
    shares = ("double_disconnect", "early_disconnect", "kill", "lost_disconnect", "throttle")
    assert not any(faults.hits(name) for name in shares for _ in range(100))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("thunder=1", "There is no fault `thunder`.\n  hint: Choose from `double_disconnect`, `early_disconnect`"),
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
