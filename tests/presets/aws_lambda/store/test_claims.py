"""Open and close: an invocation claims each for a lease, then another may; once done, none can."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from nitro_presets.aws_lambda.store.contract import ConnectionStore, OpenState, Round
from nitro_presets.aws_lambda.store.rows import CONNECT_TIME, SWEEP_GRACE
from tests.presets.aws_lambda.store.stores import (
    LEASE,
    LIFE,
    Clock,
    connect,
    list_expired,
    list_ids,
    make_row,
)

pytestmark = pytest.mark.anyio

ID = "BFHPhfCWIAMCKlQ="


async def claim_open(store: ConnectionStore) -> str:
    """Claim the open hook, which must succeed, and return the claim's token."""
    claim = await store.claim_open(ID, LEASE)
    assert claim.outcome == "claimed"
    assert claim.row is not None
    assert (claim.row.open_state, claim.row.url) == ("running", make_row().url)
    return claim.row.open_token


async def end(store: ConnectionStore) -> None:
    """Go through the end of a connection, which must be there to claim."""
    claim = await store.claim_close(ID, LEASE)
    assert claim.outcome == "claimed"
    assert claim.row is not None
    await store.delete_topics(claim.row)
    await store.delete_connection(claim.row)


async def test_open_is_claimed_once(store: ConnectionStore, clock: Clock) -> None:
    await connect(store, open_state="pending")
    token = await claim_open(store)
    running = await store.claim_open(ID, LEASE)
    assert running.outcome == "running"
    assert running.row is not None
    assert running.row.open_lease == clock.now + LEASE
    assert await store.save(ID, {"greeted": True}, open_token=token)
    clock.now += LEASE
    done = await store.claim_open(ID, LEASE)
    assert done.outcome == "done"
    assert done.row is not None
    assert (done.row.open_state, done.row.context) == ("done", {"greeted": True})


async def test_route_without_open_hook_has_nothing_to_claim(store: ConnectionStore) -> None:
    await connect(store)
    assert (await store.claim_open(ID, LEASE)).outcome == "done"


async def test_open_may_start_again_after_the_lease(store: ConnectionStore, clock: Clock) -> None:
    await connect(store, open_state="pending")
    first = await claim_open(store)
    clock.now += LEASE - 0.5
    assert (await store.claim_open(ID, LEASE)).outcome == "running"
    clock.now += 0.5
    second = await claim_open(store)
    assert second != first
    assert (await store.claim_open(ID, LEASE)).outcome == "running"


async def test_claim_that_was_lost_ends_nothing_and_still_saves(store: ConnectionStore, clock: Clock) -> None:
    await connect(store, open_state="pending")
    lost = await claim_open(store)
    clock.now += LEASE
    held = await claim_open(store)
    assert await store.save(ID, {"by": "lost"}, open_token=lost)
    assert await store.save(ID, {}, open_token=lost)
    running = await store.claim_open(ID, LEASE)
    assert running.outcome == "running"
    assert running.row is not None
    assert running.row.context == {"by": "lost"}
    assert await store.save(ID, {}, open_token=held)
    assert (await store.claim_open(ID, LEASE)).outcome == "done"


async def test_lease_that_passed_unnoticed_is_still_done(store: ConnectionStore, clock: Clock) -> None:
    await connect(store, open_state="pending")
    token = await claim_open(store)
    clock.now += LEASE * 2
    assert await store.save(ID, {}, open_token=token)
    assert (await store.claim_open(ID, LEASE)).outcome == "done"


@pytest.mark.parametrize("lapsed", [False, True])
async def test_one_of_twenty_opens(store: ConnectionStore, clock: Clock, lapsed: bool) -> None:
    await connect(store, open_state="pending")
    if lapsed:
        await claim_open(store)
        clock.now += LEASE
    claims = await asyncio.gather(*(store.claim_open(ID, LEASE) for _ in range(20)))
    assert Counter(claim.outcome for claim in claims) == {"claimed": 1, "running": 19}


@pytest.mark.parametrize("lapsed", [False, True])
async def test_one_of_twenty_closes(store: ConnectionStore, clock: Clock, lapsed: bool) -> None:
    await connect(store)
    if lapsed:
        await store.claim_close(ID, LEASE)
        clock.now += LEASE
    claims = await asyncio.gather(*(store.claim_close(ID, LEASE, disconnected=n % 2 == 0) for n in range(20)))
    assert Counter(claim.outcome for claim in claims) == {"claimed": 1, "running": 19}


@pytest.mark.parametrize("state", ["none", "running", "done"])
async def test_close_hook_is_due_once_open_was_claimed(store: ConnectionStore, state: OpenState) -> None:
    await connect(store, open_state="none" if state == "none" else "pending", context={"a": 1})
    if state != "none":
        token = await claim_open(store)
        await store.save(ID, {}, open_token=token if state == "done" else "")
    claim = await store.claim_close(ID, LEASE)
    assert claim.outcome == "claimed"
    assert claim.row is not None
    assert (claim.row.opened, claim.row.closing, claim.row.context) == (True, True, {"a": 1})
    assert (await store.claim_open(ID, LEASE)).outcome == "gone"


async def test_connection_that_was_not_opened_ends_without_its_hooks(store: ConnectionStore, clock: Clock) -> None:
    await connect(store, open_state="pending")
    claim = await store.claim_close(ID, LEASE)
    assert claim.outcome == "claimed"
    assert claim.row is not None
    assert not claim.row.opened
    clock.now += LEASE * 2
    assert (await store.claim_open(ID, LEASE)).outcome == "gone"


async def test_open_and_end_in_a_race_agree(store: ConnectionStore) -> None:
    for n in range(10):
        id = f"{n}="
        await connect(store, id, open_state="pending")
        opened, closed = await asyncio.gather(store.claim_open(id, LEASE), store.claim_close(id, LEASE))
        assert closed.row is not None
        assert closed.row.opened == (opened.outcome == "claimed")


async def test_end_is_told_twice(store: ConnectionStore) -> None:
    await connect(store)
    claim = await store.claim_close(ID, LEASE, disconnected=True)
    assert (await store.claim_close(ID, LEASE, disconnected=True)).outcome == "running"
    assert claim.row is not None
    await store.delete_connection(claim.row)
    again = await store.claim_close(ID, LEASE, disconnected=True)
    assert (again.outcome, again.row) == ("gone", None)
    assert (await store.claim_close(ID, LEASE)).outcome == "gone"


async def test_end_that_is_never_told_is_found(store: ConnectionStore, clock: Clock) -> None:
    row = await connect(store)
    clock.now = row.expires_at - 1
    assert await list_expired(store) == set()
    clock.now += 1
    assert await list_expired(store) == {ID}
    await end(store)
    assert await list_expired(store) == set()


async def test_end_that_is_found_very_late_still_has_its_hook(store: ConnectionStore, clock: Clock) -> None:
    row = await connect(store)
    clock.now = row.expires_at + SWEEP_GRACE + 1
    assert await list_expired(store) == {ID}
    await end(store)


async def test_end_that_was_not_finished_is_found_after_its_lease(store: ConnectionStore, clock: Clock) -> None:
    await connect(store)
    first = await store.claim_close(ID, LEASE)
    clock.now += LEASE - 1
    assert await list_expired(store) == set()
    clock.now += 2
    assert await list_expired(store) == {ID}
    again = await store.claim_close(ID, LEASE)
    assert again.outcome == "claimed"
    assert again.row is not None
    assert first.row is not None
    assert again.row.close_token != first.row.close_token
    assert await list_expired(store) == set()


async def test_context_can_be_saved_while_the_end_runs(store: ConnectionStore) -> None:
    await connect(store)
    await store.claim_close(ID, LEASE)
    assert await store.save(ID, {"last": "words"})


async def test_peer_that_left_before_its_row_was_written_is_closed_once(store: ConnectionStore) -> None:
    early = await store.claim_close(ID, LEASE, disconnected=True)
    assert (early.outcome, early.row) == ("gone", None)
    assert await store.get_connection(ID) is None
    assert not await store.put_connection(make_row(context={"a": 1}))
    assert not await store.subscribe(make_row(), "t")
    row = await store.get_connection(ID)
    assert row is not None
    assert (row.closing, row.context) == (True, {"a": 1})
    await end(store)
    assert (await store.claim_close(ID, LEASE, disconnected=True)).outcome == "gone"
    assert await list_ids(store, "t") == []


async def test_peer_that_left_early_is_not_opened(store: ConnectionStore) -> None:
    await store.claim_close(ID, LEASE, disconnected=True)
    assert not await store.put_connection(make_row(open_state="pending"))
    assert (await store.claim_open(ID, LEASE)).outcome == "gone"
    claim = await store.claim_close(ID, LEASE)
    assert claim.row is not None
    assert not claim.row.opened


async def test_peer_that_left_early_is_found_when_nobody_closes_it(store: ConnectionStore, clock: Clock) -> None:
    await store.claim_close(ID, LEASE, disconnected=True)
    await store.put_connection(make_row())
    clock.now += 1
    assert await list_expired(store) == {ID}


async def test_only_the_platform_knows_of_peers_to_come(store: ConnectionStore) -> None:
    assert (await store.claim_close(ID, LEASE)).outcome == "gone"
    assert await store.put_connection(make_row())


async def test_row_is_not_put_again_after_the_end(store: ConnectionStore, clock: Clock) -> None:
    await connect(store)
    assert await store.put_connection(make_row())
    await end(store)
    clock.now += CONNECT_TIME
    assert not await store.put_connection(make_row())
    assert (await store.claim_close(ID, LEASE)).outcome == "gone"
    clock.now += LIFE
    assert await list_expired(store) == set()


async def test_connecting_and_leaving_at_once_ends_once(store: ConnectionStore) -> None:
    for n in range(10):
        row = make_row(f"{n}=")
        ended: list[str] = []

        async def leave(disconnected: bool, id: str = row.id, ended: list[str] = ended) -> None:
            claim = await store.claim_close(id, LEASE, disconnected=disconnected)
            if claim.outcome == "claimed" and claim.row is not None:
                ended.append(id)
                await store.delete_connection(claim.row)

        stored, _ = await asyncio.gather(store.put_connection(row), leave(True))
        if not stored:
            await leave(False)
        assert ended == [row.id]


async def test_message_is_taken_once(store: ConnectionStore) -> None:
    assert (await store.take_message(ID, 7)).outcome == "gone"
    await connect(store, context={"a": 1})
    number = 18_850_000_000_000_000_256
    claims = await asyncio.gather(*(store.take_message(ID, number) for _ in range(10)))
    assert Counter(claim.outcome for claim in claims) == {"claimed": 1, "done": 9}
    assert all(claim.row is not None and claim.row.context == {"a": 1} for claim in claims)
    assert (await store.take_message(ID, number + 256)).outcome == "claimed"
    # One that was passed is not gone back to.
    assert (await store.take_message(ID, number)).outcome == "done"
    await store.claim_close(ID, LEASE)
    ended = await store.take_message(ID, number + 512)
    assert ended.row is not None
    assert (ended.outcome, ended.row.closing) == ("claimed", True)


async def test_round_of_the_sweep_is_kept(store: ConnectionStore) -> None:
    assert await store.read_round() == Round()
    for reached in (Round("[1,2,3]", 1_700_000_000.5), Round(None, 0.0)):
        await store.save_round(reached)
        assert await store.read_round() == reached
