"""The contract of `nitro_py.backplane` as tests, for whoever writes a backplane.

Its user subclasses `BackplaneConformance` in a test module of their own, and gives a fixture named
`make_backplane` that makes a backplane of a prefix, for one broker that really runs:

    from nitro_py.testing.backplanes import BackplaneConformance, MakeBackplane

    @pytest.fixture
    def make_backplane() -> MakeBackplane:
        return lambda prefix: MyBackplane("mine://127.0.0.1:7000", prefix)

    class TestMyBackplane(BackplaneConformance):
        pass

`BrokerFaults` needs a second fixture, `broker`, which can be stopped and started. `MemoryBroker` is a broker in
the test's own process, for what is built on a backplane. Needs pytest and anyio, which the extra `dev` installs.
"""

from __future__ import annotations

import pytest

# The module is none of pytest's own, and a bare `AssertionError` tells nothing.
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
