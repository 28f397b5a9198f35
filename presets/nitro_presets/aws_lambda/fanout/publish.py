"""Publishing: posts to all subscribers at once, or a tree of invocations where they are many.

Up to `aws.fan_out_threshold` subscribers, a publish is 1 query for each of the topic's shards and N posts.

Above it, each shard is cut into pages of as many subscribers, and the publish costs, beside the N posts:

- the publisher, once: 1 query a shard (which tells that there are too many), 1 write, 1 invocation;
- the walk of a shard: 2 writes, and 1 write more every 16 pages; with several shards also 1 write and 1 invocation
  for each, and 2 writes once;
- a page: 1 query, 1 write and 1 invocation by the walk, and 1 write a batch by the one who posts: 500 subscribers
  are 4 to 8 batches;
- where a message and its page do not fit into an invocation's payload: 2 reads and 1 query a page more.

The levels of the tree are: the publication (where the topic has several shards), the shards, the pages. Nobody
gets two messages, and who does not get one was being posted to when an invocation died:

- Where a page ends is decided by one conditional write, so pages never overlap, whoever walks.
- A page is posted in batches. Before each, one conditional write says how far the posts are; of two invocations
  with the same page one goes on. What is under way at a death is lost, never repeated.
- What has not been said to be done by the end of its lease is taken up by the scheduled sweep.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from nitro_presets.aws_lambda.aws_client.management import MAX_MESSAGE
from nitro_presets.aws_lambda.fanout.delivery import TopicDelivery
from nitro_presets.aws_lambda.fanout.job_store import Job, TopicPublication, first_job
from nitro_presets.aws_lambda.store.contract import Subscription
from nitro_presets.aws_lambda.websocket.services import AwsServices, check_depth
from nitro_py.errors import BackplaneError, MessageTooLargeError, NitroError

logger = logging.getLogger("nitro_py.aws")

# How long a publication may be resumed, in seconds; after it a message is no news.
MAX_JOB_AGE = 3600
# How long an invocation may be on its way before the sweep sends another, in seconds.
JOB_LEASE = 60.0
# How many keys of jobs the sweep reads at a time.
DUE_PAGE = 100

TimeLeft = Callable[[], float]


async def fan_out(services: AwsServices, publication: TopicPublication) -> None:
    """Deliver a publication: here up to the threshold, else by invocations of the WebSocket function.

    Args:
        services: The services.
        publication: The message.

    Raises:
        MessageTooLargeError: API Gateway takes no message of this size.
        BackplaneError: The subscribers cannot be read, or the work cannot be handed on.
    """
    size = len(publication.text.encode())
    if size > MAX_MESSAGE:
        raise MessageTooLargeError(f"API Gateway takes messages of at most {MAX_MESSAGE} bytes, got {size}.")
    try:
        few = await read_if_few(services, publication)
        if few is None:
            await start_fan_out(services, publication)
            return
    except BackplaneError:
        raise
    except NitroError as error:
        raise BackplaneError(f"The topic `{publication.topic}` cannot be reached: {error.message}") from error
    delivery = TopicDelivery(services, publication.text)
    await delivery.post_each([subscriber for subscriber in few if subscriber.id != publication.exclude])
    await delivery.settle()


async def read_if_few(services: AwsServices, publication: TopicPublication) -> list[Subscription] | None:
    """Read a topic's subscribers; `None` when there are more than the threshold."""
    limit = services.settings.fan_out_threshold
    pages = await asyncio.gather(
        *(
            # One more, because a full page does not know that nothing follows it.
            services.store.subscribers(publication.topic, shard, namespace=publication.namespace, limit=limit + 1)
            for shard in range(services.store.shards)
        )
    )
    few = [subscriber for page in pages for subscriber in page.items]
    return None if len(few) > limit or any(page.next is not None for page in pages) else few


async def start_fan_out(services: AwsServices, publication: TopicPublication) -> None:
    """Accept a publication for delivery by other invocations: once it is kept, it is theirs.

    Raises:
        BackplaneError: It has come through too many invocations.
        ServiceError: It cannot be kept.
    """
    check_depth()
    job = first_job(publication.id, shards=services.store.shards, expires_at=int(time.time()) + MAX_JOB_AGE)
    await services.jobs.accept(publication, job, JOB_LEASE)
    await enqueue_job(services, job, publication)


async def resume_jobs(services: AwsServices, time_left: TimeLeft) -> None:
    """Has the jobs go on whose invocations have died, or never came."""
    start: str | None = None
    while time_left() > 5:
        page = await services.jobs.due(start=start, limit=DUE_PAGE)
        jobs = await asyncio.gather(*(services.jobs.revive(key, JOB_LEASE) for key in page.items))
        await asyncio.gather(*(enqueue_job(services, job) for job in jobs if job is not None))
        if page.next is None:
            return
        start = page.next


async def enqueue_job(
    services: AwsServices,
    job: Job,
    publication: TopicPublication | None = None,
    peers: Sequence[Subscription] | None = None,
) -> None:
    """Has an invocation of its own do a job; where it cannot be had, the sweep finds the job.

    Args:
        services: The services.
        job: The job as it stands.
        publication: The message, which is read from the table where it is not given, or is too large to send.
        peers: A page's subscribers, likewise.
    """
    least: dict[str, Any] = {"kind": "job", "key": job.key, "turn": job.turn}
    work = least
    if publication is not None:
        work = {"kind": "job", "job": asdict(job), "publication": asdict(publication)}
        if peers is not None:
            work["peers"] = [(peer.id, peer.connected_at, peer.pk, peer.sk) for peer in peers]
    try:
        await services.start(work, otherwise=least)
    except NitroError as error:
        logger.warning("The job %s waits for the sweep: %s", job.key, error.message)
