"""Publishing to few subscribers: a query and the posts, whatever becomes of single ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

import pytest

from nitro_presets.aws_lambda.fanout.job_store import DynamoJobStore
from nitro_presets.aws_lambda.store.contract import ConnectionRow
from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
from nitro_presets.aws_lambda.websocket.services import CONCURRENCY
from nitro_py.errors import BackplaneError, MessageTooLargeError, UnsupportedError
from nitro_py.peer import Peer
from nitro_py.websocket import CloseDetails
from tests.presets.aws_lambda.store.stores import make_table
from tests.presets.aws_lambda.websocket.stage import PATH, Cloud, until

pytestmark = pytest.mark.anyio


def crowd(count: int) -> list[str]:
    """Make up ids."""
    return [f"{n:05}=" for n in range(count)]


def receipts(cloud: Cloud) -> Counter[str]:
    """Count what each peer has received."""
    return Counter({id: len(texts) for id, texts in cloud.management.received.items()})


@pytest.mark.parametrize("shards", [1, 3])
async def test_publish_costs_a_query_a_shard_and_the_posts(shards: int) -> None:
    cloud = Cloud(shards=shards, fan_out_threshold=200)
    await cloud.populate(crowd(200))
    await cloud.hub().publish("news", "x")
    assert cloud.calls == {"subscribers": shards}
    assert cloud.management.requests == 200
    assert receipts(cloud) == Counter(crowd(200))
    assert cloud.sent == []


async def test_publish_costs_as_much_on_dynamodb(database: str) -> None:
    async with make_table(database) as client:
        cloud = Cloud(store=DynamoStore(client), jobs=DynamoJobStore(client), fan_out_threshold=20)
        await cloud.populate(crowd(20))
        client.calls.clear()
        await cloud.hub().publish("news", "x")
        assert client.calls == {"Query": 1}
        assert receipts(cloud) == Counter(crowd(20))


async def test_publish_reaches_whom_it_is_for() -> None:
    cloud = Cloud()
    await cloud.populate(["a=", "b="])
    await cloud.populate(["c="], namespace="/other")
    await cloud.populate(["d="], topic="sports")
    await cloud.hub().publish("news", "here", namespace=PATH, exclude="a=")
    await cloud.hub().publish("news", "everywhere")
    await cloud.hub().publish("nobody's", "lost")
    everywhere = ["everywhere"]
    assert cloud.management.received == {"a=": everywhere, "b=": ["here", "everywhere"], "c=": everywhere}


async def test_no_slow_peer_holds_up_the_rest() -> None:
    cloud = Cloud()
    ids = crowd(400)
    await cloud.populate(ids)
    gate = asyncio.Event()
    slow = ids[: CONCURRENCY - 1]
    cloud.management.slow = dict.fromkeys(slow, gate)
    publishing = asyncio.create_task(cloud.hub().publish("news", "x"))
    await until(lambda: len(cloud.management.received) == 400 - len(slow))
    assert not publishing.done()
    gate.set()
    await publishing
    assert receipts(cloud) == Counter(ids)
    assert cloud.management.most_under_way == CONCURRENCY


async def test_peer_that_is_busy_gets_it_in_the_end() -> None:
    cloud = Cloud()
    await cloud.populate(crowd(20))
    cloud.management.busy = Counter({"00003=": 5, "00004=": 1})
    await cloud.hub().publish("news", "x")
    assert receipts(cloud) == Counter(crowd(20))


async def test_peer_that_cannot_be_posted_to_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    cloud = Cloud()
    await cloud.populate(crowd(20))
    cloud.management.broken = {"00003=", "00004="}
    with caplog.at_level(logging.WARNING):
        await cloud.hub().publish("news", "x")
    assert receipts(cloud) == Counter(crowd(20)) - Counter(["00003=", "00004="])
    assert [record.getMessage()[:29] for record in caplog.records] == [
        "Could not post to peer 00003=",
        "Could not post to 2 peers.",
    ]


async def test_dead_peer_is_forgotten_and_closed_elsewhere() -> None:
    closed: list[tuple[str, int]] = []
    publisher = asyncio.current_task()

    async def close(peer: Peer, details: CloseDetails) -> None:
        assert asyncio.current_task() is not publisher
        closed.append((peer.id, details.code))

    cloud = Cloud({"close": close})
    await cloud.populate(crowd(20))
    cloud.management.gone = {"00003=", "00004="}
    await cloud.hub().publish("news", "x")
    assert cloud.calls["delete_subscriptions"] == 1
    await cloud.settle()
    assert sorted(closed) == [("00003=", 1006), ("00004=", 1006)]
    requests = cloud.management.requests
    await cloud.hub().publish("news", "x")
    assert cloud.management.requests == requests + 18
    await cloud.settle()
    assert len(closed) == 2


async def test_dead_peer_whose_close_cannot_be_queued_is_found_again() -> None:
    cloud = Cloud()
    await cloud.populate(crowd(3))
    cloud.management.gone = {"00001="}
    cloud.refusing = True
    await cloud.hub().publish("news", "x")
    cloud.refusing = False
    await cloud.hub().publish("news", "x")
    assert [(work["kind"], work["id"]) for work in cloud.sent] == [("close", "00001=")]


async def test_young_peer_is_not_believed_dead() -> None:
    cloud = Cloud()
    now = time.time()
    row = ConnectionRow("new=", PATH, "wss://h", PATH, connected_at=now - 1, expires_at=int(now) + 7200)
    await cloud.store.put_connection(row)
    await cloud.store.subscribe(row, "news")
    cloud.management.absent["new="] = 2
    await cloud.hub().publish("news", "x")
    assert cloud.management.received == {"new=": ["x"]}
    cloud.management.absent["new="] = 1000
    await cloud.hub().publish("news", "y")
    cloud.management.absent.clear()
    await cloud.hub().publish("news", "z")
    assert cloud.management.received == {"new=": ["x", "z"]}
    assert cloud.sent == []


async def test_message_that_is_too_large_is_refused_before_anything_is_sent() -> None:
    cloud = Cloud(fan_out_threshold=2)
    await cloud.populate(crowd(3))
    for text in ("x" * 131_073, "ü" * 65_537):
        with pytest.raises(MessageTooLargeError, match="131072"):
            await cloud.hub().publish("news", text)
    with pytest.raises(UnsupportedError):
        await cloud.hub().publish("news", b"x")
    assert (cloud.calls, cloud.management.requests, cloud.sent) == ({}, 0, [])


async def test_topic_that_cannot_be_read_is_the_publishers_to_know(database: str) -> None:
    async with make_table(database) as client:
        cloud = Cloud(store=DynamoStore(client))
        client.table = "missing"
        with pytest.raises(BackplaneError, match="`news`"):
            await cloud.hub().publish("news", "x")
        client.table = (await client.call("ListTables", {}))["TableNames"][0]
