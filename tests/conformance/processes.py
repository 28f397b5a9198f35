"""The suite's app in several processes that share a broker, and sockets that are spread over them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from nitro_py.testing.answers import TestResponse
from nitro_py.testing.conformance import JOURNAL, ServerTarget
from nitro_py.testing.conformance.server import ServerSocket, ServerStream
from tests.brokers.postgres import PostgresServer
from tests.brokers.processes import RealBroker
from tests.bundles import PATIENCE, run_bundle

AnyBroker = RealBroker | PostgresServer

COUNT = 4
# The header by which each process names itself, and the middleware that sets it.
PROCESS = "x-process"
MIDDLEWARE = """
import os

from nitro_py import Event, Next, define_middleware


@define_middleware
async def process(event: Event, next: Next) -> object:
    event.response.headers["x-process"] = str(os.getpid())
    return await next()
"""
# How many sockets are opened at once to find a certain process, and how often at most.
AT_ONCE = 8
ATTEMPTS = 100


class Spread(ServerTarget):
    """A target whose connections go to one process after the other.

    Args:
        url: Where it listens.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.processes: list[str] = []
        self._turns: Iterator[str] = cycle(())

    async def find_processes(self) -> None:
        """Get to know all of them, and wait for one that starts only now."""
        found: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        while len(found) < COUNT:
            assert time.monotonic() < deadline, found
            answers = await asyncio.gather(*(self.request("GET", "/_nowhere") for _ in range(AT_ONCE)))
            found |= {answer.headers[PROCESS] for answer in answers}
        self.processes = sorted(found)
        self._turns = cycle(self.processes)

    @asynccontextmanager
    async def connect(self, path: str, **options: Any) -> AsyncIterator[ServerSocket]:
        """Open a socket to the process whose turn it is."""
        if not self.processes:
            await self.find_processes()
        wanted = next(self._turns)
        async with AsyncExitStack() as stack:
            yield await self._open(wanted, path, options, stack)

    async def _open(self, wanted: str, path: str, options: dict[str, Any], stack: AsyncExitStack) -> ServerSocket:
        """Open some sockets at a time, since it is not for us to say which process takes one."""
        chosen: ServerSocket | None = None
        for _ in range(ATTEMPTS):
            async with AsyncExitStack() as attempt:
                contexts = [super(Spread, self).connect(path, **options) for _ in range(AT_ONCE)]
                sockets = await asyncio.gather(*(context.__aenter__() for context in contexts))
                for context, socket in zip(contexts, sockets, strict=True):
                    if chosen is None and socket.headers[PROCESS] == wanted:
                        stack.push_async_exit(context)
                        chosen = socket
                    else:
                        attempt.push_async_exit(context)
            if chosen is not None:
                return chosen
        raise AssertionError(f"No socket of {AT_ONCE * ATTEMPTS} reached the process {wanted}.")


class Replicas(Spread):
    """A target whose processes have a port each.

    Args:
        urls: Where they listen.
    """

    def __init__(self, urls: list[str]) -> None:
        super().__init__(urls[0])
        self.urls = urls
        self._next = cycle(urls)

    async def request(self, method: str, path: str, **options: Any) -> TestResponse:
        """Ask one after the other."""
        self._move()
        return await super().request(method, path, **options)

    @asynccontextmanager
    async def stream(self, method: str, path: str, **options: Any) -> AsyncIterator[ServerStream]:
        """Stream from one after the other."""
        self._move()
        async with super().stream(method, path, **options) as stream:
            yield stream

    @asynccontextmanager
    async def connect(self, path: str, **options: Any) -> AsyncIterator[ServerSocket]:
        """Connect to one after the other."""
        self._move()
        async with super(Spread, self).connect(path, **options) as socket:
            yield socket

    def _move(self) -> None:
        self.url = next(self._next)
        self.socket_url = self.url.replace("http", "ws", 1)


def add_process_header(project: Path) -> None:
    """Make each process of a project name itself in its answers, those that open sockets included."""
    (project / "handlers/middleware/00_process.py").write_text(MIDDLEWARE)


@contextmanager
def run_workers(output: Path, broker: AnyBroker | None, journal: Path) -> Iterator[Spread]:
    """Run a bundle with `--workers`: one port, and a broker of their own where none is given."""
    arguments = ("--port", "0", "--workers", str(COUNT))
    with run_bundle(output, *arguments, environ=make_environ(broker, journal)) as server:
        yield Spread(server.url)
        server.stop()


@contextmanager
def run_replicas(output: Path, broker: AnyBroker | None, journal: Path) -> Iterator[Replicas]:
    """Run a bundle several times: a port each, as replicas of a container have."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(run_bundle(output, "--port", "0", environ=make_environ(broker, journal)))
            for _ in range(COUNT)
        ]
        yield Replicas([server.url for server in running])
        for server in running:
            server.stop()


def make_environ(broker: AnyBroker | None, journal: Path) -> dict[str, str]:
    """Return the variables of a bundle that uses a broker, or none."""
    used = {} if broker is None else {"NITRO_BACKPLANE": broker.name, "NITRO_BACKPLANE_URL": broker.url}
    return {**used, JOURNAL: str(journal)}
