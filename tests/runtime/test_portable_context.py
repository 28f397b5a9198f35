"""In development a peer's context takes only what every target can keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from nitro_py import NitroError
from nitro_py.runtime.hooks.portable_context import PortableContext
from nitro_py.testing import UpgradeRefused, client
from tests.bundles import build_project, run_bundle, write_files
from tests.cli.commands import serve_project
from tests.dev.pages import PATIENCE, hear, wait_for, watch_page

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
HALL = """
    from nitro_py import Peer, Upgrade, define_websocket_handler


    def upgrade(request):
        return Upgrade(context={"x": object()})


    async def open(peer: Peer) -> None:
        await peer.send("open")


    handler = define_websocket_handler(upgrade=upgrade, open=open)
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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a project with two sockets."""
    files = {"nitro.toml": "experimental.websocket = true\n", "public/index.html": "<p>hall</p>"}
    return write_files(tmp_path, {**files, "handlers/room.py": ROOM, "handlers/hall.py": HALL})


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["development", "production"])
async def test_tests_are_strict_in_each_mode(root: Path, mode: Literal["development", "production"]) -> None:
    async with client(root, mode=mode, raise_errors=False) as app, app.connect("/room") as socket:
        await socket.send("hi")
        assert await socket.receive_json() == {"seen": 1}
        await socket.send("set")
        assert (await socket.receive_text()).startswith("`peer.context['hall']` cannot be kept by targets")
        assert (await socket.wait_closed()).code == 1011


def test_bundle_keeps_what_its_process_can_hold(root: Path) -> None:
    with run_bundle(build_project(root)) as server, connect(f"{server.socket_url}/room") as socket:
        socket.send("set")
        assert json.loads(socket.recv(PATIENCE)) == {"seen": 1, "hall": [1]}


@pytest.mark.anyio
async def test_upgrade_with_such_a_context_is_the_error_of_the_hook(root: Path) -> None:
    with pytest.raises(NitroError) as caught:
        async with client(root) as app, app.connect("/hall"):
            pass
    assert str(caught.value) == (
        "`upgrade` of `handlers/hall.py` returned an `Upgrade` whose context not every target can keep: "
        "`peer.context['x']` cannot be kept by targets that keep it as JSON: "
        "Object of type object is not JSON serializable.\n"
        "  at handlers/hall.py:4\n"
        "  hint: Put only JSON values into `Upgrade(context=…)`, and keep objects in a dict by `peer.id`."
    )
    async with client(root, raise_errors=False) as app:
        with pytest.raises(UpgradeRefused) as refused:
            async with app.connect("/hall"):
                pass
    assert refused.value.status == 500


def test_dev_answers_500_before_the_socket_opens(root: Path) -> None:
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        with watch_page(server.url) as overlay:
            with pytest.raises(InvalidStatus) as refused:
                connect(f"{server.socket_url}/hall")
            assert refused.value.response.status_code == 500
            while (failure := hear(overlay))["type"] != "failure":
                pass
        wait_for(lambda: "refused 500" in server.read_log())
        log = server.read_log()
    assert failure["message"].startswith("The upgrade to /hall failed.\nnitro_py.errors.NitroError: `upgrade` of")
    assert ">Upgrade<" in failure["html"]
    assert "NitroError: `upgrade` of `handlers/hall.py` returned an `Upgrade`" in log
    assert "at handlers/hall.py:4" in log
    assert "Traceback" not in log
    assert " open " not in log
