"""A bounded load of numbered messages on a topic, and what became of each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from nitro_py.testing.answers import SocketClosed
from nitro_py.testing.conformance.server import ServerSocket
from nitro_py.testing.conformance.suite.steps import ask, do, make_key
from tests.conformance.processes import COUNT, PROCESS, Spread

# The path, and so the namespace, of all sockets.
LOAD_PATH = "/ws/script/load"
# Listeners in each process, beside its one publisher.
LISTENERS = 2
# How long a publisher rests after each message, in seconds.
REST = 0.005
# Longer than any fault of a test, in seconds.
PATIENCE = 60.0
# After how long without a message none is on its way any more, in seconds: where everybody has the newest message
# of each publisher, and where that will never be.
QUIET = 0.5
LONG_QUIET = 3.0
# How long the next look at what was heard may wait, in seconds.
LOOK = 0.05


class Publication(NamedTuple):
    """One message that its publisher knows to be accepted.

    Args:
        process: The publisher's.
        begun: When it was asked for.
        done: When the publisher heard that it was accepted.
    """

    process: str
    begun: float
    done: float


@dataclass(slots=True)
class Listener:
    """A socket that hears the topic.

    Args:
        socket: The socket.
        heard: Publisher and number of each message → when it came.
        repeated: Messages that came again.
        disordered: Messages that came after a later one of the same publisher.
    """

    socket: ServerSocket
    heard: dict[tuple[str, int], float] = field(default_factory=dict)
    repeated: int = 0
    disordered: int = 0

    @property
    def process(self) -> str:
        """The process that it is connected to."""
        return self.socket.headers[PROCESS]

    async def run(self) -> None:
        """Listen until the connection is lost."""
        last: dict[str, int] = {}
        try:
            while True:
                publisher, _, text = (await self.socket.receive_text(2 * PATIENCE)).partition(" ")
                number = int(text)
                self.repeated += (publisher, number) in self.heard
                self.disordered += number < last.get(publisher, -1)
                last[publisher] = number
                self.heard.setdefault((publisher, number), time.monotonic())
        except SocketClosed:
            return


@dataclass(slots=True)
class Load:
    """A running load; each process has one publisher, named as the process is.

    Args:
        topic: What is published to.
        publications: Publisher and number → what is known of it.
        listeners: Who hears.
    """

    topic: str
    publications: dict[tuple[str, int], Publication] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    stopped: bool = False

    async def publish(self, socket: ServerSocket) -> None:
        """Publish one message after the other, until the load is stopped or the connection lost."""
        process, number = socket.headers[PROCESS], 0
        while not self.stopped:
            begun = time.monotonic()
            try:
                await do(socket, "publish", topic=self.topic, data=f"{process} {number}")
                await socket.receive(PATIENCE)
            except SocketClosed:
                return
            self.publications[process, number] = Publication(process, begun, time.monotonic())
            number += 1
            await asyncio.sleep(REST)

    def count(self, counts: Callable[[Publication], bool]) -> int:
        """Count publications."""
        return sum(map(counts, self.publications.values()))

    def lost(self, due: Callable[[Publication, Listener], bool]) -> int:
        """Count the messages that were due to a listener and did not come."""
        return sum(
            key not in listener.heard and due(publication, listener)
            for listener in self.listeners
            for key, publication in self.publications.items()
        )

    async def reach_everybody(self) -> float:
        """Wait until everybody has heard all that was accepted by now, and return when that was."""
        until = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while self.lost(lambda publication, listener: publication.done < until):  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
        return until

    async def settle(self) -> None:
        """Wait until no message is on its way any more."""
        newest = dict(sorted(self.publications))
        heard, since = -1, time.monotonic()
        while True:
            all_heard = all(key in listener.heard for listener in self.listeners for key in newest.items())
            if time.monotonic() - since > (QUIET if all_heard else LONG_QUIET):
                return
            if (now := sum(len(listener.heard) for listener in self.listeners)) != heard:
                heard, since = now, time.monotonic()
            await asyncio.sleep(LOOK)

    def check_once_and_in_order(self) -> None:
        """Assert what holds whatever happens."""
        found = {"repeated": 0, "disordered": 0}
        for listener in self.listeners:
            found["repeated"] += listener.repeated
            found["disordered"] += listener.disordered
        assert found == {"repeated": 0, "disordered": 0}

    def describe_delays(self, counts: Callable[[Publication, Listener], bool]) -> str:
        """Write how long messages were on their way."""
        times = [
            when - publication.begun
            for listener in self.listeners
            for key, when in listener.heard.items()
            if (publication := self.publications.get(key)) is not None and counts(publication, listener)
        ]
        return f"{median(times) * 1000:.1f} ms median, {max(times) * 1000:.0f} ms at most"


@asynccontextmanager
async def run_load(target: Spread) -> AsyncIterator[Load]:
    """Run a load on every process for the length of the block, and wait until its last message has come."""
    load = Load(make_key())
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as listening:
        publishers = [await stack.enter_async_context(target.connect(LOAD_PATH)) for _ in range(COUNT)]
        for _ in range(COUNT * LISTENERS):
            listener = Listener(await stack.enter_async_context(target.connect(LOAD_PATH)))
            await ask(listener.socket, "subscribe", topic=load.topic)
            load.listeners.append(listener)
        assert len({listener.process for listener in load.listeners}) == COUNT
        tasks = [listening.create_task(listener.run()) for listener in load.listeners]
        async with asyncio.TaskGroup() as publishing:
            for socket in publishers:
                publishing.create_task(load.publish(socket))
            yield load
            load.stopped = True
        await load.settle()
        for task in tasks:
            task.cancel()
