"""The connection to the broker: lost in whatever moment, silent, and in a process that stands still."""

from __future__ import annotations

import asyncio
import time

import pytest

from nitro_py.backplane import Backplane
from nitro_py.brokers.registry import load_backplane
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.runtime.topics import broker_link
from nitro_py.runtime.topics.broker_link import ANSWER_TIMEOUT
from nitro_py.testing.backplanes import MemoryBroker, until
from tests.brokers.processes import BROKERS, BrokerName, run_broker
from tests.runtime.backplane.process import Process, processes

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("turns", range(8))
async def test_stop_ends_in_whatever_moment_the_broker_is_lost(turns: int) -> None:
    broker = MemoryBroker()

    async def live() -> None:
        async with processes(broker, 1):
            broker.stop()
            for _ in range(turns):
                await asyncio.sleep(0)

    living = asyncio.create_task(live())
    # Not a time-out around it: the stop would take that for its own cancellation.
    done, _ = await asyncio.wait([living], timeout=30)
    living.cancel()
    assert done


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKERS)
async def test_process_that_stood_still_has_not_lost_the_broker(
    name: BrokerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A broker answers sooner, on a machine that is busy too.
    monkeypatch.setattr(broker_link, "ANSWER_TIMEOUT", 2.0)
    with run_broker(name) as broker:
        backplane = load_backplane(BackplaneSettings(name, broker.url))
        assert backplane is not None
        one = Process(backplane)
        async with one.hub.running():
            await one.until_connected()
            for _ in range(3):
                publishing = asyncio.create_task(one.hub.publish("a", "x"))
                # It is on its way then.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                time.sleep(2.5)  # noqa: ASYNC251
                await publishing
            assert (one.state.failures, one.state.connected, one.state.reconnects) == (0, True, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKERS)
async def test_broker_that_falls_silent_holds_nobody_up_for_long(name: BrokerName) -> None:
    with run_broker(name) as broker:

        def make() -> Backplane:
            backplane = load_backplane(BackplaneSettings(name, broker.url))
            assert backplane is not None
            return backplane

        one, two = Process(make()), Process(make())
        async with one.hub.running(), two.hub.running():
            here, there = await one.join("here", "a"), await two.join("there", "a")
            broker.freeze()
            try:
                async with asyncio.timeout(2 * ANSWER_TIMEOUT):
                    await one.hub.publish("a", "in doubt")
                    await one.join("late", "b")
            finally:
                broker.thaw()
            assert (here.frames, one.state.failures) == (["in doubt"], 1)
            for process in (one, two):
                await process.until_connected()
            await one.hub.publish("a", "sure")
            await until(lambda: "sure" in there.frames, "the second", lambda: there.frames)
            # The broker may have taken what it did not answer to: at most once, and no subscriber gets it twice.
            assert there.frames.count("in doubt") <= 1
            assert here.frames == ["in doubt", "sure"]
