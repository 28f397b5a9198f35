"""Jobs: added once, each done by one invocation at a time, due until they are finished."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from nitro_presets.aws_lambda.aws_client.attributes import unmarshal
from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.fanout import job_store
from nitro_presets.aws_lambda.fanout.job_store import (
    DynamoJobStore,
    JobStore,
    TopicPublication,
    first_job,
    page_job,
    shard_job,
)
from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
from tests.doubles.memory_jobs import MemoryJobStore
from tests.presets.aws_lambda.store.stores import (
    START,
    Clock,
    RepeatingClient,
    connect,
    list_expired,
    list_ids,
    list_pages,
    make_table,
)

pytestmark = pytest.mark.anyio

LEASE = 30.0
FIRST = first_job("m1", shards=2, expires_at=int(START) + 3600)
WALK = shard_job(FIRST, 1)
PAGE = page_job(WALK, 1, "/chat\0b=", "/chat\0m=")
# Largest in DynamoDB's own terms, and six times that as JSON.
TEXT = "\1" * 131_072


@pytest.fixture(params=["memory", "dynamodb", "dynamodb-repeating"])
async def jobs(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[JobStore]:
    """Make an empty store of jobs."""
    if request.param == "memory":
        yield MemoryJobStore(clock=clock)
        return
    async with make_table(request.getfixturevalue("database")) as client:
        repeating = request.param == "dynamodb-repeating"
        yield DynamoJobStore(RepeatingClient(client) if repeating else client, clock=clock)


async def list_due(jobs: JobStore, limit: int = 100) -> list[str]:
    """List what the sweep finds."""
    pages = await list_pages(lambda start: jobs.due(start=start, limit=limit))
    assert all(len(page) <= limit for page in pages)
    return sorted(key for page in pages for key in page)


async def test_publication_is_kept_with_its_first_job(jobs: JobStore) -> None:
    publication = TopicPublication("m1", "topic", TEXT, "/chat", "a=")
    await jobs.accept(publication, FIRST, LEASE)
    assert await jobs.read("m1") == FIRST
    assert await jobs.read_publication("m1") == publication
    assert await jobs.read_publication("m2") is None
    assert await jobs.read("m2") is None


async def test_publication_to_every_namespace_may_be_empty(jobs: JobStore) -> None:
    await jobs.accept(TopicPublication("m1", "", ""), FIRST, LEASE)
    assert await jobs.read_publication("m1") == TopicPublication("m1", "", "")


async def test_keys_of_jobs_are_apart() -> None:
    pages = [page_job(WALK, shard, start, None) for shard in (1, 11) for start in (None, "/\0a", "/\0b")]
    assert len({FIRST.key, WALK.key, *(page.key for page in pages)}) == 8


async def test_job_is_added_once(jobs: JobStore, clock: Clock) -> None:
    assert await jobs.add(PAGE, LEASE) is None
    other = page_job(WALK, 1, PAGE.start, None)
    found = await jobs.add(other, LEASE)
    assert found is not None
    assert (found.end, found.version) == (PAGE.end, 0)
    assert await jobs.finish(found)
    clock.now += 3600
    finished = await jobs.add(other, LEASE)
    assert finished is not None
    assert finished.end == PAGE.end


async def test_one_of_twenty_adds(jobs: JobStore) -> None:
    found = await asyncio.gather(*(jobs.add(PAGE, LEASE) for _ in range(20)))
    assert found.count(None) == 1


async def test_job_goes_on_in_one_pair_of_hands(jobs: JobStore) -> None:
    await jobs.add(PAGE, LEASE)
    held = await jobs.advance(PAGE, "/chat\0c=", LEASE)
    assert held is not None
    assert (held.start, held.end, held.shards, held.version) == ("/chat\0c=", PAGE.end, (1,), 1)
    assert await jobs.advance(PAGE, "/chat\0d=", LEASE) is None
    assert not await jobs.finish(PAGE)
    assert await jobs.read(PAGE.key) == held
    again = await jobs.advance(held, None, LEASE)
    assert again is not None
    assert again.start is None
    assert await jobs.finish(again)


async def test_one_of_twenty_goes_on(jobs: JobStore) -> None:
    await jobs.add(WALK, LEASE)
    held = await asyncio.gather(*(jobs.advance(WALK, f"/\0{n}", LEASE) for n in range(20)))
    winners = [job for job in held if job is not None]
    assert len(winners) == 1
    assert await jobs.read(WALK.key) == winners[0]


async def test_finished_job_is_nobodys(jobs: JobStore, clock: Clock) -> None:
    await jobs.add(WALK, LEASE)
    assert await jobs.finish(WALK)
    assert await jobs.read(WALK.key) is None
    assert await jobs.advance(WALK, None, LEASE) is None
    assert not await jobs.finish(WALK)
    clock.now += LEASE * 2
    assert await list_due(jobs) == []
    assert await jobs.take_over(WALK.key, LEASE) is None


async def test_job_is_due_after_its_lease(jobs: JobStore, clock: Clock) -> None:
    await jobs.add(WALK, LEASE)
    clock.now += LEASE - 1
    assert await list_due(jobs) == []
    assert await jobs.take_over(WALK.key, LEASE) is None
    held = await jobs.advance(WALK, "/\0a", LEASE)
    assert held is not None
    clock.now += LEASE - 1
    assert await list_due(jobs) == []
    clock.now += 2
    assert await list_due(jobs) == [WALK.key]
    revived = await asyncio.gather(*(jobs.take_over(WALK.key, LEASE) for _ in range(5)))
    winners = [job for job in revived if job is not None]
    assert [(job.start, job.version) for job in winners] == [("/\0a", 2)]
    assert await jobs.advance(held, "/\0b", LEASE) is None
    assert await jobs.read(WALK.key) == winners[0]
    assert await list_due(jobs) == []


async def test_due_jobs_are_listed_in_pages(jobs: JobStore, clock: Clock) -> None:
    walks = [shard_job(FIRST, shard) for shard in range(40)]
    for walk in walks:
        await jobs.add(walk, LEASE)
    clock.now += LEASE + 1
    assert await list_due(jobs, limit=3) == sorted(walk.key for walk in walks)


async def test_each_step_is_one_call(client: DynamoClient, clock: Clock) -> None:
    jobs = DynamoJobStore(client, clock=clock)
    await jobs.accept(TopicPublication("m1", "t", "x"), FIRST, LEASE)
    await jobs.add(WALK, LEASE)
    assert client.calls == {"PutItem": 2}
    held = await jobs.advance(WALK, None, LEASE)
    assert held is not None
    await jobs.finish(held)
    assert client.calls["UpdateItem"] == 2
    await jobs.read("m1")
    await jobs.read_publication("m1")
    assert client.calls["GetItem"] == 2
    assert client.calls.total() == 6


async def test_jobs_and_connections_share_a_table_unseen(client: DynamoClient, clock: Clock) -> None:
    store, jobs = DynamoStore(client, clock=clock), DynamoJobStore(client, clock=clock)
    row = await connect(store)
    await store.subscribe(row, "m1#1")
    await jobs.accept(TopicPublication("m1", "t", "x"), FIRST, LEASE)
    await jobs.add(WALK, LEASE)
    assert [one.id for page in await list_pages(lambda start: store.connections(start=start)) for one in page] == [
        row.id
    ]
    clock.now = row.expires_at - 1
    assert await list_expired(store) == set()
    clock.now = row.expires_at + 1
    assert await list_expired(store) == {row.id}
    assert await list_ids(store, "m1#1") == []


async def test_rows_go_once_nobody_can_add_them_again(client: DynamoClient, clock: Clock) -> None:
    jobs = DynamoJobStore(client, clock=clock)
    await jobs.accept(TopicPublication("m1", "t", "x"), FIRST, LEASE)
    await jobs.add(WALK, LEASE)
    await jobs.finish(WALK)
    rows = [unmarshal(item) for item in (await client.call("Scan", {}))["Items"]]
    assert [row["ttl"] for row in rows] == [FIRST.expires_at + 900] * 2
    assert sorted("due" in row for row in rows) == [False, True]
    clock.now = FIRST.expires_at + 901
    assert await jobs.read("m1") is None
    assert await jobs.read_publication("m1") is None


def test_no_expression_names_a_reserved_word() -> None:
    expressions: list[Any] = [
        getattr(job_store, name) for name in ("ABSENT", "UNCHANGED", "ADVANCE", "FINISH", "TAKE_OVER")
    ]
    words = {word for text in expressions for word in re.findall(r"(?<!:)\b[a-z_]+\b", text)}
    assert {"turn", "turn_token", "due", "slot", "progress"} <= words
    reserved = {word.lower() for word in ReservedKeywords.get_reserved_keywords()}
    assert words & reserved == set()
