"""Sweeps of more than one page, and peers whose end is claimed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nitro_presets.aws_lambda.fanout import publish as publish_module
from nitro_presets.aws_lambda.websocket.function import SWEEP_PAGE
from nitro_py.errors import PeerClosedError
from nitro_py.peer import Peer, ReadyState
from tests.doubles.memory_store import MemoryStore
from tests.presets.aws_lambda.websocket.events import ID, connecting, make_event, saying
from tests.presets.aws_lambda.websocket.log import Log
from tests.presets.aws_lambda.websocket.stage import Cloud

pytestmark = pytest.mark.anyio


def fail_for(cloud: Cloud, *ids: str) -> list[str]:
    """Let the end of some peers fail, and return the ids that are tried."""
    tried: list[str] = []
    delete = cloud.store.delete_topics

    async def fail(row: Any) -> None:
        tried.append(row.id)
        if row.id in ids:
            raise OSError("unplugged")
        await delete(row)

    cloud.store.delete_topics = fail  # type: ignore[method-assign]
    return tried


@pytest.mark.parametrize("failing", [(0,), (SWEEP_PAGE - 1,), (SWEEP_PAGE,), tuple(range(SWEEP_PAGE)), ()])
async def test_sweep_goes_through_all_pages_whatever_fails_in_one(failing: tuple[int, ...]) -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"))
    ids = [f"{n:05}=" for n in range(2 * SWEEP_PAGE + 7)]
    for id in ids:
        await cloud.run(connecting(id))
    cloud.clock.ahead = 3 * 3600
    broken = [ids[n] for n in failing]
    tried = fail_for(cloud, *broken)
    await asyncio.wait_for(cloud.sweep(), 20)
    assert cloud.failures == []
    assert sorted(tried) == ids
    assert sorted(peer.id for peer in log.peers) == sorted(set(ids) - set(broken))
    # Those that failed are found again once their claim has passed.
    tried.clear()
    cloud.clock.ahead += 3600
    await asyncio.wait_for(cloud.sweep(), 20)
    assert sorted(tried) == broken


async def test_sweep_ends_where_its_time_does() -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"))
    for n in range(2 * SWEEP_PAGE):
        await cloud.run(connecting(f"{n:05}="))
    cloud.clock.ahead = 3 * 3600
    await cloud.run({"nitro": {"kind": "sweep"}}, seconds=4.0)
    assert log.entries == []
    await cloud.sweep()
    assert len(log.entries) == 2 * SWEEP_PAGE


async def test_sweep_resumes_the_jobs_of_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_module, "DUE_PAGE", 3)
    cloud = Cloud(fan_out_threshold=2)
    ids = [f"{n:05}=" for n in range(20)]
    await cloud.populate(ids)
    # The walk adds ten jobs, and not one of their invocations comes.
    await cloud.hub().publish("news", "x")
    cloud.copies = 0
    await cloud.settle()
    waiting = len(cloud.sent)
    assert waiting > 3
    assert cloud.management.received == {}
    cloud.copies = 1
    cloud.clock.ahead = 120
    await asyncio.wait_for(cloud.sweep(), 20)
    assert {id: len(texts) for id, texts in cloud.management.received.items()} == dict.fromkeys(ids, 1)


async def test_message_to_a_peer_whose_end_is_claimed_is_dropped() -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "message"))
    await cloud.run(connecting(ID))
    await cloud.settle()
    claim = await cloud.store.claim_close(ID, 30)
    assert claim.outcome == "claimed"
    await cloud.run(saying(ID, "late"))
    assert log.entries == ["open"]


async def test_message_that_waits_for_the_open_hook_of_a_peer_whose_end_is_claimed_is_dropped() -> None:
    log, gate = Log(), asyncio.Event()

    async def open(peer: Peer) -> None:
        await gate.wait()

    cloud = Cloud(log.hooks("message", open=open))
    await cloud.run(connecting(ID))
    waiting = cloud.start(saying(ID, "late"))
    await asyncio.sleep(0.05)
    await cloud.store.claim_close(ID, 30)
    gate.set()
    await asyncio.wait([waiting], timeout=20)
    await cloud.settle()
    assert (log.entries, cloud.failures) == ([], [])


async def test_peer_whose_end_is_claimed_is_gone_for_others_too() -> None:
    cloud = Cloud(Log().hooks("close"))
    for id in (ID, "other="):
        await cloud.run(connecting(id))
    hub = cloud.hub()
    held = await hub.get_peer(ID)
    assert held is not None
    claim = await cloud.store.claim_close(ID, 30)
    assert await hub.get_peer(ID) is None
    assert [peer.id async for peer in hub.peers()] == ["other="]
    assert claim.row is not None
    peer = hub.make_peer(claim.row)
    assert peer.ready_state is ReadyState.CLOSED
    with pytest.raises(PeerClosedError):
        await peer.send("late")
    await peer.close()
    for known in (held, peer):
        with pytest.raises(PeerClosedError):
            await known.subscribe("news")
    assert cloud.management.requests == 0


async def test_end_is_claimed_by_one_alone_until_its_lease_passes() -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"))
    await cloud.run(connecting(ID))
    await cloud.store.claim_close(ID, 30)
    await cloud.run(make_event("DISCONNECT", ID, context={"disconnectStatusCode": 1000}))
    assert log.entries == []
    cloud.clock.ahead = 31
    await cloud.run(make_event("DISCONNECT", ID, context={"disconnectStatusCode": 1000}))
    assert log.entries == ["close 1000"]


@pytest.mark.parametrize("context", [{}, {"disconnectStatusCode": None}, {"disconnectStatusCode": 1005}])
async def test_end_without_a_code_is_told_as_1005(context: dict[str, Any]) -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"))
    await cloud.run(connecting(ID))
    await cloud.run(make_event("DISCONNECT", ID, context=context))
    assert log.entries == ["close 1005"]


def age(cloud: Cloud) -> None:
    """Let all connections be some minutes old."""
    assert isinstance(cloud.store, MemoryStore)
    for id, row in cloud.store._rows.items():
        cloud.store._rows[id] = row._replace(connected_at=row.connected_at - 120)


async def test_sweep_ends_peers_that_api_gateway_does_not_know() -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"))
    ids = [f"{n:05}=" for n in range(250)]
    for id in ids:
        await cloud.run(connecting(id))
    cloud.management.gone = set(ids[::50])
    await cloud.sweep()
    # One that has just connected may be on its way.
    assert (log.entries, cloud.management.asked) == ([], [])
    age(cloud)
    await asyncio.wait_for(cloud.sweep(), 20)
    assert cloud.failures == []
    assert log.entries == ["close 1006"] * 5
    assert sorted(cloud.management.asked) == sorted(set(ids) - cloud.management.gone)
    assert len([peer async for peer in cloud.hub().peers()]) == 245


async def test_sweep_goes_on_where_its_budget_ended(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"), sweep_calls=100)
    ids = [f"{n:05}=" for n in range(250)]
    for id in ids:
        await cloud.run(connecting(id))
    age(cloud)
    for count in (100, 200, 250):
        assert capsys.readouterr().out == ""
        await asyncio.wait_for(cloud.sweep(), 20)
        assert len(cloud.management.asked) == count
    assert sorted(cloud.management.asked) == ids
    metric = json.loads(capsys.readouterr().out)
    assert (metric["Function"], metric["Ghosts"]) == ("sockets", 0)
    assert metric["RoundSeconds"] >= 0
    names = [one["Name"] for one in metric["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert names == ["RoundSeconds", "Ghosts"]


async def test_sweep_closes_peers_of_a_removed_route_and_can_be_off() -> None:
    cloud = Cloud(Log().hooks("close"))
    await cloud.run(connecting(ID))
    age(cloud)
    cloud.app.manifest = cloud.app.manifest._replace(routes=())
    await cloud.sweep()
    assert (cloud.management.deleted, cloud.management.asked) == ([ID], [])
    off = Cloud(Log().hooks("close"), sweep_calls=0)
    await off.run(connecting(ID))
    age(off)
    await off.sweep()
    assert off.management.requests == 0
