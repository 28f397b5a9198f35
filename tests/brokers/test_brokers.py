"""Redis and NATS keep the contract, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.errors import SlowConsumerError

from nitro_py.backplane import Backplane, Outgoing
from nitro_py.brokers.nats import NatsBackplane
from nitro_py.brokers.redis import RedisBackplane
from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import BackplaneError
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.testing.backplanes import BackplaneConformance, BrokerFaults, MakeBackplane
from tests.brokers.processes import BROKERS, PATIENCE, RealBroker, run_broker


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


PERMISSIONS = """
authorization { users = [
  {
    user: u, password: p,
    permissions: { publish: { deny: ["app.Silent"] }, subscribe: { deny: ["app.Deaf%2Eone"] } }
  }
] }
"""


@pytest.mark.anyio
async def test_topic_that_nats_forbids_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def receive(data: bytes) -> None:
        raise AssertionError(data)

    (tmp_path / "nats.conf").write_text(PERMISSIONS)
    with run_broker("nats", "--config", str(tmp_path / "nats.conf")) as broker:
        backplane = NatsBackplane(f"nats://u:p@{broker.url.partition('://')[2]}", "app")
        for _ in range(2):
            connection = await backplane.connect(receive)
            await connection.subscribe(["Deaf.one", "allowed"])
            for _ in range(2):
                await connection.publish([Outgoing("allowed", b"x"), Outgoing("Silent", b"x")])
            await connection.close()
            with pytest.raises(BackplaneError, match="it was closed"):
                await connection.wait_lost()
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "The broker forbids subscribing to the topic `Deaf.one`",
        "The broker forbids publishing to the topic `Silent`",
    ]


@pytest.mark.anyio
async def test_redis_is_reached_by_a_unix_socket(tmp_path: Path) -> None:
    received = asyncio.Queue[bytes]()
    path = tmp_path / "redis.sock"
    with run_broker("redis", "--unixsocket", str(path)):
        connection = await RedisBackplane(f"unix://{path}", "app").connect(received.put)
        await connection.subscribe(["a"])
        await connection.publish([Outgoing("a", b"x")])
        async with asyncio.timeout(PATIENCE):
            assert await received.get() == b"x"
        await connection.close()


@pytest.mark.slow
class TestBrokers(BackplaneConformance, BrokerFaults):
    """The suite, on each broker."""
