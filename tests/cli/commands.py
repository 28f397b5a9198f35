"""Running the real `nitropy` on projects of a test's own."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bundles import ANNOUNCEMENT, Server, clean_environment, run_server, write_files

NITROPY = Path(sysconfig.get_path("scripts")) / "nitropy"

# A line of a quoted source, or what stands around it.
QUOTED = re.compile(r" +\d* \|( |$)")
FLAG = "experimental.websocket = true\n"
HELLO = """
    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> dict[str, str]:
        return {"message": "hello"}
"""
CHAT = """
    from nitro_py import Peer, define_websocket_handler


    async def open(peer: Peer) -> None:
        await peer.subscribe("chat")
        await peer.send("welcome")


    handler = define_websocket_handler(open=open)
"""
PAGE = """
    from nitro_py import Event, Response, define_handler


    @define_handler
    async def handler(event: Event) -> Response:
        return Response("<body><p>hello</p></body>", headers={"content-type": "text/html; charset=utf-8"})
"""
PROJECT = {
    "nitro.toml": FLAG,
    "handlers/index.get.py": PAGE,
    "handlers/api/hello.get.py": HELLO,
    "handlers/api/chat.py": CHAT,
}


def make_project(root: Path, files: Mapping[str, str] | None = None) -> Path:
    """Write a project with a page, an HTTP route and a chat, and further files, and return its folder."""
    return write_files(root, {**PROJECT, **(files or {})})


def run_nitropy(
    root: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `nitropy` in a folder until it ends."""
    return subprocess.run(
        [str(NITROPY), *arguments],
        cwd=root,
        env=clean_environment() | dict(environ or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def succeed(root: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run `nitropy` in a folder, checks that it succeeds, and return what it printed."""
    done = run_nitropy(root, *arguments, environ=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fail(root: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run `nitropy` in a folder, checks that it ends as it does for a user's error, and return the error.

    The source line that may stand in it is left out; `test_source_line_is_shown` looks at that.
    """
    done = run_nitropy(root, *arguments, environ=environ)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    progress, found, error = done.stderr.partition("error: ")
    assert found, done.stderr
    assert all(line.endswith(" ...") for line in progress.splitlines()), done.stderr
    return "".join(line for line in error.splitlines(keepends=True) if not QUOTED.match(line))


@contextmanager
def serve_project(
    root: Path, *arguments: str, environ: Mapping[str, str] | None = None, announcement: str = ANNOUNCEMENT
) -> Iterator[Server]:
    """Run `nitropy preview` or `nitropy dev` in a folder until the end of the block."""
    log = root.with_name(f"{root.name}.log")
    command = [str(NITROPY), *arguments]
    with run_server(command, log=log, environ=environ, cwd=root, announcement=announcement) as server:
        yield server
