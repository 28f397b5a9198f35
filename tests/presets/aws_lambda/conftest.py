"""DynamoDB, as moto serves it, and the time that stores go by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from tests.presets.aws_lambda.store.database import run_database
from tests.presets.aws_lambda.store.stores import Clock, make_table


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """Run one DynamoDB for all tests; each makes a table of its own."""
    with run_database() as url:
        yield url


@pytest.fixture
async def client(database: str) -> AsyncIterator[DynamoClient]:
    """Make a table."""
    async with make_table(database) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    """Make the clock that a store goes by."""
    return Clock()
