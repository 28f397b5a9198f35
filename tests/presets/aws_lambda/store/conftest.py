"""The stores that every rule is tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.store.contract import Store
from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
from tests.doubles.memory_store import MemoryStore
from tests.presets.aws_lambda.store.database import run_database
from tests.presets.aws_lambda.store.stores import Clock, RepeatingClient, make_table


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """Run DynamoDB."""
    with run_database() as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    """Make the clock that the store goes by."""
    return Clock()


@pytest.fixture
async def client(database: str) -> AsyncIterator[DynamoClient]:
    """Make a table."""
    async with make_table(database) as client:
        yield client


@pytest.fixture(params=["memory", "dynamodb", "dynamodb-repeating"])
async def store(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Store]:
    """Make an empty store."""
    if request.param == "memory":
        yield MemoryStore(clock=clock)
        return
    async with make_table(request.getfixturevalue("database")) as client:
        repeating = request.param == "dynamodb-repeating"
        yield DynamoStore(RepeatingClient(client) if repeating else client, clock=clock)
