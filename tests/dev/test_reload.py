"""What a reload is told by, how many there are, and what they wait for."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.bundles import Server, write_files
from tests.cli.commands import HELLO, make_project, serve_project
from tests.dev.pages import PATIENCE, hear, wait_for, watch_page

CHANGED = HELLO.replace('"hello"', '"changed"')
SLOW_HOOK = """
    import asyncio
    import time
    from pathlib import Path

    from nitro_py import Message, Peer, define_websocket_handler


    async def message(peer: Peer, message: Message) -> None:
        await peer.send("begun")
        while not Path({gate!r}).exists():
            {wait}(0.05)
        Path({done!r}).write_text("done")


    handler = define_websocket_handler(message=message)
"""


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """Let a server look away until the end of the block: a busy machine may take a while from file to file."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def find_reloads(server: Server) -> list[str]:
    """List what the reloads so far were for."""
    return re.findall(r"Reloaded (.*) in [\d.]+ m?s\n", server.read_log())


@pytest.mark.parametrize("wait", ["await asyncio.sleep", "time.sleep"], ids=["waits", "blocks"])
def test_reload_leaves_running_hooks_to_the_old_process(tmp_path: Path, wait: str) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    hook = SLOW_HOOK.format(wait=wait, gate=str(gate), done=str(done))
    root = make_project(tmp_path / "project", {"handlers/api/slow.py": hook})
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        with watch_page(server.url) as page, connect(f"{server.socket_url}/api/slow") as slow:
            slow.send("go")
            assert slow.recv(PATIENCE) == "begun"
            write_files(root, {"handlers/api/hello.get.py": CHANGED})
            assert hear(page) == {"type": "reload"}
            assert not done.exists()
            assert httpx.get(f"{server.url}/api/hello").json() == {"message": "changed"}
            assert not done.exists()
            gate.touch()
        wait_for(done.exists)


def test_many_saved_files_are_one_reload(root: Path, dev: Server) -> None:
    with paused(dev):
        write_files(root, {f"handlers/api/new{number}.get.py": HELLO for number in range(10)})
    wait_for(lambda: find_reloads(dev))
    assert httpx.get(f"{dev.url}/api/new9").status_code == 200
    assert find_reloads(dev) == [
        "handlers/api/new0.get.py (new), handlers/api/new1.get.py (new), handlers/api/new2.get.py (new) and 7 more"
    ]


def test_what_a_reload_is_for_is_told(root: Path, dev: Server) -> None:
    (root / "handlers/api/hello.get.py").rename(root / "handlers/api/hi.get.py")
    wait_for(lambda: find_reloads(dev) == ["handlers/api/hello.get.py → handlers/api/hi.get.py"])
    assert httpx.get(f"{dev.url}/api/hi").status_code == 200
    with paused(dev):
        write_files(root, {"handlers/shop/a.get.py": HELLO, "handlers/shop/b.get.py": HELLO})
    wait_for(lambda: find_reloads(dev)[1:] == ["handlers/shop/ (new, 2 files)"])
    assert httpx.get(f"{dev.url}/shop/b").status_code == 200
    write_files(root, {"nitro.toml": "experimental.websocket = true\nhttp.max_body = 5\n"})
    wait_for(lambda: find_reloads(dev)[2:] == ["nitro.toml"])
    write_files(root, {"nitro.toml": "# A comment.\nexperimental.websocket = true\nhttp.max_body = 5\n"})
    wait_for(lambda: "Nothing to reload: nitro.toml\n" in dev.read_log())


def test_another_branch_is_one_reload(root: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)

    git("init", "--initial-branch", "main")
    git("add", ".")
    git("commit", "--message", "First")
    git("checkout", "-b", "feature")
    write_files(root, {f"handlers/api/new{number}.get.py": HELLO for number in range(9)})
    write_files(root, {"handlers/api/hello.get.py": CHANGED})
    git("add", ".")
    git("commit", "--message", "Second")
    git("checkout", "main")
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        with paused(server):
            git("checkout", "feature")
        wait_for(lambda: find_reloads(server) == ["branch feature (10 files)"])
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "changed"}
