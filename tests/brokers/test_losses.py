"""What waits at a broker fails at once when the broker is lost, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from nitro_py.backplane import Backplane, BackplaneConnection, Outgoing
from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import BackplaneError
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.runtime.topics.broker_link import ANSWER_TIMEOUT
from tests.brokers.processes import BROKERS, BrokerName, RealBroker, run_broker

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CALLS: dict[str, Callable[[BackplaneConnection], Awaitable[None]]] = {
    "publish": lambda connection: connection.publish([Outgoing("a", b"x")]),
    "subscribe": lambda connection: connection.subscribe(["b", "c"]),
    "unsubscribe": lambda connection: connection.unsubscribe(["a"]),
    "wait_lost": lambda connection: connection.wait_lost(),
}


async def receive(data: bytes) -> None:
    """Take a message."""


def make_backplane(broker: RealBroker) -> Backplane:
    """Return the way to a broker."""
    backplane = load_backplane(BackplaneSettings(broker.name, broker.url))
    assert backplane is not None
    return backplane


async def call(method: Callable[[BackplaneConnection], Awaitable[None]], connection: BackplaneConnection) -> None:
    """Call a method of a connection."""
    await method(connection)


async def test_all_that_waits_at_redis_fails_at_once_when_it_is_lost() -> None:
    # The client of NATS notices after its time; the link of a process does not wait for that.
    with run_broker("redis") as broker:
        before = asyncio.all_tasks()
        connection = await make_backplane(broker).connect(receive)
        await connection.subscribe(["a"])
        broker.freeze()
        waiting = [asyncio.create_task(call(method, connection)) for method in CALLS.values()]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in waiting)
        broker.stop()
        done, _ = await asyncio.wait(waiting, timeout=ANSWER_TIMEOUT / 2)
        assert done == set(waiting)
        for task in waiting:
            assert isinstance(task.exception(), BackplaneError)
        for method in (CALLS["publish"], CALLS["subscribe"]):
            with pytest.raises(BackplaneError):
                await method(connection)
        await connection.close()
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while asyncio.all_tasks() != before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_failed_connect_leaves_no_connection_at_redis() -> None:
    with run_broker("redis") as broker:
        admin = Redis(port=broker.port)
        await admin.execute_command("ACL", "SETUSER", "default", "-ping")  # type: ignore[no-untyped-call]
        # The error is held for the whole test, and with it the frames of the attempt.
        with pytest.raises(BackplaneError, match="no permissions") as caught:
            await make_backplane(broker).connect(receive)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while len(await admin.client_list()) > 1:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        assert caught.value is not None
        await admin.aclose()


@pytest.mark.parametrize("name", BROKERS)
async def test_connect_to_a_broker_that_is_silent_or_gone_leaves_nothing_behind(name: BrokerName) -> None:
    with run_broker(name) as broker:
        before = asyncio.all_tasks()
        broker.freeze()
        connecting = asyncio.ensure_future(make_backplane(broker).connect(receive))
        await asyncio.sleep(0.2)
        assert not connecting.done()
        broker.stop()
        with pytest.raises(BackplaneError):
            await asyncio.wait_for(connecting, ANSWER_TIMEOUT / 2)
        with pytest.raises(BackplaneError):
            await asyncio.wait_for(make_backplane(broker).connect(receive), ANSWER_TIMEOUT)
        broker.start()
        broker.freeze()
        connecting = asyncio.ensure_future(make_backplane(broker).connect(receive))
        await asyncio.sleep(0.2)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while asyncio.all_tasks() != before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
