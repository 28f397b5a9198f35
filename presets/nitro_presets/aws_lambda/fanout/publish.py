"""Publishing to a topic: posts to all subscribers at once, or by a tree of invocations where they are many.

Up to `aws.fan_out_threshold` subscribers, a publish is 1 query for each of the topic's shards and N posts.

Above it, each shard is cut into pages of as many subscribers, and the publish costs, beside the N posts:

- the publisher, once: 1 query a shard (which tells that there are too many), 1 write, 1 invocation;
- the walk of a shard: 2 writes, and 1 write more every 16 pages; with several shards also 1 write and 1 invocation
  for each, and 2 writes once;
- a page: 1 query, 1 write and 1 invocation by the walk, and 1 write a batch by the invocation that posts: 500
  subscribers are 4 to 8 batches;
- where a message and its page do not fit into an invocation's payload: 2 reads and 1 query a page more.

The levels of the tree are: the publication (where the topic has several shards), the shards, the pages. No peer
gets a message twice, and one that does not get it was being posted to when an invocation died:

- Where a page ends is decided by one conditional write, so pages never overlap, whichever invocation walks.
- A page is posted in batches. Before each, one conditional write says how far the posts are; of two invocations
  with the same page one goes on. What is under way at a death is lost, never repeated.
- A job that is not finished by the end of its lease is taken over by the scheduled sweep.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nitro_presets.aws_lambda.aws_client.management import MAX_MESSAGE, too_large_error
from nitro_presets.aws_lambda.fanout.delivery import TopicDelivery
from nitro_presets.aws_lambda.fanout.job_store import Job, TopicPublication, first_job, write_payload_job
from nitro_presets.aws_lambda.lambda_runtime.context import TimeLeft
from nitro_presets.aws_lambda.store.contract import Subscription
from nitro_presets.aws_lambda.websocket.services import AwsServices, check_depth
from nitro_py.errors import BackplaneError, NitroError

logger = logging.getLogger("nitro_py.aws")

# How long a publication may be resumed, in seconds. A message that is older is given up.
MAX_JOB_AGE = 3600
# How long an invocation may be on its way before the sweep starts another, in seconds.
JOB_LEASE = 60.0
# How many keys of jobs the sweep reads at a time.
DUE_PAGE = 100


async def fan_out(services: AwsServices, publication: TopicPublication) -> None:
    """Deliver a publication: in this process up to `aws.fan_out_threshold`, else by invocations of their own.

    Args:
        services: The services.
        publication: The message.

    Raises:
        MessageTooLargeError: API Gateway takes no message of this size.
        BackplaneError: The subscribers cannot be read, or the first job cannot be stored.
    """
    size = len(publication.text.encode())
    if size > MAX_MESSAGE:
        raise too_large_error(size)
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
    """Read a topic's subscribers; return `None` if there are more than `aws.fan_out_threshold`."""
    limit = services.settings.fan_out_threshold
    pages = await asyncio.gather(
        *(
            # One more, because a full page does not tell whether another follows.
            services.store.subscribers(publication.topic, shard, namespace=publication.namespace, limit=limit + 1)
            for shard in range(services.store.shards)
        )
    )
    few = [subscriber for page in pages for subscriber in page.items]
    return None if len(few) > limit or any(page.next is not None for page in pages) else few


async def start_fan_out(services: AwsServices, publication: TopicPublication) -> None:
    """Store a publication and its first job, and start the invocation that does it.

    Raises:
        BackplaneError: Too many invocations have followed from one another.
        ServiceError: DynamoDB does not store it.
    """
    check_depth()
    job = first_job(publication.id, shards=services.store.shards, expires_at=int(time.time()) + MAX_JOB_AGE)
    await services.jobs.accept(publication, job, JOB_LEASE)
    await enqueue_job(services, job, publication)


async def resume_jobs(services: AwsServices, time_left: TimeLeft) -> None:
    """Start the jobs again whose invocations have died, or never came."""
    start: str | None = None
    while time_left() > 5:
        page = await services.jobs.due(start=start, limit=DUE_PAGE)
        jobs = await asyncio.gather(*(services.jobs.take_over(key, JOB_LEASE) for key in page.items))
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
    """Start an invocation that does a job; if it cannot be started, the sweep finds the job.

    Args:
        services: The services.
        job: The job as it stands.
        publication: The message. The invocation reads it from the table if it is not given, or too large to send.
        peers: The subscribers of the page, which are read in the same way.
    """
    reference: dict[str, Any] = {"kind": "job", "key": job.key, "turn": job.version}
    work = reference
    if publication is not None:
        work = {"kind": "job", "job": write_payload_job(job), "publication": asdict(publication)}
        if peers is not None:
            work["peers"] = [(peer.id, peer.connected_at, peer.pk, peer.sk) for peer in peers]
    try:
        await services.start(work, fallback=reference)
    except NitroError as error:
        logger.warning("The job %s waits for the sweep: %s", job.key, error.message)
