"""A publication to 100,000 subscribers, with 429s and 410s, and with invocations that are killed in the middle.

Half as many for the latter. `NITRO_SIMULATION=quick` makes it a tenth of both.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from nitro_presets.aws_lambda.websocket.services import MAX_PAYLOAD
from nitro_py.peer import Peer
from tests.presets.aws_lambda.fanout.deaths import Audience, MortalCloud

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600), pytest.mark.slow]

SUBSCRIBERS = 10_000 if os.environ.get("NITRO_SIMULATION") == "quick" else 100_000
SHARDS = 4
BUSY, GONE = 0.05, 0.01


async def simulate(subscribers: int, page: int, risk: float) -> tuple[MortalCloud, Counter[str]]:
    """Publish to everybody, sweeps until nothing is left to do, and count what each peer has received."""
    closed: Counter[str] = Counter()

    def close(peer: Peer) -> None:
        closed[peer.id] += 1

    chance = random.Random(7)
    cloud = MortalCloud({"close": close}, risk=risk, shards=SHARDS, fan_out_threshold=page)
    ids = [f"{n:06}AMCKlQ=" for n in range(subscribers)]
    await cloud.populate(ids)
    cloud.management.gone = {id for id in ids if chance.random() < GONE}
    cloud.management.busy = Counter({id: chance.randint(1, 3) for id in ids if chance.random() < BUSY})
    cloud.audience = Audience([id for id in ids if id not in cloud.management.gone], SHARDS)
    await cloud.hub().publish("news", "hello")
    await cloud.settle()
    for _ in range(100):
        cloud.clock.ahead += 90
        if not (await cloud.jobs.due()).items:
            break
        await cloud.sweep()
    assert cloud.failures == []
    assert (await cloud.jobs.due()).items == ()
    # Each dead peer is closed once, and only dead ones are.
    assert set(closed) <= cloud.management.gone
    assert set(closed.values()) == {1}
    assert max(map(len, cloud.payloads)) <= MAX_PAYLOAD
    assert max(work["hop"] for work in cloud.sent if work["kind"] == "job") <= 3
    if not risk:
        assert set(closed) == cloud.management.gone
    return cloud, Counter({id: len(texts) for id, texts in cloud.management.received.items()})


async def test_everybody_healthy_receives_exactly_one() -> None:
    cloud, received = await simulate(SUBSCRIBERS, page=500, risk=0)
    assert cloud.deaths == []
    assert received == Counter(cloud.audience.ids)


async def test_nobody_receives_two_and_who_misses_it_was_being_posted_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cloud, received = await simulate(SUBSCRIBERS // 2, page=200, risk=0.4)
    missed = cloud.audience.ids - received.keys()
    announced = sum(death.announced for death in cloud.deaths)
    begun = sum(death.begun for death in cloud.deaths)
    kinds = Counter(death.kind for death in cloud.deaths)
    with capsys.disabled():
        print(
            f"\n{len(cloud.audience.ids)} healthy subscribers, {len(cloud.deaths)} deaths ({dict(kinds)}): "
            f"{len(missed)} missed the message; {announced} posts were in flight at the deaths, of which {begun} "
            f"had left and {announced - begun} had been written down to leave"
        )
    assert max(received.values()) == 1
    assert received.keys() <= cloud.audience.ids
    assert len(missed) <= announced
    assert {"walk", "post", "resumed"} <= kinds.keys()
    # What the dead had left to do was done by others.
    assert missed
    assert len(missed) < len(cloud.deaths) * 128
