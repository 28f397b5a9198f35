"""The contract of `nitro_py.backplane` as tests, for authors of backplanes.

Subclass `BackplaneConformance` in a test module, and define a fixture named `make_backplane`. It returns a
function that makes a backplane with a prefix, for a real broker that runs:

    from nitro_py.testing.backplanes import BackplaneConformance, MakeBackplane

    @pytest.fixture
    def make_backplane() -> MakeBackplane:
        return lambda prefix: MyBackplane("mine://127.0.0.1:7000", prefix)

    class TestMyBackplane(BackplaneConformance):
        pass

`BrokerFaults` needs a second fixture, `broker`, a `Broker` that can be stopped and started. `MemoryBroker` is a
broker in the test's own process, for tests of code that uses a backplane. Needs pytest and anyio, which the extra
`dev` installs.
"""

from __future__ import annotations

import pytest

# pytest rewrites only test modules by itself, and a bare `AssertionError` says nothing.
pytest.register_assert_rewrite("nitro_py.testing.backplanes.suite")

from nitro_py.testing.backplanes.memory import MemoryBroker  # noqa: E402
from nitro_py.testing.backplanes.suite import (  # noqa: E402
    BackplaneConformance,
    Broker,
    BrokerFaults,
    MakeBackplane,
    until,
)

__all__ = ["BackplaneConformance", "Broker", "BrokerFaults", "MakeBackplane", "MemoryBroker", "until"]
