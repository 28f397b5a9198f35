"""What `send` makes of values, and what a message tells."""

from __future__ import annotations

import pytest

from nitro_py.testing.conformance.suite.steps import RICH, do, open_script
from nitro_py.testing.conformance.target import Target, requires


@pytest.mark.anyio
class Coercion:
    """Tests of the contract's paragraphs "send" and "Message"."""

    @requires("websocket")
    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("str", "text é"),
            ("none", ""),
            ("dict", '{"a":1}'),
            ("list", '[1,"two"]'),
            ("dataclass", '{"x":3}'),
            ("model", '{"text":"hi"}'),
            ("int", "7"),
            ("float", "1.5"),
            ("bool", "true"),
        ],
    )
    async def test_value_is_sent_as_text(self, target: Target, kind: str, text: str) -> None:
        """Check W14 of the contract."""
        async with open_script(target) as socket:
            await do(socket, "send", kind=kind)
            assert await socket.receive_text() == text

    @requires("websocket")
    @pytest.mark.parametrize("kind", ["rich", "publish"])
    async def test_value_beyond_json_is_written(self, target: Target, kind: str) -> None:
        """Check H12 and W14 of the contract."""
        async with target.connect("/ws/rich?name=a") as socket:
            await socket.receive_json()
            await socket.send(kind)
            assert await socket.receive_text() == RICH

    @requires("websocket")
    async def test_half_a_surrogate_pair_breaks_no_socket(self, target: Target) -> None:
        """Check H12 of the contract."""
        async with target.connect("/ws/rich?name=a") as socket:
            await socket.receive_json()
            await socket.send("text")
            assert await socket.receive_text() == "cut \N{REPLACEMENT CHARACTER}"
            await socket.send('{"t":"\\ud83d"}')
            assert await socket.receive_text() == '{"t":"\\ud83d"}'

    @requires("websocket")
    async def test_cookies_of_a_socket_come_as_browsers_send_them(self, target: Target) -> None:
        """Check H10 of the contract."""
        headers = {"cookie": 'session={"id": 5}; a=1; a=2; user[id]=5'}
        async with target.connect("/ws/rich?name=a", headers=headers) as socket:
            cookies = {"session": '{"id": 5}', "a": "1", "user[id]": "5"}
            assert await socket.receive_json() == {"cookies": cookies, "name": "a"}

    @requires("websocket.binary")
    async def test_bytes_are_sent_as_binary(self, target: Target) -> None:
        """Check W14 of the contract."""
        async with open_script(target) as socket:
            await do(socket, "send", kind="bytes")
            assert await socket.receive() == b"\x00\xff"

    @requires("websocket.binary")
    @pytest.mark.parametrize("data", ["text", "", b"\x00\xff", b""], ids=repr)
    async def test_message_comes_back_as_it_came(self, target: Target, data: str | bytes) -> None:
        """Check W15 of the contract."""
        async with target.connect("/ws/echo") as socket:
            await socket.send(data)
            assert await socket.receive() == data

    @requires("websocket")
    async def test_message_tells_all(self, target: Target) -> None:
        """Check W15 of the contract."""
        async with target.connect("/ws/message") as socket:
            await socket.send('"é"')
            first = await socket.receive_json()
            await socket.send('"é"')
            second = await socket.receive_json()
        assert first.pop("id") != second.pop("id")
        expected = {
            "bytes": list('"é"'.encode()),
            "data": "str",
            "json": "é",
            "peer": True,
            "str": True,
            "text": '"é"',
        }
        assert first == second == expected

    @requires("websocket.binary")
    async def test_binary_message_tells_all(self, target: Target) -> None:
        """Check W15 of the contract."""
        async with target.connect("/ws/message") as socket:
            await socket.send(b"[1]")
            told = await socket.receive_json()
            assert (told["data"], told["text"], told["json"], told["bytes"]) == ("bytes", "[1]", [1], [91, 49, 93])
            await socket.send(b"\xff")
            assert await socket.receive_json() == {"error": "MessageValidationError", "bad message": True}
