"""The storage driver in DynamoDB keeps the contract, also where each call is made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.aws_client.errors import ConditionFailedError
from nitro_presets.aws_lambda.store import storage as driver_module
from nitro_presets.aws_lambda.store.storage import DynamoStorageDriver
from nitro_py.errors import StorageError, UsageError
from nitro_py.storage_driver import StorageDriver
from nitro_py.storages import Storage
from nitro_py.testing.stores import MakeDriver, SharedStorageConformance, StoreFaults
from tests.presets.aws_lambda.store.stores import RepeatingClient, make_table

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(database: str) -> AsyncIterator[DynamoClient]:
    """Make a table, and a client to call it."""
    async with make_table(database) as client:
        yield client


class TestDynamo(SharedStorageConformance):
    """The suite in a table."""

    @pytest.fixture
    def make_driver(self, client: DynamoClient) -> MakeDriver:
        return lambda namespace: DynamoStorageDriver("", namespace, client)

    test_repeated_write_is_applied_once = StoreFaults.test_repeated_write_is_applied_once
    test_repeated_increment_is_counted_once = StoreFaults.test_repeated_increment_is_counted_once
    test_repeated_delete_takes_nothing_newer = StoreFaults.test_repeated_delete_takes_nothing_newer


@pytest.mark.slow
class TestRepeatingDynamo(SharedStorageConformance):
    """The suite in a table, where the answer to each first call is lost."""

    @pytest.fixture
    def make_driver(self, client: DynamoClient) -> MakeDriver:
        return lambda namespace: DynamoStorageDriver("", namespace, RepeatingClient(client))


async def count_attributes(client: DynamoClient, key: str) -> int:
    """Return how many attributes the row of a key has."""
    name = {"pk": {"S": f"v#test#{driver_module.pick_bucket(key)}"}, "sk": {"S": key}}
    answer = await client.call("GetItem", {"Key": name})
    return len(answer["Item"])


async def test_row_forgets_writers_that_have_gone(client: DynamoClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        driver: StorageDriver = DynamoStorageDriver("", "test", client)
        assert await driver.increment("n", 1, f"{number:024x}", None, 1.0) == number + 1
    crowded = await count_attributes(client, "n")
    monkeypatch.setattr(driver_module, "WRITER_LIFE", -60)
    last = DynamoStorageDriver("", "test", client)
    assert await last.increment("n", 1, "f" * 24, None, 1.0) == 31
    assert await count_attributes(client, "n") < crowded - 50
    assert await last.increment("n", 1, "e" * 24, None, 1.0) == 32


async def test_late_call_of_a_writer_changes_nothing(client: DynamoClient) -> None:
    sent: list[dict[str, Any]] = []

    class RecordingClient:
        table = client.table

        async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
            sent.append(payload)
            return await client.call(operation, payload)

    storage = Storage("test", DynamoStorageDriver("", "test", RecordingClient()))
    await storage.set("a", "first")
    late = sent[0]
    await storage.set("a", "second")
    await storage.delete("a")
    # The network delivers a copy of the first call, long after its answer.
    with pytest.raises(ConditionFailedError):
        await client.call("UpdateItem", late)
    assert await storage.get("a") is None


async def test_many_writers_of_one_process_count_each(client: DynamoClient) -> None:
    storage = Storage("test", DynamoStorageDriver("", "test", RepeatingClient(client)))
    sums = await asyncio.gather(*(storage.increment("n") for _ in range(40)))
    assert sorted(sums) == list(range(1, 41))


async def test_stack_without_a_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NITRO_TABLE", raising=False)
    with pytest.raises(StorageError, match="The stack has no table for storages"):
        await Storage("test", DynamoStorageDriver("", "test")).get("a")
    with pytest.raises(UsageError, match="takes no URL"):
        DynamoStorageDriver("x", "test")
