"""Publishing: posts to all subscribers at once, or a tree of invocations where they are many."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from typing import Any

from nitro_presets.aws_lambda.client.errors import ServiceError
from nitro_presets.aws_lambda.socket.platform import Platform
from nitro_presets.aws_lambda.store.contracts import Page, Subscriber
from nitro_py.errors import BackplaneError, MessageTooLargeError, NitroError, PeerClosedError

logger = logging.getLogger("nitro_py.aws")

# How many posts are under way at most; each waits for its own peer only.
CONCURRENCY = 128
# How many invocations may stand between a publisher and a post. The tree has three levels, so more is a loop.
MAX_HOPS = 8


@dataclass(frozen=True, slots=True)
class Publication:
    """Is one message on its way to a topic's subscribers.

    Args:
        id: The message's id, by which nobody gets two.
        topic: The topic's name.
        text: What is posted.
        namespace: Only the subscribers there; `None` reaches all.
        exclude: The id of the one subscriber to leave out.
        hop: How many invocations it has come through.
    """

    id: str
    topic: str
    text: str
    namespace: str | None = None
    exclude: str | None = None
    hop: int = 0


async def fan_out(platform: Platform, publication: Publication) -> None:
    """Delivers a publication: here up to the threshold, else by invocations of the WebSocket function.

    Args:
        platform: The services.
        publication: The message.

    Raises:
        MessageTooLargeError: API Gateway takes no message of this size.
        BackplaneError: The subscribers cannot be read, or the work cannot be handed on.
    """
    try:
        await asyncio.gather(
            *(walk_shard(platform, publication, shard, None) for shard in range(platform.store.shards))
        )
    except (MessageTooLargeError, BackplaneError):
        raise
    except NitroError as error:
        raise BackplaneError(f"The topic `{publication.topic}` cannot be delivered: {error.message}") from error


async def walk_shard(platform: Platform, publication: Publication, shard: int, start: str | None) -> None:
    """Posts to the first page of a shard, and has an invocation walk the others where there are more."""
    page = await read_page(platform, publication, shard, start)
    if page.next is not None:
        # Handed on first: the other pages are then read while this one is posted.
        await hand_on(platform, publication, {"kind": "walk", "shard": shard, "start": page.next})
    await post_all(platform, publication, page.items)


async def spread_pages(platform: Platform, publication: Publication, shard: int, start: str | None) -> None:
    """Has an invocation of its own post to each page of a shard."""
    while True:
        page = await read_page(platform, publication, shard, start)
        peers = [astuple(item) for item in page.items]
        if peers:
            await hand_on(platform, publication, {"kind": "post", "subscribers": peers})
        if page.next is None:
            return
        start = page.next


async def read_page(
    platform: Platform, publication: Publication, shard: int, start: str | None
) -> Page[Subscriber]:
    """Reads the subscribers that one invocation posts to."""
    return await platform.store.subscribers(
        publication.topic,
        shard,
        namespace=publication.namespace,
        start=start,
        limit=platform.settings.fan_out_threshold,
    )


async def hand_on(platform: Platform, publication: Publication, work: dict[str, Any]) -> None:
    """Has an invocation of its own go on with a publication."""
    hop = publication.hop + 1
    if hop > MAX_HOPS:
        raise BackplaneError(f"A message to `{publication.topic}` went through more than {MAX_HOPS} invocations.")
    await platform.start({**asdict(publication), "hop": hop, **work})


async def post_all(platform: Platform, publication: Publication, subscribers: Iterable[Subscriber]) -> None:
    """Posts to subscribers concurrently; the dead ones are forgotten, and no slow one holds up the rest."""
    room = asyncio.Semaphore(CONCURRENCY)
    dead: list[Subscriber] = []

    async def post(subscriber: Subscriber) -> None:
        async with room:
            try:
                await platform.post(subscriber.id, subscriber.connected_at, publication.text)
            except PeerClosedError:
                dead.append(subscriber)
            except MessageTooLargeError:
                raise
            except (ServiceError, NitroError) as error:
                logger.warning("Could not post to peer %s: %s", subscriber.id, error.message)

    await asyncio.gather(*(post(item) for item in subscribers if item.id != publication.exclude))
    if dead:
        await platform.store.forget(dead)
        await asyncio.gather(*(platform.forget(item.id, item.connected_at) for item in dead))


def read_publication(work: dict[str, Any]) -> Publication:
    """Reads the publication that another invocation handed on."""
    return Publication(work["id"], work["topic"], work["text"], work["namespace"], work["exclude"], work["hop"])


def read_subscribers(work: dict[str, Any]) -> list[Subscriber]:
    """Reads the subscribers that another invocation handed on."""
    return [Subscriber(*fields) for fields in work["subscribers"]]
