"""The built-in storage drivers keep the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.stores.memory import MemoryDriver
from nitro_py.stores.sqlite import SqliteDriver
from nitro_py.testing.stores import MakeDriver, SharedStorageConformance, StorageConformance


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
