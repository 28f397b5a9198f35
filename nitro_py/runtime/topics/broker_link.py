"""The one connection of a process to the broker: made, watched, and made again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from nitro_py.backplane import Backplane, BackplaneConnection, Outgoing, Receive
from nitro_py.errors import BackplaneError
from nitro_py.runtime.counters import BackplaneState
from nitro_py.runtime.topics.local_hub import LocalHub

# In how many steps the time is counted: of a stop, one counts at the most.
STEPS = 5


@asynccontextmanager
async def responsive_timeout(seconds: float) -> AsyncIterator[None]:
    """End a block that takes too long, as `asyncio.timeout` does, without counting the time of a stop.

    A process that was stopped, or had no processor for long, finds all of its timers due before it has read what
    came meanwhile: the broker's answer among it, without which it would count as lost.

    Args:
        seconds: How long the block may take.

    Raises:
        TimeoutError: It took longer.

    Example:
        async with responsive_timeout(5):
            await connection.subscribe(["chat"])
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer: asyncio.TimerHandle

        def step(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(seconds / STEPS, step, left - 1)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(seconds / STEPS, step, STEPS - 1)
        try:
            yield
        finally:
            timer.cancel()


logger = logging.getLogger("nitro_py.backplane")

# How long the broker may take to answer before it counts as lost, in seconds.
ANSWER_TIMEOUT = 5.0
# The first and the longest pause between two attempts to connect, in seconds. Half of each is left to chance, so
# that processes which lost the same broker don't come back all at once.
MIN_RETRY_PAUSE = 0.1
MAX_RETRY_PAUSE = 5.0
# How many messages, or topics, go to the broker at once, at most.
BATCH = 256
# After how many bytes of messages the broker's answer is waited for.
BATCH_SIZE = 1024 * 1024


class PendingMessage(NamedTuple):
    """A message whose publisher waits until the broker has it."""

    message: Outgoing
    accepted: asyncio.Future[None]


class BrokerLink:
    """Keeps a process connected to the broker, and subscribed there to exactly what its own subscribers listen to.

    Messages that are published while others are on their way go together, so that the broker's answer is waited
    for once. A message is tried once: whether a broker that was lost has it nobody can know, and nobody shall
    get it twice.

    Args:
        backplane: What connects.
        local: The subscribers of this process.
        receive: Takes what comes.
        state: Is told how it goes.
    """

    def __init__(self, backplane: Backplane, local: LocalHub, receive: Receive, state: BackplaneState) -> None:
        self._backplane = backplane
        self._local = local
        self._receive = receive
        self._state = state
        self._connection: BackplaneConnection | None = None
        # Topics that the broker sends here, and those of which that may no longer be right.
        self._subscribed: set[str] = set()
        self._stale: set[str] = set()
        self._stale_seen = asyncio.Event()
        self._subscriptions_changed = asyncio.Event()
        self._outbox: deque[PendingMessage] = deque()
        self._outbox_filled = asyncio.Event()
        self._attempted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._failures_before = 0
        state.connected = False
        local.watch(self._note_topic_changed)

    async def start(self) -> None:
        """Make the first attempt to connect; where it fails, others follow in the background."""
        self._task = asyncio.create_task(self._run())
        await self._attempted.wait()

    async def stop(self) -> None:
        """Close the connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def wait_subscribed(self, topic: str) -> None:
        """Wait until the broker sends a topic, which has subscribers here; returns at once while it is lost."""
        while self._connection is not None and topic not in self._subscribed and self._local.has(topic):
            await self._subscriptions_changed.wait()

    async def publish(self, topic: str, data: bytes) -> None:
        """Hand a message to the broker, and wait until that has accepted it.

        Raises:
            BackplaneError: It has not, or nobody knows.
        """
        if self._connection is None:
            raise BackplaneError("The broker is lost.")
        limit = self._connection.max_size
        if limit is not None and len(data) > limit:
            raise BackplaneError(f"The broker takes at most {limit} bytes, and it has {len(data)}.")
        waiting = PendingMessage(Outgoing(topic, data), asyncio.get_running_loop().create_future())
        self._outbox.append(waiting)
        self._outbox_filled.set()
        await waiting.accepted

    async def _run(self) -> None:
        attempts = 0
        while True:
            try:
                async with responsive_timeout(ANSWER_TIMEOUT):
                    connection = await self._backplane.connect(self._receive)
            except TimeoutError:
                self._note_lost("it does not answer")
            except Exception as error:
                self._note_lost(error)
            else:
                started = asyncio.get_running_loop().time()
                self._note_lost(await self._use(connection))
                if asyncio.get_running_loop().time() - started > MAX_RETRY_PAUSE:
                    attempts = 0
            self._attempted.set()
            pause = min(MAX_RETRY_PAUSE, MIN_RETRY_PAUSE * 2 ** min(attempts, 16))
            attempts += 1
            await asyncio.sleep(pause * random.uniform(0.5, 1))

    async def _use(self, connection: BackplaneConnection) -> object:
        """Work with a connection until it is lost, and return the reason."""
        self._connection = connection
        self._subscribed.clear()
        self._stale = set(self._local.topics())
        self._stale_seen.set()
        reason: object = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(watch_connection(connection))
                group.create_task(self._follow(connection))
                group.create_task(self._write(connection))
        except ExceptionGroup as errors:
            reason = errors.exceptions[0]
            if self._task is None:
                # Before Python 3.13 a group that has an error forgets that its own task was cancelled.
                raise asyncio.CancelledError from None
        finally:
            self._connection = None
            self._state.connected = False
            self._wake_waiting()
            fail_pending(self._outbox)
            self._outbox.clear()
            with suppress(Exception):
                async with responsive_timeout(ANSWER_TIMEOUT):
                    await connection.close()
        return "it does not answer" if isinstance(reason, TimeoutError) else reason

    async def _follow(self, connection: BackplaneConnection) -> None:
        """Subscribe at the broker to what has subscribers here, and to nothing else."""
        while True:
            await self._stale_seen.wait()
            self._stale_seen.clear()
            stale, self._stale = self._stale, set()
            gone = [topic for topic in stale if topic in self._subscribed and not self._local.has(topic)]
            new = [topic for topic in stale if topic not in self._subscribed and self._local.has(topic)]
            # Taken away first: who joins again meanwhile must wait for a new confirmation.
            self._subscribed.difference_update(gone)
            for some in split_batches(gone):
                async with responsive_timeout(ANSWER_TIMEOUT):
                    await connection.unsubscribe(some)
            for some in split_batches(new):
                async with responsive_timeout(ANSWER_TIMEOUT):
                    await connection.subscribe(some)
                self._subscribed.update(some)
                self._wake_waiting()
            # Who waits for a topic that nobody listens to any more must know too.
            self._wake_waiting()
            if not self._state.connected:
                self._note_connected()

    async def _write(self, connection: BackplaneConnection) -> None:
        while True:
            await self._outbox_filled.wait()
            self._outbox_filled.clear()
            while self._outbox:
                batch = self._take_batch()
                try:
                    async with responsive_timeout(ANSWER_TIMEOUT):
                        await connection.publish([waiting.message for waiting in batch])
                    for waiting in batch:
                        if not waiting.accepted.done():
                            waiting.accepted.set_result(None)
                finally:
                    fail_pending(batch)

    def _take_batch(self) -> list[PendingMessage]:
        batch: list[PendingMessage] = []
        size = 0
        while self._outbox and len(batch) < BATCH and size < BATCH_SIZE:
            batch.append(self._outbox.popleft())
            size += len(batch[-1].message.data)
        return batch

    def _note_topic_changed(self, topic: str) -> None:
        """Note that a topic got its first subscriber here, or lost its last."""
        if self._connection is not None:
            self._stale.add(topic)
            self._stale_seen.set()

    def _wake_waiting(self) -> None:
        changed, self._subscriptions_changed = self._subscriptions_changed, asyncio.Event()
        changed.set()

    def _note_lost(self, reason: object) -> None:
        if self._down_since is None:
            self._down_since = asyncio.get_running_loop().time()
            self._failures_before = self._state.failures
            logger.warning(
                "The backplane `%s` is lost: %s. Topics reach this process only; trying again.",
                self._state.name,
                str(reason).rstrip("."),
            )

    def _note_connected(self) -> None:
        self._state.connected = True
        self._attempted.set()
        if self._down_since is not None:
            seconds = asyncio.get_running_loop().time() - self._down_since
            self._down_since = None
            self._state.reconnects += 1
            logger.info(
                "The backplane `%s` is back after %.1f s; %d messages stayed in this process.",
                self._state.name,
                seconds,
                self._state.failures - self._failures_before,
            )


def split_batches(topics: list[str]) -> Iterator[list[str]]:
    """Return topics in parts for which the broker needs no longer than it may."""
    for start in range(0, len(topics), BATCH):
        yield topics[start : start + BATCH]


async def watch_connection(connection: BackplaneConnection) -> None:
    """Wait until a connection is lost.

    Raises:
        BackplaneError: It is.
    """
    await connection.wait_lost()
    raise BackplaneError("The connection ended.")


def fail_pending(batch: Iterable[PendingMessage]) -> None:
    """Tell publishers that the broker was lost before it had accepted their messages."""
    for waiting in batch:
        if not waiting.accepted.done():
            waiting.accepted.set_exception(BackplaneError("The broker was lost."))
