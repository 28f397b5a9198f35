"""The built-in storage drivers keep the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.stores.memory import MemoryDriver
from nitro_py.stores.postgres import PostgresDriver
from nitro_py.stores.redis import RedisDriver
from nitro_py.stores.sqlite import SqliteDriver
from nitro_py.testing.stores import MakeDriver, SharedStorageConformance, StorageConformance, StoreFaults
from tests.brokers.postgres import PostgresServer, run_postgres
from tests.brokers.processes import RealBroker, run_broker


class TestMemory(StorageConformance):
    """The suite in one process."""

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        return lambda namespace: MemoryDriver("", namespace)


class TestSqlite(SharedStorageConformance):
    """The suite on a file."""

    @pytest.fixture
    def make_driver(self, tmp_path: Path) -> MakeDriver:
        return lambda namespace: SqliteDriver(f"sqlite://{tmp_path}/sub folder/storage.sqlite3", namespace)


@pytest.mark.slow
class TestRedis(SharedStorageConformance, StoreFaults):
    """The suite on a server of Valkey."""

    @pytest.fixture
    def store(self) -> Iterator[RealBroker]:
        with run_broker("redis") as store:
            yield store

    @pytest.fixture
    def make_driver(self, store: RealBroker) -> MakeDriver:
        return lambda namespace: RedisDriver(store.url, namespace)


@pytest.mark.slow
class TestPostgres(SharedStorageConformance, StoreFaults):
    """The suite on a server of Postgres."""

    @pytest.fixture
    def store(self) -> Iterator[PostgresServer]:
        with run_postgres() as store:
            yield store

    @pytest.fixture
    def make_driver(self, store: PostgresServer) -> MakeDriver:
        return lambda namespace: PostgresDriver(store.url, namespace)
