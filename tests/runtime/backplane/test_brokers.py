"""Redis and NATS keep the contract, on real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nitro_py.backplane import Backplane
from nitro_py.runtime.backplane.registry import load_backplane
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.testing.backplanes import BackplaneConformance, BrokerFaults, MakeBackplane
from tests.brokers import BROKERS, RealBroker, run_broker


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[RealBroker]:
    """Runs a broker for one test."""
    with run_broker(request.param) as broker:
        yield broker


@pytest.fixture
def make_backplane(broker: RealBroker) -> MakeBackplane:
    """Makes backplanes as an app's settings do."""

    def make(prefix: str) -> Backplane:
        backplane = load_backplane(BackplaneSettings(broker.name, broker.url, prefix))
        assert backplane is not None
        return backplane

    return make


class TestBrokers(BackplaneConformance, BrokerFaults):
    """Runs the suite on each."""
