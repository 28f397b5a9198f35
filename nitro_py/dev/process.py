"""The child process of the dev server, as the parent sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import termios
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nitro_py.dev.child import ChildSpec
from nitro_py.errors import BuildError
from nitro_py.runtime.asgi.internal_routes import PUBLISH_TOKEN


def list_ending_signals() -> list[signal.Signals]:
    """Return the signals that ask a program to end; `SIGHUP` does not under `nohup`."""
    ending = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending.append(signal.SIGHUP)
    return ending


# The longest line of a child: the view of an exception has sources and variables.
MAX_LINE = 16 * 1024 * 1024

# How long a child may take to stop, in seconds: longer than the app gives its hooks.
STOP_TIMEOUT = 20.0
# The same at the end of the dev server itself, whose user waits for it.
LAST_TIMEOUT = 0.6
# How long a child may take to send its connections to the next one, in seconds; then it does so in the background.
RETIRE_TIMEOUT = 0.5
# How long a child may take to answer a question, in seconds.
ANSWER_TIMEOUT = 0.5


class TerminalGuard:
    """The terminal's settings as they were at the start, which a debugger that was killed has left as its own."""

    def __init__(self) -> None:
        self._settings: list[Any] | None = None

    def __enter__(self) -> Self:
        if owns_terminal():
            self._settings = termios.tcgetattr(sys.stdin.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Set the terminal as it was, unless another program has it now."""
        if self._settings is not None and owns_terminal():
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._settings)


def owns_terminal() -> bool:
    """Return whether what a person types comes to this process: not where it was put into the background."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return False


class AppStartError(BuildError):
    """The app cannot start.

    Args:
        message: The description.
        hint: A way to correct the error.
        html: The view of the exception, if the app has raised one.
    """

    def __init__(self, message: str, *, hint: str, html: str | None) -> None:
        super().__init__(message, hint=hint)
        self.html = html


class ChildProcess:
    """The process of a running app; made by `start_child`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        variables: Mapping[str, str],
    ) -> None:
        # What it has in its environment, beside ours.
        self.variables = variables
        self._process = process
        self._reader = reader
        self._writer = writer
        # The port of debugpy in it.
        self.debug_port: int | None = None
        self._closed = asyncio.Event()
        self._early: list[dict[str, Any]] = []
        self._pauses: asyncio.Queue[bool] = asyncio.Queue()

    @property
    def runs(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def begin(self, spec: ChildSpec) -> None:
        """Let the child start an app, and wait until it has.

        Args:
            spec: What it serves.

        Raises:
            BuildError: It cannot start.
        """
        with suppress(ConnectionError):
            self._writer.write(json.dumps(asdict(spec)).encode() + b"\n")
            await self._writer.drain()
        answer = await self._read_message()
        while answer.get("type") in ("debugger", "failure"):
            if answer["type"] == "debugger":
                self.debug_port = answer["port"]
            else:
                self._early.append(answer)
            answer = await self._read_message()
        if answer.get("type") != "ready":
            status = await self._process.wait()
            reason = answer.get("message") or f"it ended with status {status}"
            raise AppStartError(
                f"The app cannot start: {reason}.", hint="What it printed says more.", html=answer.get("html")
            )

    async def wait_gone(self) -> int:
        """Wait until the process has ended and return its status."""
        return await self._process.wait()

    async def announce(self, message: dict[str, str]) -> None:
        """Pass a live-reload message to the pages that the child itself serves."""
        with suppress(ConnectionError):
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()

    async def retire(self) -> None:
        """Let the child send its connections to the next one; it still answers the requests that it has."""
        await self.announce({"type": "retire"})
        # Code that blocks its event loop holds up nobody but the clients of that code.
        with suppress(TimeoutError):
            async with asyncio.timeout(RETIRE_TIMEOUT):
                await self._closed.wait()

    async def is_paused(self) -> bool:
        """Return whether a debugger in the child waits for a person."""
        self._pauses = asyncio.Queue()
        await self.announce({"type": "look"})
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await self._pauses.get()
        return False

    async def read_reports(self, take: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Read what the app says once it is ready, until it has ended.

        Args:
            take: Called with each message about a failure.
        """
        for message in self._early:
            await take(message)
        while message := await self._read_message():
            if message["type"] == "failure":
                if self._closed.is_set():
                    # Of the end of an old app, which pages that have been loaded again must see.
                    del message["at"]
                await take(message)
            elif message["type"] == "seen":
                self._pauses.put_nowait(message["paused"])
            else:
                self._closed.set()
        self._pauses.put_nowait(False)
        self._closed.set()

    async def finish(self, seconds: float = STOP_TIMEOUT) -> None:
        """Wait until a child that was asked to end has ended; kill it if that takes too long."""
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        finally:
            self._writer.close()

    async def stop(self, seconds: float = STOP_TIMEOUT) -> None:
        """End the child: in peace if it can."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        await self.finish(seconds)

    def kill(self) -> None:
        """End the child by force."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _read_message(self) -> dict[str, Any]:
        """Return the child's next message, an empty one when it is gone."""
        line = await self._reader.readline()
        message: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
        return message


async def start_child(
    root: Path, descriptors: Sequence[int], token: str, variables: Mapping[str, str], *, debug: bool
) -> ChildProcess:
    """Start a child that imports what every app needs, and waits until it is told what it serves.

    Args:
        root: The project's folder.
        descriptors: The file descriptors that its `ChildSpec` will name.
        token: The token for publishing.
        variables: Variables that it finds in its environment, beside ours.
        debug: Whether a debugger may attach to it.
    """
    ours, theirs = socket.socketpair()
    # Without -P modules of the project would be found before those of the bundle.
    # Breakpoints are not hit in frozen modules, of which debugpy warns.
    frozen = ["-X", "frozen_modules=off"] if debug else []
    command = [sys.executable, "-P", *frozen, "-m", "nitro_py.dev.child", str(theirs.fileno())]
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=root,
            env={**variables, **os.environ, PUBLISH_TOKEN: token},
            # For debuggers; it reads the terminal, though it is in no session of the terminal.
            stdin=None if owns_terminal() else asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), *descriptors),
            # In a session of its own, so that Ctrl+C does not reach it beside us.
            start_new_session=True,
        )
    reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE)
    return ChildProcess(process, reader, writer, variables)
