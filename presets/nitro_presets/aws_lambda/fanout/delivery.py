"""Posting one message to many peers: no slow peer holds up the rest, and dead peers are dropped."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from nitro_presets.aws_lambda.store.contract import Subscription
from nitro_presets.aws_lambda.websocket.services import CONCURRENCY, AwsServices
from nitro_py.errors import NitroError, PeerClosedError

logger = logging.getLogger("nitro_py.aws")

# How many posts a batch has at least, but for the last one. With fewer, a slow peer delays the next batch less,
# and progress is written more often.
BATCH = 64

Begin = Callable[[Sequence[Subscription]], Awaitable[bool]]


@dataclass(slots=True)
class TopicDelivery:
    """The delivery of one message to peers, with the peers that it did not reach.

    Args:
        services: The services.
        text: The message.
    """

    services: AwsServices
    text: str
    dead: list[Subscription] = field(default_factory=list)
    failed: int = 0

    async def post_each(self, subscribers: Collection[Subscription]) -> None:
        """Post to all, each as soon as another post is done."""
        source = iter(subscribers)

        async def work() -> None:
            # Benchmark row `aws-posts`: workers that share an iterator cost much less than a task for each post.
            for subscriber in source:
                await self.post(subscriber)

        await asyncio.gather(*(work() for _ in range(min(CONCURRENCY, len(subscribers)))))

    async def post_batches(self, subscribers: Sequence[Subscription], begin: Begin) -> bool:
        """Post to all in batches, each of which begins only when all of its posts can be under way at once.

        Args:
            subscribers: The peers to post to.
            begin: Called with each batch before its posts. If it returns false, the batch and all later ones are
                left out.

        Returns:
            Whether all batches were begun.
        """
        free: deque[asyncio.Future[Subscription | None]] = deque()
        freed = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def work() -> None:
            while True:
                assigned: asyncio.Future[Subscription | None] = loop.create_future()
                free.append(assigned)
                freed.set()
                subscriber = await assigned
                if subscriber is None:
                    return
                await self.post(subscriber)

        async def wait_for(count: int) -> None:
            while len(free) < count:
                freed.clear()
                await freed.wait()

        workers = min(CONCURRENCY, len(subscribers))
        done, more = 0, True
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
            while more and done < len(subscribers):
                await wait_for(min(BATCH, len(subscribers) - done))
                batch = subscribers[done : done + len(free)]
                more = await begin(batch)
                if more:
                    done += len(batch)
                    for subscriber in batch:
                        free.popleft().set_result(subscriber)
            await wait_for(workers)
            for assigned in free:
                assigned.set_result(None)
        return more

    async def post(self, subscriber: Subscription) -> None:
        """Post to one peer; a failure is counted, not raised."""
        try:
            await self.services.post(subscriber.id, subscriber.connected_at, self.text)
        except PeerClosedError:
            self.dead.append(subscriber)
        except NitroError as error:
            self.failed += 1
            # The first line says what is wrong; thousands of them would say no more.
            level = logging.WARNING if self.failed == 1 else logging.DEBUG
            logger.log(level, "Could not post to peer %s: %s", subscriber.id, error.message)

    async def settle(self) -> None:
        """Drop the peers that were found dead, and log how many others were not reached."""
        if self.failed > 1:
            logger.warning("Could not post to %d peers.", self.failed)
        await drop_dead_peers(self.services, self.dead)


async def drop_dead_peers(services: AwsServices, dead: Collection[Subscription]) -> None:
    """Queue the closes of dead peers, and delete the subscriptions of those that are queued.

    A peer whose close cannot be queued, or that connected too recently to be known dead, stays: the next message
    finds it again.
    """
    if not dead:
        return
    source = iter(dead)
    queued: list[Subscription] = []

    async def work() -> None:
        for subscriber in source:
            if await services.queue_close(subscriber.id, subscriber.connected_at):
                queued.append(subscriber)

    await asyncio.gather(*(work() for _ in range(min(CONCURRENCY, len(dead)))))
    try:
        await services.store.delete_subscriptions(queued)
    except NitroError as error:
        logger.warning("Could not drop the subscriptions of %d dead peers: %s", len(queued), error.message)
