"""What hangs is named, gives way to a fix, and keeps nobody from ending `nitropy dev`."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.bundles import write_files
from tests.cli.commands import HELLO, make_project, serve_project
from tests.dev.pages import PATIENCE, wait_for

HANGING_IMPORT = "import time\ntime.sleep(3600)\n"
HANGING_PLUGIN = """
import asyncio, time
from nitro_py import define_plugin

@define_plugin
async def database():
    {wait}
    yield
"""
STARTING = ("--port", "0", "--hmr-port", "0")
# A busy machine takes longer to start Python than what is measured here takes.
SOON = 15.0


@pytest.mark.parametrize("wait", ["time.sleep(3600)", "await asyncio.sleep(3600)"], ids=["blocks", "waits"])
def test_plugin_that_hangs_is_named_and_gives_way_to_a_fix(tmp_path: Path, wait: str) -> None:
    plugin = "handlers/plugins/database.py"
    root = make_project(tmp_path / "project", {plugin: HANGING_PLUGIN.format(wait=wait)})
    with serve_project(root, "dev", *STARTING, announcement="Live reload on ") as server:
        wait_for(lambda: f"The plugin `{plugin}` has not reached its `yield` after 1 s" in server.read_log())
        write_files(root, {plugin: HANGING_PLUGIN.format(wait="pass")})
        wait_for(lambda: "Ready in" in server.read_log())


def test_import_that_hangs_gives_way_to_a_fix(tmp_path: Path) -> None:
    settings = "build.import_timeout = 600\nfeatures.websocket = true\n"
    files = {"handlers/api/slow.get.py": HANGING_IMPORT, "nitro.toml": settings}
    root = make_project(tmp_path / "project", files)
    with serve_project(root, "dev", *STARTING, announcement="Live reload on ") as server:
        time.sleep(2)
        write_files(root, {"handlers/api/slow.get.py": HELLO})
        wait_for(lambda: "Ready in" in server.read_log())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("handlers/api/slow.get.py", HANGING_IMPORT),
        ("handlers/plugins/slow.py", HANGING_PLUGIN.format(wait="time.sleep(3600)")),
    ],
    ids=["import", "plugin"],
)
def test_signal_ends_what_hangs(tmp_path: Path, file: str, text: str) -> None:
    root = make_project(tmp_path / "project", {file: text})
    with serve_project(root, "dev", *STARTING, announcement="Live reload on ") as server:
        time.sleep(3)
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(SOON) == 0
        assert time.monotonic() - began < SOON
    assert "Traceback" not in server.read_log()
    assert "Thread 0x" not in server.read_log()


HOOKS = {
    "waits": "async def message(peer, message):\n    await peer.send('begun')\n    await asyncio.sleep(3600)",
    "shielded": "async def message(peer, message):\n    await peer.send('begun')\n"
    "    while True:\n        try:\n            await asyncio.sleep(3600)\n"
    "        except asyncio.CancelledError:\n            pass",
    "thread": "def message(peer, message):\n    print('begun', flush=True)\n    time.sleep(3600)",
    "work": "async def message(peer, message):\n    await peer.send('begun')\n"
    "    await asyncio.to_thread(time.sleep, 3600)",
    "blocks": "async def message(peer, message):\n    print('begun', flush=True)\n    time.sleep(3600)",
}


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_signal_ends_a_hook_that_runs(tmp_path: Path, hook: str) -> None:
    route = (
        "import asyncio, time\nfrom nitro_py import define_websocket_handler\n\n"
        f"{HOOKS[hook]}\n\nhandler = define_websocket_handler(message=message)\n"
    )
    root = make_project(tmp_path / "project", {"handlers/hook.py": route})
    with serve_project(root, "dev", *STARTING) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        with connect(f"{server.socket_url}/hook", close_timeout=0) as client:
            client.send("begin")
            if "print" in HOOKS[hook]:
                wait_for(lambda: "begun" in server.read_log())
            else:
                assert client.recv(PATIENCE) == "begun"
            server.process.send_signal(signal.SIGINT)
            # The app would be waited for much longer, if it was not for its developer.
            assert server.process.wait(SOON) == 0
    log = server.read_log()
    assert "Traceback" not in log
    assert "Thread 0x" not in log


def test_app_that_blocks_its_loop_is_ended_by_a_signal(tmp_path: Path) -> None:
    blocking = HELLO.replace("return", "__import__('time').sleep(3600)\n        return")
    root = make_project(tmp_path / "project", {"handlers/api/block.get.py": blocking})
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{server.url}/api/block", timeout=1)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(SOON) == 0
