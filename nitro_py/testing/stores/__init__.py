"""The contract of `nitro_py.storage_driver` as tests, for authors of storage drivers.

Subclass `SharedStorageConformance` in a test module, and define a fixture named `make_driver`. It returns a
function that makes a driver with a namespace, for a real store that runs:

    from nitro_py.testing.stores import MakeDriver, SharedStorageConformance

    @pytest.fixture
    def make_driver() -> MakeDriver:
        return lambda namespace: MyDriver("mine://127.0.0.1:7000", namespace)

    class TestMyDriver(SharedStorageConformance):
        pass

`StorageConformance` is for a driver whose values are those of one process. `StoreFaults` is for a store that is
reached over a network; it needs a second fixture, `store`, a `Broker` of `nitro_py.testing.backplanes` that can be
stopped and started. The store may lose its values by that. Needs pytest and anyio, which the extra `dev` installs.
"""

from __future__ import annotations

import pytest

# pytest rewrites only test modules by itself, and a bare `AssertionError` says nothing.
pytest.register_assert_rewrite("nitro_py.testing.stores.suite")

from nitro_py.testing.stores.suite import (  # noqa: E402
    Clock,
    MakeDriver,
    SharedStorageConformance,
    StorageConformance,
    StoreFaults,
)

__all__ = ["Clock", "MakeDriver", "SharedStorageConformance", "StorageConformance", "StoreFaults"]
