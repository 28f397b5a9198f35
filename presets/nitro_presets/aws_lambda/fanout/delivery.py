"""Posting one message to many peers: no slow one holds up the rest, and the dead ones are forgotten."""

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

# How many posts a batch has at least, but for the last: the fewer, the fewer slow peers can delay the next batch,
# and the more often it is written down how far the batches are.
BATCH = 64

Begin = Callable[[Sequence[Subscription]], Awaitable[bool]]


@dataclass(slots=True)
class TopicDelivery:
    """Posts a message to peers and keeps account of those that it does not reach.

    Args:
        services: The services.
        text: The message.
    """

    services: AwsServices
    text: str
    dead: list[Subscription] = field(default_factory=list)
    failed: int = 0

    async def post_each(self, subscribers: Collection[Subscription]) -> None:
        """Post to all, the next as soon as another is done."""
        source = iter(subscribers)

        async def work() -> None:
            # Workers that share the source cost much less than a task for each post.
            for subscriber in source:
                await self.post(subscriber)

        await asyncio.gather(*(work() for _ in range(min(CONCURRENCY, len(subscribers)))))

    async def post_batches(self, subscribers: Sequence[Subscription], begin: Begin) -> bool:
        """Post to all in batches, each of which is begun only when all of it can be under way at once.

        Args:
            subscribers: Whom to post to.
            begin: Is called with each batch before its posts; where it gives false, all the rest is left out.

        Returns:
            Whether all batches were begun.
        """
        free: deque[asyncio.Future[Subscription | None]] = deque()
        freed = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def work() -> None:
            while True:
                turn: asyncio.Future[Subscription | None] = loop.create_future()
                free.append(turn)
                freed.set()
                subscriber = await turn
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
            for turn in free:
                turn.set_result(None)
        return more

    async def post(self, subscriber: Subscription) -> None:
        """Post to one peer; a failure is kept account of, not raised."""
        try:
            await self.services.post(subscriber.id, subscriber.connected_at, self.text)
        except PeerClosedError:
            self.dead.append(subscriber)
        except NitroError as error:
            self.failed += 1
            # One line tells what is wrong; thousands of them would tell no more.
            level = logging.WARNING if self.failed == 1 else logging.DEBUG
            logger.log(level, "Could not post to peer %s: %s", subscriber.id, error.message)

    async def settle(self) -> None:
        """Forget the peers that were found dead, and tell how many others were not reached."""
        if self.failed > 1:
            logger.warning("Could not post to %d peers.", self.failed)
        await drop_dead_peers(self.services, self.dead)


async def drop_dead_peers(services: AwsServices, dead: Collection[Subscription]) -> None:
    """Queue the closes of dead peers, and drop the subscriptions of those that are queued.

    One that cannot be queued, or is too young to be believed dead, stays: the next message finds it again.
    """
    if not dead:
        return
    source = iter(dead)
    queued: list[Subscription] = []

    async def work() -> None:
        for subscriber in source:
            if await services.forget(subscriber.id, subscriber.connected_at):
                queued.append(subscriber)

    await asyncio.gather(*(work() for _ in range(min(CONCURRENCY, len(dead)))))
    try:
        await services.store.forget(queued)
    except NitroError as error:
        logger.warning("Could not drop the subscriptions of %d dead peers: %s", len(queued), error.message)
