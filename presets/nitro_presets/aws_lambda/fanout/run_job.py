"""The jobs of a publication, each in an invocation of its own: walking a shard, posting to a page."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nitro_presets.aws_lambda.fanout.delivery import TopicDelivery
from nitro_presets.aws_lambda.fanout.job_store import Job, TopicPublication, page_job, read_payload_job, shard_job
from nitro_presets.aws_lambda.fanout.publish import JOB_LEASE, enqueue_job
from nitro_presets.aws_lambda.lambda_runtime.context import TimeLeft
from nitro_presets.aws_lambda.store.contract import Subscription
from nitro_presets.aws_lambda.websocket.services import AwsServices

logger = logging.getLogger("nitro_py.aws")

# How many pages a walk adds jobs for before it writes how far it is.
WALKED_PAGES = 16


async def run_job(services: AwsServices, work: dict[str, Any], time_left: TimeLeft) -> None:
    """Do a job, or as much of it as half of the invocation's time allows.

    Args:
        services: The services.
        work: The payload that `enqueue_job` has sent.
        time_left: Returns the seconds that this invocation has left.
    """
    running = await read_running_job(services, work, time_left)
    if running is None:
        return
    job = running.job
    if job.expires_at <= time.time():
        logger.error("Gave up a message to `%s`: it was not delivered in time.", running.publication.topic)
        await services.jobs.finish(job)
    elif job.kind == "post":
        peers = work.get("peers")
        known = None if peers is None else [Subscription(*fields) for fields in peers]
        await post_page(running, await read_page(running) if known is None else known)
    elif len(job.shards) > 1:
        await start_shard_jobs(running)
    else:
        await start_page_jobs(running)


@dataclass(slots=True)
class RunningJob:
    """A job that an invocation is doing.

    Args:
        services: The services.
        publication: The publication that the job is a part of.
        job: The job as it stands.
        time_left: Returns the seconds that this invocation has left.
        reserve: How many of them are kept to finish what is under way.
    """

    services: AwsServices
    publication: TopicPublication
    job: Job
    time_left: TimeLeft
    reserve: float

    async def advance(self, start: str | None) -> bool:
        """Write how far the job is; return false if another invocation does it now."""
        return await self._take(start, self.time_left())

    async def finish(self) -> bool:
        """End the job; return false if another invocation does it now."""
        return await self.services.jobs.finish(self.job)

    async def pass_on(self, start: str | None) -> None:
        """Leave the rest of the job to another invocation."""
        if await self._take(start, JOB_LEASE):
            await enqueue_job(self.services, self.job)

    @property
    def late(self) -> bool:
        """Whether there is no time to begin anything more."""
        return self.time_left() < self.reserve

    async def _take(self, start: str | None, lease: float) -> bool:
        job = await self.services.jobs.advance(self.job, start, lease)
        if job is None:
            logger.info("Stopped: another invocation does the job %s.", self.job.key)
            return False
        self.job = job
        return True


async def read_running_job(services: AwsServices, work: dict[str, Any], time_left: TimeLeft) -> RunningJob | None:
    """Read an invocation's job from its payload, or else from the table; return `None` if it comes too late."""
    if "job" in work:
        job: Job | None = read_payload_job(work["job"])
        publication: TopicPublication | None = TopicPublication(**work["publication"])
    else:
        job = await services.jobs.read(work["key"])
        if job is None or job.version != work["turn"]:
            return None
        publication = await services.jobs.read_publication(job.message)
    if job is None or publication is None:
        return None
    return RunningJob(services, publication, job, time_left, time_left() / 2)


async def start_shard_jobs(running: RunningJob) -> None:
    """Start an invocation for each shard, which walks it."""
    if not await running.advance(None):
        return
    services = running.services

    async def add(shard: int) -> None:
        part = shard_job(running.job, shard)
        if await services.jobs.add(part, JOB_LEASE) is None:
            await enqueue_job(services, part, running.publication)

    await asyncio.gather(*(add(shard) for shard in running.job.shards))
    await running.finish()


async def start_page_jobs(running: RunningJob) -> None:
    """Start an invocation for each page of a shard, which posts to it."""
    services, publication = running.services, running.publication
    (shard,) = running.job.shards
    reached, pages = running.job.start, 0
    if not await running.advance(reached):
        return
    async with asyncio.TaskGroup() as group:
        while True:
            peers, end = await read_full_page(running, reached)
            if peers:
                job = page_job(running.job, shard, reached, end)
                found = await services.jobs.add(job, JOB_LEASE)
                if found is None:
                    group.create_task(enqueue_job(services, job, publication, peers))
                else:
                    # Added before this walk was resumed. What follows begins where that page ends.
                    end = found.end
            if end is None:
                break
            reached = end
            pages += 1
            if running.late:
                await running.pass_on(reached)
                return
            if pages % WALKED_PAGES == 0 and not await running.advance(reached):
                return
    await running.finish()


async def post_page(running: RunningJob, peers: Sequence[Subscription]) -> None:
    """Post to the subscribers of a page that have not been posted to."""
    delivery = TopicDelivery(running.services, running.publication.text)
    peers = [peer for peer in peers if peer.id != running.publication.exclude]

    async def begin(batch: Sequence[Subscription]) -> bool:
        if running.late:
            await running.pass_on(running.job.start)
            return False
        # Once the last batch is begun, there is nothing left for another invocation.
        return await (running.finish() if batch[-1] is peers[-1] else running.advance(batch[-1].sk))

    if peers:
        await delivery.post_batches(peers, begin)
    else:
        await running.finish()
    await delivery.settle()


async def read_full_page(running: RunningJob, start: str | None) -> tuple[list[Subscription], str | None]:
    """Read the page of a shard that begins after a subscriber.

    Returns:
        The page's subscribers, none only if none follow; and the last one's key, `None` at the end of the shard.
    """
    (shard,) = running.job.shards
    while True:
        page = await running.services.store.subscribers(
            running.publication.topic,
            shard,
            namespace=running.publication.namespace,
            start=start,
            limit=running.services.settings.fan_out_threshold,
        )
        if page.items or page.next is None:
            return list(page.items), page.next
        start = page.next


async def read_page(running: RunningJob) -> list[Subscription]:
    """Read the subscribers of a page that are still to be posted to, and those that have come since."""
    found: list[Subscription] = []
    start, end = running.job.start, running.job.end
    while True:
        peers, start = await read_full_page(running, start)
        found += [peer for peer in peers if end is None or peer.sk <= end]
        if start is None or (end is not None and start >= end):
            return found
