"""In development a peer's context takes only what every target can keep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from nitro_py.runtime.hooks.portable_context import PortableContext
from nitro_py.testing import client
from tests.bundles import write_files

ROOM = """
    from nitro_py import Message, Peer, Upgrade, define_websocket_handler


    def upgrade(request):
        return Upgrade(context={"seen": 0})


    async def message(peer: Peer, message: Message) -> None:
        if message.text() == "set":
            peer.context["hall"] = {1}
        peer.context["seen"] += 1
        await peer.send(peer.context)


    async def error(peer: Peer, exc: Exception) -> None:
        await peer.send(str(exc))


    handler = define_websocket_handler(upgrade=upgrade, message=message, error=error)
"""


@pytest.mark.parametrize(
    "change",
    [
        lambda context: context.update(day=date(2020, 1, 1)),
        lambda context: context.update({"day": [object()]}),
        lambda context: context.__setitem__("day", {"a": {1}}),
        lambda context: context.setdefault("day", b""),
        lambda context: context.__ior__({"day": 1j}),
        lambda context: context.__setitem__(1, "day"),
    ],
    ids=["update", "update-dict", "item", "setdefault", "ior", "key"],
)
def test_what_cannot_be_kept_is_refused_where_it_is_set(change: Callable[[dict[str, Any]], None]) -> None:
    context = PortableContext({"name": "ada"})
    with pytest.raises(TypeError, match=r"^`peer\.context"):
        change(context)
    assert context == {"name": "ada"}


def test_the_rest_is_a_dict() -> None:
    context = PortableContext({"a": 1})
    context |= {"b": [None, True]}
    context.update(c="text")
    assert context.setdefault("a", 5) == 1
    assert context.setdefault("d") is None
    assert context == {"a": 1, "b": [None, True], "c": "text", "d": None}


@pytest.mark.anyio
async def test_only_development_is_strict(tmp_path: Path) -> None:
    files = {"nitro.toml": "experimental.websocket = true\n", "handlers/room.py": ROOM}
    root = write_files(tmp_path, files)
    async with client(root, mode="development", raise_errors=False) as app, app.connect("/room") as socket:
        await socket.send("hi")
        assert await socket.receive_json() == {"seen": 1}
        await socket.send("set")
        assert (await socket.receive_text()).startswith("`peer.context['hall']` cannot be kept by targets")
        assert (await socket.wait_closed()).code == 1011
    async with client(root) as app, app.connect("/room") as socket:
        await socket.send("set")
        assert await socket.receive_json() == {"seen": 1, "hall": [1]}
