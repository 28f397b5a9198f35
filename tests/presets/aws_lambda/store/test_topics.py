"""Topics: who subscribes, in which namespace and shard, and that no subscriber stays behind."""

from __future__ import annotations

import asyncio

import pytest

from nitro_presets.aws_lambda.store.contract import ConnectionStore
from tests.presets.aws_lambda.store.stores import (
    LEASE,
    LIFE,
    START,
    Clock,
    connect,
    list_ids,
    list_pages,
    list_subscribers,
    make_row,
)

pytestmark = pytest.mark.anyio

# Topics and namespaces.
NAMES = [
    ("chat", "/chat"),
    ("", ""),
    ("a#0", "/" + "x" * 4000),
    ("x" * 3000, "/chat\0x"),
    ("with\0separator", "\1"),
]


@pytest.mark.parametrize(("topic", "namespace"), NAMES, ids=range(len(NAMES)))
async def test_subscriber_is_found_until_it_unsubscribes(
    store: ConnectionStore, topic: str, namespace: str
) -> None:
    row = await connect(store, namespace=namespace)
    assert await store.subscribe(row, topic)
    assert await store.subscribe(row, topic)
    (found,) = await list_subscribers(store, topic)
    assert (found.id, found.connected_at) == (row.id, START)
    assert await list_ids(store, topic, namespace) == [row.id]
    read = await store.get_connection(row.id)
    assert read is not None
    assert read.topics == {topic}
    await store.unsubscribe(row, topic)
    await store.unsubscribe(row, topic)
    assert await list_ids(store, topic) == []
    read = await store.get_connection(row.id)
    assert read is not None
    assert read.topics == frozenset()


async def test_namespaces_and_topics_are_apart(store: ConnectionStore) -> None:
    for id, namespace in {"1": "/a", "2": "/a", "3": "/ab", "4": "/a\0b", "5": "/a/b", "6": "", "8": "\1"}.items():
        await store.subscribe(await connect(store, id, namespace=namespace), "t")
    await store.subscribe(await connect(store, "7", namespace="/a"), "t#0")
    assert await list_ids(store, "t", "/a") == ["1", "2"]
    assert await list_ids(store, "t", "/a\0b") == ["4"]
    assert await list_ids(store, "t", "") == ["6"]
    assert sorted(await list_ids(store, "t")) == ["1", "2", "3", "4", "5", "6", "8"]
    assert await list_ids(store, "unknown") == []


async def test_subscribers_are_listed_in_pages(store: ConnectionStore) -> None:
    ids = [f"{n:02}" for n in range(12)]
    for id in ids:
        await store.subscribe(await connect(store, id, namespace=f"/{int(id) % 2}"), "t")
    pages = await list_pages(lambda start: store.subscribers("t", 0, start=start, limit=5))
    assert [len(page) for page in pages] == [5, 5, 2]
    assert [one.id for page in pages for one in page] == ids[::2] + ids[1::2]
    pages = await list_pages(lambda start: store.subscribers("t", 0, namespace="/0", start=start, limit=5))
    assert [one.id for page in pages for one in page] == ids[::2]


async def test_page_goes_on_behind_a_subscriber_that_is_gone(store: ConnectionStore) -> None:
    for id in "abcd":
        await store.subscribe(await connect(store, id), "t")
    first = await store.subscribers("t", 0, limit=2)
    await store.delete_subscriptions(first.items)
    rest = await store.subscribers("t", 0, start=first.next, limit=2)
    assert [one.id for one in (*first.items, *rest.items)] == list("abcd")
    assert await list_ids(store, "t") == ["c", "d"]


async def test_dead_peers_are_forgotten(store: ConnectionStore) -> None:
    for n in range(4):
        await store.subscribe(await connect(store, f"{n}"), "t")
    found = await list_subscribers(store, "t")
    await store.delete_subscriptions([*found[:3], *found[:2]])
    await store.delete_subscriptions([])
    assert await list_subscribers(store, "t") == found[3:]


async def test_subscription_is_left_out_once_its_connection_cannot_be_alive(
    store: ConnectionStore, clock: Clock
) -> None:
    await store.subscribe(await connect(store), "t")
    await store.subscribe(await connect(store, "longer", expires_at=int(START) + 2 * LIFE), "t")
    clock.now += LIFE
    assert await list_ids(store, "t") == ["longer"]


async def test_all_topics_of_a_connection_go(store: ConnectionStore) -> None:
    row, other = await connect(store), await connect(store, "other")
    await asyncio.gather(*(store.subscribe(row, f"topic {n}") for n in range(30)))
    await store.subscribe(other, "topic 0")
    claim = await store.claim_close(row.id, LEASE)
    assert claim.row is not None
    assert len(claim.row.topics) == 30
    await store.delete_topics(claim.row)
    assert [await list_ids(store, f"topic {n}") for n in (0, 1, 24, 25, 29)] == [["other"], [], [], [], []]


async def test_nothing_can_be_subscribed_to_after_the_end(store: ConnectionStore) -> None:
    row = await connect(store)
    await store.subscribe(row, "before")
    claim = await store.claim_close(row.id, LEASE)
    assert not await store.subscribe(row, "t")
    await store.unsubscribe(row, "before")
    assert claim.row is not None
    await store.delete_topics(claim.row)
    await store.delete_connection(claim.row)
    assert not await store.subscribe(row, "t")
    await store.unsubscribe(row, "t")
    assert (await list_ids(store, "t"), await list_ids(store, "before")) == ([], [])
    assert await store.get_connection(row.id) is None


async def test_connection_that_was_never_put_cannot_subscribe(store: ConnectionStore) -> None:
    assert not await store.subscribe(make_row(), "t")
    assert await list_ids(store, "t") == []


async def test_race_of_subscriptions_and_the_end_leaves_nothing_behind(store: ConnectionStore) -> None:
    row = await connect(store)

    async def end() -> None:
        await asyncio.sleep(0.01)
        claim = await store.claim_close(row.id, LEASE)
        assert claim.row is not None
        await store.delete_topics(claim.row)
        await store.delete_connection(claim.row)

    topics = [f"topic {n}" for n in range(20)]
    await asyncio.gather(*(store.subscribe(row, topic) for topic in topics), end())
    assert [await list_ids(store, topic) for topic in topics] == [[]] * 20
