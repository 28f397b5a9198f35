"""Connecting, opening and messages: in order, once, and for as few calls as can be."""

from __future__ import annotations

import asyncio

import pytest

from nitro_py.errors import HTTPError
from nitro_py.message import Message
from nitro_py.peer import Peer
from nitro_py.request import Request
from nitro_py.websocket import Upgrade
from tests.presets.aws_lambda.websocket.events import ID, connecting, leaving, saying
from tests.presets.aws_lambda.websocket.log import Log
from tests.presets.aws_lambda.websocket.stage import Cloud, until

pytestmark = pytest.mark.anyio


async def test_open_runs_in_an_invocation_of_its_own_before_all_messages() -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "message", "close"))
    cloud.copies = 0
    assert await cloud.run(connecting(ID)) == {"statusCode": 200}
    assert log.entries == []
    assert cloud.calls == {"put_connection": 1}
    assert [(work["kind"], work["id"], work["hop"]) for work in cloud.sent] == [("open", ID, 1)]
    await cloud.run({"nitro": cloud.sent[0]})
    await cloud.run(saying(ID, "hello"))
    await cloud.run(leaving(ID))
    assert log.entries == ["open", "message hello", "close 1001"]
    assert cloud.failures == []


async def test_route_without_open_hook_connects_with_one_write() -> None:
    cloud = Cloud(Log().hooks("message"))
    await cloud.run(connecting(ID))
    assert (cloud.calls, cloud.sent) == ({"put_connection": 1}, [])


async def test_hooks_see_what_connect_saw() -> None:
    log = Log()
    accepts = {"upgrade": lambda request: Upgrade(protocol="v2", context={"n": 1}, namespace="/room")}
    cloud = Cloud(log.hooks("message") | accepts, keep_headers=["authorization"])
    fields = {"Cookie": "secret", "Authorization": "kept", "X-Own": "1", "Sec-WebSocket-Protocol": "v1, v2"}
    answer = await cloud.run(connecting(ID, **fields))
    assert answer == {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "v2"}}
    await cloud.run(saying(ID, "x"))
    (peer,) = log.peers
    assert peer.request.url == "wss://api.test/chat?name=ada"
    assert (peer.namespace, peer.protocol, peer.context, peer.remote_address) == (
        "/room",
        "v2",
        {"n": 1},
        "1.2.3.4",
    )
    headers = peer.request.headers
    assert (headers.get("cookie"), headers.get("authorization"), headers.get("x-own")) == (None, "kept", "1")


async def test_refusal_keeps_nothing() -> None:
    def refuse(request: Request) -> None:
        raise HTTPError(418)

    cloud = Cloud({"upgrade": refuse})
    assert await cloud.run(connecting(ID)) == {"statusCode": 418}
    assert await cloud.run(connecting(ID, "/other")) == {"statusCode": 404}
    assert await cloud.run(connecting(ID, Origin="https://evil.test")) == {"statusCode": 403}
    assert cloud.calls == {}


async def test_message_waits_for_the_open_hook_that_runs_elsewhere() -> None:
    log, gate = Log(), asyncio.Event()

    async def open(peer: Peer) -> None:
        await gate.wait()
        await log.open(peer)
        peer.context["greeted"] = True

    cloud = Cloud(log.hooks("message", open=open))
    await cloud.run(connecting(ID))
    messages = [cloud.start(saying(ID, f"{n}")) for n in range(3)]
    await asyncio.sleep(0.1)
    assert log.entries == []
    gate.set()
    await asyncio.wait(messages)
    assert log.entries[0] == "open"
    assert sorted(log.entries[1:]) == ["message 0", "message 1", "message 2"]
    assert all(peer.context == {"greeted": True} for peer in log.peers)
    assert cloud.failures == []


@pytest.mark.parametrize("copies", [0, 2])
async def test_open_runs_once_though_its_invocation_is_lost_or_doubled(copies: int) -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "message"))
    cloud.copies = copies
    await cloud.run(connecting(ID))
    await asyncio.gather(*(cloud.run(saying(ID, "x")) for _ in range(5)))
    await cloud.settle()
    assert log.entries == ["open"] + ["message x"] * 5


async def test_message_waits_no_longer_than_its_invocation_has() -> None:
    gate = asyncio.Event()

    async def open(peer: Peer) -> None:
        await gate.wait()

    cloud = Cloud(Log().hooks("message", open=open))
    await cloud.run(connecting(ID))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError, match="open hook"):
        await cloud.run(saying(ID, "x"), seconds=0.3)
    gate.set()
    await cloud.settle()


async def test_410_while_connect_has_not_returned_is_not_believed() -> None:
    async def open(peer: Peer) -> None:
        await peer.send("hello")

    cloud = Cloud({"open": open})
    cloud.management.absent[ID] = 3
    await cloud.run(connecting(ID))
    await cloud.settle()
    assert cloud.management.received == {ID: ["hello"]}
    assert [work["kind"] for work in cloud.sent] == ["open"]


async def test_hook_publishes_and_reaches_peers() -> None:
    async def message(peer: Peer, message: Message) -> None:
        await peer.subscribe("news")
        await peer.publish("news", message.text())

    cloud = Cloud({"message": message})
    for id in ("a=", "b="):
        await cloud.run(connecting(id))
    await cloud.run(saying("a=", "one"))
    await cloud.run(saying("b=", "two"))
    assert cloud.management.received == {"a=": ["two"]}
    found = await cloud.hub().get_peer("b=")
    assert found is not None
    await found.send("three")
    assert found.topics == {"news"}
    assert [peer.id async for peer in cloud.hub().peers()] == ["a=", "b="]
    await found.close()
    await until(lambda: cloud.management.deleted == ["b="])
    assert cloud.management.received["b="] == ["three"]
