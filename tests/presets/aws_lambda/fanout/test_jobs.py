"""Publishing to many subscribers: a tree of invocations, each of which may be lost, doubled, late or cut short."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from nitro_presets.aws_lambda.fanout.job_store import DynamoJobStore
from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
from nitro_presets.aws_lambda.websocket.services import MAX_DEPTH, MAX_PAYLOAD, TRACE_VARIABLE, enter_depth
from nitro_py.errors import BackplaneError
from nitro_py.peer import Peer
from tests.presets.aws_lambda.fanout.test_publish import crowd, receipts
from tests.presets.aws_lambda.store.stores import make_table
from tests.presets.aws_lambda.websocket.events import connecting
from tests.presets.aws_lambda.websocket.stage import Cloud, until

pytestmark = pytest.mark.anyio


async def publish(cloud: Cloud, text: str = "x") -> None:
    """Publish, and wait until all is delivered."""
    await cloud.hub().publish("news", text)
    await cloud.settle()
    assert cloud.failures == []


@pytest.mark.parametrize("shards", [1, 4])
async def test_everybody_gets_one_through_at_most_three_levels(
    shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACE_VARIABLE, "Root=1-2-3;Lineage=4")
    cloud = Cloud(shards=shards, fan_out_threshold=100)
    await cloud.populate(crowd(1050))
    await publish(cloud)
    assert receipts(cloud) == Counter(crowd(1050))
    assert {work["hop"] for work in cloud.sent} == set(range(1, 3 if shards == 1 else 4))
    assert set(cloud.traces) == {"Root=1-2-3;Lineage=4"}


async def test_costs_are_as_told() -> None:
    cloud = Cloud(fan_out_threshold=100)
    await cloud.populate(crowd(1000))
    await publish(cloud)
    # The publisher's query and the walk's, of which the last page is full and so followed by an empty one or not.
    assert cloud.calls.pop("subscribers") in (1 + 10, 1 + 11)
    posting = cloud.calls.pop("advance") - 1
    assert posting <= 10
    assert cloud.calls == {"accept": 1, "add": 10, "finish": 1 + 10}
    assert Counter(work["job"]["kind"] for work in cloud.sent) == {"walk": 1, "post": 10}
    assert cloud.management.requests == 1000


async def test_threshold_is_about_all_shards_together() -> None:
    cloud = Cloud(shards=4, fan_out_threshold=100)
    await cloud.populate(crowd(101))
    await publish(cloud)
    assert cloud.calls["accept"] == 1
    assert receipts(cloud) == Counter(crowd(101))


async def test_tree_on_dynamodb(database: str) -> None:
    async with make_table(database) as client:
        cloud = Cloud(
            store=DynamoStore(client, shards=2),
            jobs=DynamoJobStore(client),
            shards=2,
            fan_out_threshold=10,
        )
        await cloud.populate(crowd(50))
        cloud.copies = 2
        await publish(cloud)
        assert receipts(cloud) == Counter(crowd(50))


async def test_publisher_does_not_wait_for_the_posts() -> None:
    cloud = Cloud(fan_out_threshold=10)
    await cloud.populate(crowd(30))
    gate = asyncio.Event()
    cloud.management.slow = dict.fromkeys(crowd(30), gate)
    await cloud.hub().publish("news", "x", exclude="00007=")
    assert cloud.management.received == {}
    gate.set()
    await cloud.settle()
    assert receipts(cloud) == Counter(crowd(30)) - Counter(["00007="])


@pytest.mark.parametrize("page", [50, 250])
@pytest.mark.parametrize("shards", [1, 3])
async def test_doubled_invocations_give_nobody_two(shards: int, page: int) -> None:
    cloud = Cloud(shards=shards, fan_out_threshold=page)
    await cloud.populate(crowd(900))
    cloud.copies = 3
    await publish(cloud)
    assert receipts(cloud) == Counter(crowd(900))


async def test_slow_invocation_stops_when_another_has_taken_over() -> None:
    cloud = Cloud(fan_out_threshold=300)
    ids = crowd(600)
    await cloud.populate(ids)
    gate = asyncio.Event()
    cloud.management.slow = dict.fromkeys(ids[:100], gate)
    await cloud.hub().publish("news", "x")
    await until(lambda: len(cloud.management.received) == 328)
    cloud.clock.ahead = 90
    cloud.start({"nitro": {"kind": "sweep"}})
    await until(lambda: len(cloud.management.received) == 500)
    gate.set()
    await cloud.settle()
    assert receipts(cloud) == Counter(ids)


async def test_invocation_that_comes_again_much_later_does_nothing() -> None:
    cloud = Cloud(fan_out_threshold=50)
    await cloud.populate(crowd(200))
    await publish(cloud)
    posts = cloud.management.requests
    for work in list(cloud.sent):
        await cloud.run({"nitro": work})
    await cloud.settle()
    assert cloud.management.requests == posts


@pytest.mark.parametrize("shards", [1, 3])
async def test_lost_invocations_are_made_up_for_by_the_sweep(shards: int) -> None:
    cloud = Cloud(shards=shards, fan_out_threshold=50)
    await cloud.populate(crowd(300))
    cloud.copies = 0
    await publish(cloud)
    await cloud.sweep()
    assert cloud.management.received == {}
    for _ in range(3):
        cloud.clock.ahead += 90
        # Of each level the invocations that the sweep sends come, but none that these send.
        cloud.copies = 0
        await cloud.run({"nitro": {"kind": "sweep"}})
        sent = cloud.sent[:]
        cloud.sent.clear()
        await asyncio.gather(*(cloud.run({"nitro": work}) for work in sent))
    await cloud.settle()
    assert receipts(cloud) == Counter(crowd(300))
    cloud.clock.ahead += 90
    cloud.sent.clear()
    await cloud.sweep()
    assert cloud.sent == []


async def test_work_that_cannot_be_handed_on_waits_for_the_sweep() -> None:
    cloud = Cloud(fan_out_threshold=50)
    await cloud.populate(crowd(300))
    cloud.refusing = True
    await publish(cloud)
    cloud.refusing = False
    cloud.clock.ahead = 90
    await cloud.sweep()
    assert receipts(cloud) == Counter(crowd(300))


async def test_subscribers_that_come_meanwhile_do_not_move_the_pages() -> None:
    cloud = Cloud(fan_out_threshold=50)
    ids = crowd(300)
    await cloud.populate(ids[::2])
    cloud.copies = 0
    await publish(cloud)
    cloud.copies = 1
    walk = cloud.start({"nitro": cloud.sent[0]})
    await until(lambda: cloud.calls["add"] > 0)
    await cloud.populate(ids[1::2])
    walk.cancel()
    await asyncio.wait([walk])
    for _ in range(3):
        cloud.clock.ahead += 90
        await cloud.sweep()
    assert max(receipts(cloud).values()) == 1
    assert set(ids[::2]) <= set(receipts(cloud))


async def test_invocation_that_runs_short_of_time_leaves_the_rest_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud = Cloud(fan_out_threshold=300)
    await cloud.populate(crowd(900))
    # Each walk has time for one page, and each post for a batch or two.
    batches = itertools.cycle([False, True])
    late = property(lambda task: task.job.kind == "walk" or next(batches))
    monkeypatch.setattr("nitro_presets.aws_lambda.fanout.run_job.RunningJob.late", late)
    await publish(cloud)
    for _ in range(3):
        cloud.clock.ahead += 90
        await cloud.sweep()
    assert receipts(cloud) == Counter(crowd(900))
    assert max(work["hop"] for work in cloud.sent) > 3


async def test_message_and_page_that_are_too_large_for_a_payload_are_read_from_the_table() -> None:
    cloud = Cloud(fan_out_threshold=100)
    await cloud.populate(crowd(300), namespace="/" + "n" * 500)
    for text in ("\1" * 131_072, "x" * 131_072, '"' * 100_000):
        cloud.management.received.clear()
        await publish(cloud, text)
        assert receipts(cloud) == Counter(crowd(300))
        assert all(received == [text] for received in cloud.management.received.values())
    assert max(map(len, cloud.payloads)) <= MAX_PAYLOAD
    assert {"key" in work for work in cloud.sent} == {True, False}


async def test_message_that_is_no_news_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(fan_out_threshold=10)
    await cloud.populate(crowd(30))
    monkeypatch.setattr("nitro_presets.aws_lambda.fanout.publish.MAX_JOB_AGE", -1)
    await publish(cloud)
    assert cloud.management.received == {}
    cloud.clock.ahead = 90
    cloud.sent.clear()
    await cloud.sweep()
    assert cloud.sent == []


async def test_dead_peers_of_a_page_are_forgotten() -> None:
    closed: list[str] = []

    async def close(peer: Peer) -> None:
        closed.append(peer.id)

    cloud = Cloud({"close": close}, fan_out_threshold=50)
    await cloud.populate(crowd(300))
    dead = set(crowd(300)[::30])
    cloud.management.gone = set(dead)
    await publish(cloud)
    assert sorted(closed) == sorted(dead)
    cloud.management.received.clear()
    requests = cloud.management.requests
    await publish(cloud)
    assert cloud.management.requests == requests + 290


async def test_hops_are_counted_and_end_at_eight() -> None:
    async def open(peer: Peer) -> None:
        await peer.subscribe("news")
        await peer.publish("news", "x")

    cloud = Cloud({"open": open}, fan_out_threshold=5)
    await cloud.populate(crowd(10))
    cloud.copies = 0
    await cloud.run(connecting("new="))
    (work,) = cloud.sent
    cloud.copies = 1
    await cloud.run({"nitro": replace_hop(work, 5)})
    await cloud.settle()
    assert max(work["hop"] for work in cloud.sent) == 7
    assert receipts(cloud) == Counter(crowd(10))
    with pytest.raises(BackplaneError, match="8"):
        await cloud.run({"nitro": replace_hop(work, MAX_DEPTH + 1)})


async def test_publisher_at_the_last_hop_is_told_before_anything_is_kept() -> None:
    cloud = Cloud(fan_out_threshold=5)
    await cloud.populate(crowd(10))

    async def publish_late() -> None:
        enter_depth(MAX_DEPTH)
        await cloud.hub().publish("news", "x")

    with pytest.raises(BackplaneError, match="8"):
        await asyncio.create_task(publish_late())
    assert cloud.calls == {"subscribers": 1}
    assert cloud.sent == []


def replace_hop(work: dict[str, object], hop: int) -> dict[str, object]:
    """Return the same work from further down."""
    return {**work, "hop": hop}
