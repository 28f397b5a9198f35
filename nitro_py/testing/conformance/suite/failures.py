"""Exceptions in hooks, and peers that are gone."""

from __future__ import annotations

import pytest

from nitro_py.testing.answers import Closed
from nitro_py.testing.conformance.suite.steps import do, make_key, open_script, reach, reach_close, write_journal
from nitro_py.testing.conformance.target import Target, requires


@pytest.mark.anyio
class Failures:
    """Tests of the contract's paragraph "Errors"."""

    @requires("websocket", "websocket.ordered")
    async def test_exception_in_a_message_hook_goes_to_error_then_close(self, target: Target) -> None:
        """Check W9 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await do(socket, "fail")
            # What waits behind a failure is not handled any more.
            await do(socket, "step", number=1)
            closed = await socket.wait_closed()
        lines = await reach(target, key, "error RuntimeError: as told")
        assert lines[:3] == ["open begins", "open ends", "error RuntimeError: as told"]
        if "websocket.close-code" in target.capabilities:
            assert closed.code == 1011
            lines = await reach(target, key, "close 1011 Internal error")
            assert len(lines) == 4

    @requires("websocket", "websocket.ordered")
    @pytest.mark.parametrize(("action", "raised"), [("exit", "SystemExit(2)"), ("raise_close", "GeneratorExit()")])
    async def test_exit_in_a_message_hook_ends_its_connection_only(
        self, target: Target, action: str, raised: str
    ) -> None:
        """Check W9 of the contract."""
        key = make_key()
        async with target.connect("/ws/echo") as other, open_script(target, key) as socket:
            await do(socket, action)
            await socket.wait_closed()
            lines = await reach(target, key, f"error RuntimeError: The code raised `{raised}`.")
            assert lines[:2] == ["open begins", "open ends"]
            await other.send("still here")
            assert await other.receive_text() == "still here"

    @requires("websocket", "websocket.ordered")
    async def test_call_that_a_plain_hook_does_not_await_is_an_error(self, target: Target) -> None:
        """Check W1 of the contract."""
        key = make_key()
        async with target.connect(f"/ws/sync/{key}") as socket:
            await socket.send("forget")
            await socket.wait_closed()
        text = "error The hook `message` (`message`) never awaited `Peer.send`:"
        await reach(target, key, f"{text} make it an `async def` and await the call.")

    @requires("websocket")
    async def test_exception_in_open_goes_to_error_then_close(self, target: Target) -> None:
        """Check W9 of the contract."""
        key = make_key()
        async with open_script(target, key, "?fail") as socket:
            closed = await socket.wait_closed()
        lines = await reach(target, key, "error ValueError: as told")
        assert lines[:2] == ["open begins", "error ValueError: as told"]
        if "websocket.close-code" in target.capabilities:
            assert closed.code == 1011
            assert (await reach(target, key, "close 1011 Internal error"))[2:] == ["close 1011 Internal error"]

    @requires("websocket.close-code")
    async def test_exception_without_error_hook_closes_and_tells_nothing(self, target: Target) -> None:
        """Check W9 of the contract."""
        async with target.connect("/ws/bare") as socket:
            await socket.send("anything")
            assert await socket.wait_closed() == Closed(1011, "Internal error")

    @requires("websocket")
    async def test_failure_of_one_peer_leaves_the_others_alone(self, target: Target) -> None:
        """Check W9 of the contract."""
        async with target.connect("/ws/echo") as other:
            async with target.connect("/ws/bare") as socket:
                await socket.send("anything")
                await socket.wait_closed()
            await other.send("still here")
            assert await other.receive_text() == "still here"

    @requires("websocket", "websocket.ordered")
    @pytest.mark.parametrize("caught", [True, False])
    async def test_sending_to_a_peer_that_is_gone_raises(self, target: Target, caught: bool) -> None:
        """Check W10 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await do(socket, "send_late", caught=caught)
            await reach(target, key, "waiting")
            await socket.close()
        await write_journal(target, key, "gone")
        lines = await reach_close(target, key)
        told = ["caught PeerClosedError", *(["went on"] if caught else [])]
        # Uncaught it ends the hook and is no failure: `error` hears nothing of it.
        assert lines == ["open begins", "open ends", "waiting", "gone", *told, lines[-1]]

    @requires("websocket")
    async def test_message_that_is_not_json_goes_to_error_and_leaves_the_socket_open(self, target: Target) -> None:
        """Check W15 of the contract."""
        async with target.connect("/ws/message") as socket:
            await socket.send("{no json")
            assert await socket.receive_json() == {"error": "MessageValidationError", "bad message": True}
            await socket.send("1")
            assert (await socket.receive_json())["json"] == 1

    @requires("websocket")
    @pytest.mark.parametrize("path", ["/ws/model", "/ws/annotated"])
    async def test_message_model_validates(self, target: Target, path: str) -> None:
        """Check W16 of the contract."""
        async with target.connect(path) as socket:
            await socket.send('{"x": 1}')
            assert await socket.receive_json() == {"type": "Move", "x": 2, "y": 0}
            await socket.send('{"x": "many", "y": []}')
            assert await socket.receive_json() == {"issues": [[["x"], "int_parsing"], [["y"], "int_type"]]}
            await socket.send("{")
            assert await socket.receive_json() == {"issues": [[[], "json_invalid"]]}
            await socket.send('{"x": 2, "y": 3}')
            assert await socket.receive_json() == {"type": "Move", "x": 3, "y": 3}
