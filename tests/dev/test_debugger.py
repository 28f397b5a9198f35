"""`breakpoint()` in `nitropy dev`, in a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.bundles import clean_environment, write_files
from tests.cli.commands import HELLO, NITROPY, make_project
from tests.dev.pages import PATIENCE, wait_for

STOPPING = """
    from nitro_py import Event, define_handler


    @define_handler
    {kind} handler(event: Event) -> dict[str, str]:
        word = "hello"
        breakpoint()
        return {{"message": word}}
"""


@dataclass
class Terminal:
    """A terminal in which a program runs.

    Args:
        master: Our end of it.
        process: The program.
    """

    master: int
    process: subprocess.Popen[bytes]
    shown: str = field(default="", init=False)

    def expect(self, pattern: str, *, seconds: float = PATIENCE) -> re.Match[str]:
        """Read until the terminal shows something, and forget all up to there."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown)):
            left = deadline - time.monotonic()
            assert left > 0, f"Expected {pattern!r}, got {self.shown!r}."
            self.read(left)
        self.shown = self.shown[found.end() :]
        return found

    def read(self, seconds: float) -> None:
        """Read what the terminal shows next."""
        if select.select([self.master], [], [], seconds)[0]:
            with suppress(OSError):
                self.shown += os.read(self.master, 65536).decode("utf-8", "replace")

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self.master, f"{line}\n".encode())


@contextmanager
def open_terminal(*command: str | Path, cwd: Path, environ: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run a program in a terminal of its own until the end of the block."""
    master, slave = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        # The terminal that a process of a new session opens first is that session's own.
        os.close(os.open(os.ttyname(slave), os.O_RDWR))

    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=clean_environment() | dict(environ or {"TERM": "dumb", "NO_COLOR": "1"}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
        os.close(master)


@contextmanager
def asking(url: str) -> Iterator[list[httpx.Response]]:
    """Ask in the background until the end of the block; the answer comes into the list."""
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(httpx.get(url, timeout=PATIENCE)))
    thread.start()
    try:
        yield answers
    finally:
        thread.join(PATIENCE)


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_breakpoint_in_a_terminal(tmp_path: Path, kind: str) -> None:
    files = {"handlers/api/stop.get.py": STOPPING.format(kind=kind)}
    root = make_project(tmp_path / "project", files)
    with open_terminal(NITROPY, "dev", "--port", "0", cwd=root) as terminal:
        url = terminal.expect(r"Listening on (http://[\d.:]+)")[1]
        terminal.expect("Ready in")
        with asking(f"{url}/api/stop") as answers:
            terminal.expect(r'return {"message": word}\r\n\(Pdb\) ')
            terminal.type("p word.upper()")
            terminal.expect(r"'HELLO'\r\n\(Pdb\) ")
            terminal.type("word = 'typed'")
            terminal.expect(r"\(Pdb\) ")
            # Longer than any time-out of development: nothing may come between the person and the debugger.
            terminal.read(2)
            time.sleep(1)
            assert "warning" not in terminal.shown.lower()
            write_files(root, {"handlers/api/hello.get.py": HELLO.replace('"hello"', '"changed"')})
            terminal.expect("Changed handlers/api/hello.get.py: reloads when the debugger goes on")
            terminal.type("c")
            terminal.expect("Reloaded handlers/api/hello.get.py in")
        assert answers[0].json() == {"message": "typed"}
        assert httpx.get(f"{url}/api/hello").json() == {"message": "changed"}
        with asking(f"{url}/api/stop") as answers:
            terminal.expect(r"\(Pdb\) ")
            terminal.type("c")
        assert answers[0].json() == {"message": "hello"}


def test_terminal_is_left_as_it_was(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", {"handlers/api/stop.get.py": STOPPING.format(kind="async def")})
    with open_terminal(NITROPY, "dev", "--port", "0", cwd=root) as terminal:
        before = termios.tcgetattr(terminal.master)
        url = terminal.expect(r"Listening on (http://[\d.:]+)")[1]
        terminal.expect("Ready in")
        thread = threading.Thread(target=_ask_in_vain, args=(f"{url}/api/stop",))
        thread.start()
        terminal.expect(r"\(Pdb\) ")
        # readline reads key by key.
        wait_for(lambda: termios.tcgetattr(terminal.master) != before)
        os.write(terminal.master, b"\x03")
        assert terminal.process.wait(PATIENCE) == 0
        assert termios.tcgetattr(terminal.master) == before
        thread.join(PATIENCE)


def test_module_is_the_command(tmp_path: Path) -> None:
    python = NITROPY.with_name("python")
    for name in ("--version", "--help"):
        asked = [[str(NITROPY), name], [str(python), "-m", "nitro_py", name]]
        command, module = (subprocess.run(line, cwd=tmp_path, capture_output=True, check=True) for line in asked)
        assert module.stdout.partition(b"Usage")[0] == command.stdout.partition(b"Usage")[0]


def _ask_in_vain(url: str) -> None:
    with suppress(httpx.TransportError):
        httpx.get(url, timeout=PATIENCE)
