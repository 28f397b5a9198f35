"""Redis and NATS keep the contract, on real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nats.errors import SlowConsumerError

from nitro_py.backplane import Backplane
from nitro_py.brokers.nats import NatsBackplane
from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import BackplaneError
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.testing.backplanes import BackplaneConformance, BrokerFaults, MakeBackplane
from tests.brokers.processes import BROKERS, RealBroker, run_broker


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[RealBroker]:
    """Run a broker for one test."""
    with run_broker(request.param) as broker:
        yield broker


@pytest.fixture
def make_backplane(broker: RealBroker) -> MakeBackplane:
    """Make backplanes as an app's settings do."""

    def make(prefix: str) -> Backplane:
        backplane = load_backplane(BackplaneSettings(broker.name, broker.url, prefix))
        assert backplane is not None
        return backplane

    return make


@pytest.mark.anyio
async def test_nats_client_that_drops_messages_is_given_up() -> None:
    async def receive(data: bytes) -> None:
        raise AssertionError(data)

    with run_broker("nats") as broker:
        connection = await NatsBackplane(broker.url, "app").connect(receive)
        await connection.subscribe(["a"])
        (subscription,) = connection._subscriptions.values()
        # What the client tells whom it has too many messages for.
        await connection.note_error(SlowConsumerError("app.a", "", 1, subscription))
        with pytest.raises(BackplaneError, match="slow consumer"):
            await connection.wait_lost()
        await connection.close()


@pytest.mark.slow
class TestBrokers(BackplaneConformance, BrokerFaults):
    """The suite, on each broker."""
