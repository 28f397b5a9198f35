"""Debuggers in the process that runs the app."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from types import FrameType

from nitro_py.errors import UsageError
from nitro_py.server.watchdog import DEBUGGERS

# How the Debug Adapter Protocol begins.
DAP_BEGIN = b"Content-Length:"
MAX_PORT = 65535
# How much is copied at once, in bytes.
CHUNK = 64 * 1024


def find_paused_thread() -> threading.Thread | None:
    """Return a thread of this process whose code a debugger has stopped; `None` if there is none.

    It is found by the debugger's functions on its stack: they stand there only as long as a person is asked.
    """
    frames = sys._current_frames()
    for thread in threading.enumerate():
        # pydevd, which is also the debugger in debugpy, has threads of its own.
        if thread.ident in frames and not getattr(thread, "is_pydev_daemon_thread", False):
            for frame in _walk(frames[thread.ident]):
                if frame.f_globals.get("__name__", "").partition(".")[0] in DEBUGGERS:
                    return thread
    return None


def _walk(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def find_debugpy() -> None:
    """Check that debugpy is installed.

    Raises:
        UsageError: It is not.
    """
    if find_spec("debugpy") is None:
        hint = f"Run `{sys.executable} -m pip install debugpy`."
        raise UsageError("`--debug` needs the package `debugpy`, which is not installed.", hint=hint)


def read_address(text: str) -> tuple[str, int]:
    """Read the address that a debugger connects to.

    Raises:
        UsageError: It is none.

    Example:
        >>> read_address("5678"), read_address("0.0.0.0:5678")
        (('127.0.0.1', 5678), ('0.0.0.0', 5678))
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= MAX_PORT):
        hint = "Write `--debug 5678`, for example."
        raise UsageError(f"Wrong value for `--debug`: expected `[HOST:]PORT`, got `{text}`.", hint=hint)
    return host.strip("[]") or "127.0.0.1", int(port)


def start_debugpy() -> int:
    """Let debugpy wait for a client, and return its port, which is another in each process that runs the app."""
    import debugpy

    port: int = debugpy.listen(("127.0.0.1", 0))[1]
    return port


class DebugRelay:
    """The port that debuggers connect to, which stays the same across reloads.

    Args:
        listener: The bound socket.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._server: asyncio.Server | None = None
        # The port of debugpy in the process that runs the app.
        self.target: int | None = None

    async def start(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def stop(self) -> None:
        """Take no more."""
        self.target = None
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.read(len(DAP_BEGIN))
            # A page of any site can send a request to this port, whose body would be read as a debugger's.
            if first != DAP_BEGIN or self.target is None:
                return
            back, forth = await asyncio.open_connection("127.0.0.1", self.target)
            forth.write(first)
            copies = [
                asyncio.create_task(_copy(reader, forth)),
                asyncio.create_task(self._copy_messages(back, writer, self.target)),
            ]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            forth.close()
        except OSError:
            # Either end has gone; the client connects again.
            pass
        finally:
            writer.close()

    async def _copy_messages(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int
    ) -> None:
        """Copy the messages of debugpy; at a reload, its last one asks the client to attach again."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(head.strip().rpartition(b":")[2]))
                message = json.loads(body)
                if message.get("event") == "terminated" and self.target not in (None, target):
                    body = json.dumps({**message, "body": {"restart": True}}).encode()
                writer.write(b"%b %d\r\n\r\n%b" % (DAP_BEGIN, len(body), body))
                await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
