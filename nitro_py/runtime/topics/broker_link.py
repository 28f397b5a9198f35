"""The connection of a process to the broker, which is made again when it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from nitro_py.backplane import Backplane, BackplaneConnection, Outgoing, Receive
from nitro_py.errors import BackplaneError
from nitro_py.runtime.counters import BackplaneState
from nitro_py.runtime.responsive_timeout import responsive_timeout
from nitro_py.runtime.topics.local_hub import LocalHub

logger = logging.getLogger("nitro_py.backplane")

# The time that the broker has to answer before it counts as lost, in seconds.
ANSWER_TIMEOUT = 5.0
# The shortest and the longest pause between two attempts to connect, in seconds. Half of each is random, so that
# processes that lost the same broker do not reconnect at the same moment.
MIN_RETRY_PAUSE = 0.1
MAX_RETRY_PAUSE = 5.0
# The most messages, or topics, that go to the broker at once.
BATCH = 256
# The bytes of messages after which the broker's answer is awaited.
BATCH_SIZE = 1024 * 1024


class PendingMessage(NamedTuple):
    """A message that the broker has not accepted yet, and its publisher's future."""

    message: Outgoing
    accepted: asyncio.Future[None]


class BrokerLink:
    """The connection of a process to the broker, subscribed there to the topics that have subscribers here.

    Messages that are published while others are on their way go together, so that the broker's answer is awaited
    once. A message is tried once: a broker that was lost may have accepted it, and it must not be delivered twice.

    Args:
        backplane: The way to connect.
        local: The subscribers of this process.
        receive: The function that takes received messages.
        state: The state of the backplane, which this link updates.
    """

    def __init__(self, backplane: Backplane, local: LocalHub, receive: Receive, state: BackplaneState) -> None:
        self._backplane = backplane
        self._local = local
        self._receive = receive
        self._state = state
        self._connection: BackplaneConnection | None = None
        # The topics that the broker sends here, and those whose first subscriber came, or whose last left, since.
        self._subscribed: set[str] = set()
        self._stale: set[str] = set()
        # The topics that the backplane could not subscribe to.
        self._refused: dict[str, Exception] = {}
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
        """Make the first attempt to connect; if it fails, others follow in the background."""
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
        """Wait until the broker sends a topic that has subscribers here; return at once while it is lost.

        Raises:
            BackplaneError: The backplane cannot subscribe to the topic.
        """
        while (
            topic not in self._refused
            and self._connection is not None
            and topic not in self._subscribed
            and self._local.has(topic)
        ):
            await self._subscriptions_changed.wait()
        if topic in self._refused:
            raise BackplaneError(f"The broker cannot take the topic: {self._refused[topic]}")

    async def publish(self, topic: str, data: bytes) -> None:
        """Hand a message to the broker, and wait until that has accepted it.

        Raises:
            BackplaneError: The broker has not accepted it, or may not have.
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
        self._refused.clear()
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
        """Subscribe at the broker to the topics that have subscribers here, and to no others."""
        while True:
            await self._stale_seen.wait()
            self._stale_seen.clear()
            stale, self._stale = self._stale, set()
            gone = [topic for topic in stale if topic in self._subscribed and not self._local.has(topic)]
            new = [topic for topic in stale if topic not in self._subscribed and self._local.has(topic)]
            # Removed first: a peer that subscribes again meanwhile must wait for a new confirmation.
            self._subscribed.difference_update(gone)
            self._refused = {topic: error for topic, error in self._refused.items() if self._local.has(topic)}
            for some in split_batches(gone):
                async with responsive_timeout(ANSWER_TIMEOUT):
                    await connection.unsubscribe(some)
            for some in split_batches(new):
                await self._subscribe(connection, some)
                self._wake_waiting()
            # A peer may wait for a topic that has lost its last subscriber.
            self._wake_waiting()
            if not self._state.connected:
                self._note_connected()

    async def _subscribe(self, connection: BackplaneConnection, topics: list[str]) -> None:
        """Subscribe to topics; one that the backplane cannot express fails alone, and keeps the link."""
        try:
            async with responsive_timeout(ANSWER_TIMEOUT):
                await connection.subscribe(topics)
        except (BackplaneError, TimeoutError):
            raise
        except Exception as error:
            if len(topics) == 1:
                self._refused[topics[0]] = error
                logger.error("The backplane `%s` cannot subscribe to a topic.", self._state.name, exc_info=error)
                return
            for topic in topics:
                await self._subscribe(connection, [topic])
        else:
            self._subscribed.update(topics)

    async def _publish(self, connection: BackplaneConnection, batch: list[PendingMessage]) -> None:
        """Publish messages; one that the backplane cannot express fails alone, and keeps the link."""
        try:
            async with responsive_timeout(ANSWER_TIMEOUT):
                await connection.publish([waiting.message for waiting in batch])
        except (BackplaneError, TimeoutError):
            raise
        except Exception as error:
            if len(batch) == 1:
                if not batch[0].accepted.done():
                    batch[0].accepted.set_exception(BackplaneError(f"The broker cannot take it: {error}"))
                return
            # Some may have been accepted: receivers drop what comes twice.
            for waiting in batch:
                await self._publish(connection, [waiting])
        else:
            for waiting in batch:
                if not waiting.accepted.done():
                    waiting.accepted.set_result(None)

    async def _write(self, connection: BackplaneConnection) -> None:
        while True:
            await self._outbox_filled.wait()
            self._outbox_filled.clear()
            while self._outbox:
                batch = self._take_batch()
                try:
                    await self._publish(connection, batch)
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
        """Mark a topic that got its first subscriber here, or lost its last."""
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
    """Yield topics in batches that the broker can answer in time."""
    for start in range(0, len(topics), BATCH):
        yield topics[start : start + BATCH]


async def watch_connection(connection: BackplaneConnection) -> None:
    """Wait until a connection is lost.

    Raises:
        BackplaneError: The connection is lost.
    """
    await connection.wait_lost()
    raise BackplaneError("The connection ended.")


def fail_pending(batch: Iterable[PendingMessage]) -> None:
    """Raise an error at publishers: the broker was lost before it had accepted their messages."""
    for waiting in batch:
        if not waiting.accepted.done():
            waiting.accepted.set_exception(BackplaneError("The broker was lost."))
