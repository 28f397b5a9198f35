"""Connections: kept, read, changed, listed, gone."""

from __future__ import annotations

import asyncio

import pytest

from nitro_presets.aws_lambda.store.contract import ConnectionStore
from nitro_presets.aws_lambda.store.keys import INDEX_PARTITIONS, pick_index_partition
from nitro_presets.aws_lambda.store.rows import CONNECT_TIME, SWEEP_GRACE
from tests.presets.aws_lambda.store.stores import LEASE, LIFE, START, Clock, connect, list_pages, make_row

pytestmark = pytest.mark.anyio

CONTEXT = {
    "": 0,
    "name": "ada",
    "float": 1.0,
    "huge": 1e300,
    "long": 10**50,
    "nested": {"a": [None, True]},
    "a.b:c": "ü",
}


async def read_context(store: ConnectionStore) -> dict[str, object]:
    """Read what is kept about the one peer."""
    row = await store.get_connection("BFHPhfCWIAMCKlQ=")
    assert row is not None
    assert isinstance(row.context, dict)
    return row.context


async def test_row_is_read_as_it_was_put(store: ConnectionStore) -> None:
    row = make_row(
        headers=(("accept", "a"), ("accept", "b"), ("x-empty", "")),
        params={"room": "chat"},
        remote_address="192.0.2.7",
        protocol="v1",
        context=CONTEXT,
        open_state="pending",
    )
    assert await store.put_connection(row)
    read = await store.get_connection(row.id)
    assert read == row
    assert repr(read) == repr(row)
    assert await store.get_connection("other=") is None


async def test_row_is_not_the_callers(store: ConnectionStore) -> None:
    context = {"list": [1]}
    await connect(store, context=context)
    context["list"].append(2)
    (await read_context(store))["list"] = []
    assert await read_context(store) == {"list": [1]}


async def test_row_is_left_out_once_its_time_to_live_is_over(store: ConnectionStore, clock: Clock) -> None:
    row = await connect(store)
    clock.now = row.expires_at + SWEEP_GRACE - 1
    assert await store.get_connection(row.id) is not None
    clock.now += 1
    assert await store.get_connection(row.id) is None


async def test_last_write_of_each_key_wins(store: ConnectionStore) -> None:
    row = await connect(store, context={"a": 1, "b": 1, "c": 1})
    assert await store.save(row.id, {"a": 2, "new": {"x": 1}}, ["b"])
    assert await store.save(row.id, {"a": 3})
    assert await store.save(row.id, {}, ["c", "was never there"])
    assert await read_context(store) == {"a": 3, "new": {"x": 1}}


async def test_overlapping_writes_keep_each_others_keys(store: ConnectionStore) -> None:
    row = await connect(store)
    await asyncio.gather(*(store.save(row.id, {f"key {n}": n}) for n in range(20)))
    assert await read_context(store) == {f"key {n}": n for n in range(20)}


async def test_many_keys_are_written(store: ConnectionStore) -> None:
    row = await connect(store, open_state="pending")
    token = (await store.claim_open(row.id, LEASE)).row
    assert token is not None
    changed = {f"key {n}": n for n in range(250)}
    assert await store.save(row.id, changed, open_token=token.open_token)
    read = await store.get_connection(row.id)
    assert read is not None
    assert (read.context, read.open_state) == (changed, "done")


async def test_value_that_json_cannot_hold_is_refused(store: ConnectionStore) -> None:
    row = await connect(store, context={"a": 1})
    with pytest.raises(TypeError):
        await store.save(row.id, {"a": 2, "b": object()})
    assert await read_context(store) == {"a": 1}


async def test_nothing_is_written_about_a_connection_that_is_gone(store: ConnectionStore) -> None:
    row = await connect(store)
    await store.delete_connection(row)
    assert not await store.save(row.id, {"a": 1})
    assert not await store.save(row.id, {}, ["a"])
    assert await store.get_connection(row.id) is None


@pytest.mark.parametrize("age", [0, CONNECT_TIME + 1])
async def test_connection_is_forgotten(store: ConnectionStore, clock: Clock, age: int) -> None:
    row = await connect(store)
    clock.now += age
    await store.delete_connection(row)
    await store.delete_connection(row)
    assert await store.get_connection(row.id) is None
    assert [id for page in await list_pages(lambda start: store.expired(start=start)) for id in page] == []


async def test_connected_peers_are_listed(store: ConnectionStore, clock: Clock) -> None:
    for n in range(10):
        await connect(store, f"{n}=", namespace=f"/{n % 2}", context={"n": n})
    closing = await connect(store, "closing=", namespace="/0")
    await store.claim_close(closing.id, LIFE * 2)
    pages = await list_pages(lambda start: store.connections(start=start))
    assert len(pages) <= INDEX_PARTITIONS
    assert sorted(row.context["n"] for page in pages for row in page) == list(range(10))
    pages = await list_pages(lambda start: store.connections("/0", start=start))
    assert sorted(row.context["n"] for page in pages for row in page) == list(range(0, 10, 2))
    clock.now = START + LIFE
    assert [row for page in await list_pages(lambda start: store.connections(start=start)) for row in page] == []


async def test_peers_are_listed_in_pages(store: ConnectionStore) -> None:
    # In one slot, as pages end with a slot anyway.
    ids = [id for id in (f"{n}=" for n in range(2000)) if pick_index_partition(id) == pick_index_partition("0=")][
        :102
    ]
    await asyncio.gather(*(store.put_connection(make_row(id)) for id in ids))
    pages = await list_pages(lambda start: store.connections(start=start))
    assert sorted(row.id for page in pages for row in page) == sorted(ids)
    assert max(len(page) for page in pages) == 100


async def test_expired_connections_are_listed_in_pages(store: ConnectionStore, clock: Clock) -> None:
    ids = [f"{n}=" for n in range(30)]
    await asyncio.gather(
        *(store.put_connection(make_row(id, expires_at=int(START) + n % 3)) for n, id in enumerate(ids))
    )
    await connect(store, "alive=")
    clock.now = START + 3
    pages = await list_pages(lambda start: store.expired(start=start, limit=2))
    assert sorted(id for page in pages for id in page) == sorted(ids)
    assert max(len(page) for page in pages) == 2
