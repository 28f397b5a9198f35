"""The stores that every rule is tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nitro_presets.aws_lambda.store.contract import ConnectionStore
from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
from tests.doubles.memory_store import MemoryStore
from tests.presets.aws_lambda.store.stores import Clock, RepeatingClient, make_table


@pytest.fixture(params=["memory", "dynamodb", "dynamodb-repeating"])
async def store(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[ConnectionStore]:
    """Make an empty store."""
    if request.param == "memory":
        yield MemoryStore(clock=clock)
        return
    async with make_table(request.getfixturevalue("database")) as client:
        repeating = request.param == "dynamodb-repeating"
        yield DynamoStore(RepeatingClient(client) if repeating else client, clock=clock)
