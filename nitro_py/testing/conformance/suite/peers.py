"""Peers: what they tell, how they close, how others reach them."""

from __future__ import annotations

import asyncio

import pytest

from nitro_py.testing.answers import Closed
from nitro_py.testing.conformance.suite.steps import ask, do, make_key, open_script, poll, reach
from nitro_py.testing.conformance.target import Socket, Target, requires


async def identify(socket: Socket) -> str:
    """Return the id of a scripted peer."""
    id: str = (await ask(socket, "state"))["id"]
    return id


@pytest.mark.anyio
class Peers:
    """Tests of the contract's paragraph "Peer"."""

    @requires("websocket")
    async def test_peer_tells_all_about_itself(self, target: Target) -> None:
        """Check W3 and W11 of the contract."""
        key = make_key()
        path = f"/ws/script/{key}?a=x%20y"
        headers = {"x-word": "hello", "cookie": "id=7; name=ada", "host": "app.example"}
        async with target.connect(path, headers=headers) as socket:
            told = await ask(socket, "state")
        assert told.pop("str") == told.pop("id") != ""
        assert told.pop("remote_address") is not None
        assert told == {
            "buffered_amount": 0,
            "context": {},
            "cookies": {"id": "7", "name": "ada"},
            "header": "hello",
            "namespace": f"/ws/script/{key}",
            "params": {"key": key},
            "protocol": None,
            "query": {"a": "x y"},
            "ready_state": 1,
            "request": "nitro_py.request.Request",
            "topics": [],
            "url": f"ws://app.example{path}",
        }

    @requires("websocket")
    async def test_every_connection_has_its_own_id(self, target: Target) -> None:
        """Check W11 of the contract."""
        async with open_script(target) as first, open_script(target) as second:
            assert await identify(first) != await identify(second)

    @requires("websocket")
    async def test_context_lasts_as_long_as_the_connection(self, target: Target) -> None:
        """Check W12 of the contract."""
        async with open_script(target) as socket, open_script(target) as other:
            assert await ask(socket, "remember", a=1) == {"a": 1}
            assert await ask(socket, "remember", b=[2]) == {"a": 1, "b": [2]}
            assert (await ask(socket, "state"))["context"] == {"a": 1, "b": [2]}
            assert (await ask(other, "state"))["context"] == {}

    @requires("websocket.close-code")
    @pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1008, "é" * 61), (4999, "own")])
    async def test_close_carries_code_and_reason(self, target: Target, code: int, reason: str) -> None:
        """Check W11 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await do(socket, "close", code=code, reason=reason)
            assert await socket.wait_closed() == Closed(code, reason)
        await reach(target, key, f"close {code} {reason}".strip())

    @requires("websocket")
    @pytest.mark.parametrize(
        ("code", "reason", "problem"),
        [
            (999, "", "Close code 999"),
            (1005, "", "Close code 1005"),
            (5000, "", "5000"),
            ("4000", "", "expected `int`, got `str`"),
            (1000, "é" * 62, "123"),
        ],
    )
    async def test_close_refuses_what_a_frame_cannot_carry(
        self, target: Target, code: object, reason: str, problem: str
    ) -> None:
        """Check W11 of the contract."""
        async with open_script(target) as socket:
            assert problem in (await ask(socket, "close", code=code, reason=reason))["refused"]
            assert (await ask(socket, "state"))["ready_state"] == 1

    @requires("websocket.close-code")
    async def test_code_of_the_client_reaches_the_close_hook(self, target: Target) -> None:
        """Check W1 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await socket.close(3000, "bye é")
        await reach(target, key, "close 3000 bye é")

    @requires("websocket.close-code")
    async def test_connection_that_was_lost_closes_with_1006(self, target: Target) -> None:
        """Check W6 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await identify(socket)
            await socket.drop()
        await reach(target, key, "close 1006")

    @requires("websocket")
    async def test_connected_peers_are_walked(self, target: Target) -> None:
        """Check W13 of the contract."""
        key = make_key()
        async with open_script(target, key) as first, open_script(target, key) as second:
            async with open_script(target) as third:
                here = {await identify(first), await identify(second)}
                elsewhere = await identify(third)
                everybody = (await target.request("GET", "/peers")).json()
                assert here | {elsewhere} <= set(everybody)
                some = (await target.request("GET", f"/peers?namespace=/ws/script/{key}")).json()
                assert sorted(some) == sorted(here)
            await poll(lambda: target.request("GET", "/peers"), lambda answer: elsewhere not in answer.json())

    @requires("websocket")
    async def test_one_peer_is_reached_by_its_id(self, target: Target) -> None:
        """Check W13 of the contract."""
        async with open_script(target) as socket, open_script(target) as other:
            id = await identify(socket)
            assert (await target.request("POST", f"/peers/{id}", content="for you")).status == 204
            assert await socket.receive_text() == "for you"
            assert (await target.request("DELETE", f"/peers/{id}")).status == 204
            closed = await socket.wait_closed()
            if "websocket.close-code" in target.capabilities:
                assert closed == Closed(4001, "moderated")
            await identify(other)
        assert (await poll(lambda: target.request("GET", f"/peers/{id}"), lambda a: a.status == 404)).status == 404

    @requires("websocket.buffering")
    async def test_what_waits_for_a_slow_client_is_counted_and_drains(self, target: Target) -> None:
        """Check W11 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            id = await identify(socket)
            messages, size = 256, 64 * 1024
            await do(socket, "flood", messages=messages, size=size)

            async def look() -> int:
                amount: int = (await target.request("GET", f"/peers/{id}")).json()["buffered_amount"]
                return amount

            await poll(look, lambda amount: amount > 0)
            await asyncio.sleep(0.2)
            # The hook that sends waits: the app never holds all of it.
            assert 0 < await look() < messages * size / 4
            for number in range(messages):
                assert (await socket.receive_text()).startswith(f"{number} ")
            await reach(target, key, "drained 0")
            assert await look() == 0
