"""The jobs of a publication, each in an invocation of its own: walks a topic's shards, posts to their pages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nitro_presets.aws_lambda.fanout.delivery import Posts
from nitro_presets.aws_lambda.fanout.job_store import Job, Publication, page_job, shard_job
from nitro_presets.aws_lambda.fanout.publish import GRACE, TimeLeft, hand_on
from nitro_presets.aws_lambda.store.contract import Subscriber
from nitro_presets.aws_lambda.websocket.services import Platform

logger = logging.getLogger("nitro_py.aws")

# How many pages a walk hands out before it writes down how far it is.
WALKED_PAGES = 16


async def run_job(platform: Platform, work: dict[str, Any], time_left: TimeLeft) -> None:
    """Do a job, or as much of it as half of the invocation's time is enough for.

    Args:
        platform: The services.
        work: What `hand_on` has sent.
        time_left: Gives the seconds that this invocation has left.
    """
    task = await read_task(platform, work, time_left)
    if task is None:
        return
    job = task.job
    if job.expires_at <= time.time():
        logger.error("Gave up a message to `%s`: its delivery was not done in time.", task.publication.topic)
        await platform.jobs.finish(job)
    elif job.kind == "post":
        peers = work.get("peers")
        known = None if peers is None else [Subscriber(*fields) for fields in peers]
        await post_page(task, await read_page(task) if known is None else known)
    elif len(job.shards) > 1:
        await split(task)
    else:
        await walk(task)


@dataclass(slots=True)
class Task:
    """A job in the hands of an invocation.

    Args:
        platform: The services.
        publication: What the job is a part of.
        job: The job as it stands.
        time_left: Gives the seconds that this invocation has left.
        until: How many of them are kept for what is under way.
    """

    platform: Platform
    publication: Publication
    job: Job
    time_left: TimeLeft
    until: float

    async def advance(self, start: str | None) -> bool:
        """Write how far the job is; false where it is somebody else's now."""
        return await self._take(start, self.time_left())

    async def finish(self) -> bool:
        """End the job; false where it is somebody else's now."""
        return await self.platform.jobs.finish(self.job)

    async def pass_on(self, start: str | None) -> None:
        """Leave the rest of the job to another invocation."""
        if await self._take(start, GRACE):
            await hand_on(self.platform, self.job)

    @property
    def late(self) -> bool:
        """Whether there is no time to begin anything more."""
        return self.time_left() < self.until

    async def _take(self, start: str | None, lease: float) -> bool:
        job = await self.platform.jobs.advance(self.job, start, lease)
        if job is None:
            logger.info("Stopped: the job %s is done by another invocation.", self.job.key)
            return False
        self.job = job
        return True


async def read_task(platform: Platform, work: dict[str, Any], time_left: TimeLeft) -> Task | None:
    """Read what an invocation is to do, from its payload or else from the table; `None` if it comes too late."""
    if "job" in work:
        values = work["job"]
        job: Job | None = Job(**{**values, "shards": tuple(values["shards"])})
        publication: Publication | None = Publication(**work["publication"])
    else:
        job = await platform.jobs.read(work["key"])
        if job is None or job.turn != work["turn"]:
            return None
        publication = await platform.jobs.read_publication(job.message)
    if job is None or publication is None:
        return None
    return Task(platform, publication, job, time_left, time_left() / 2)


async def split(task: Task) -> None:
    """Has each shard walked by an invocation of its own."""
    if not await task.advance(None):
        return
    platform = task.platform

    async def hand_out(shard: int) -> None:
        part = shard_job(task.job, shard)
        if await platform.jobs.add(part, GRACE) is None:
            await hand_on(platform, part, task.publication)

    await asyncio.gather(*(hand_out(shard) for shard in task.job.shards))
    await task.finish()


async def walk(task: Task) -> None:
    """Has each page of a shard posted by an invocation of its own."""
    platform, publication = task.platform, task.publication
    (shard,) = task.job.shards
    reached, pages = task.job.start, 0
    if not await task.advance(reached):
        return
    async with asyncio.TaskGroup() as group:
        while True:
            peers, end = await read_full_page(task, reached)
            if peers:
                job = page_job(task.job, shard, reached, end)
                found = await platform.jobs.add(job, GRACE)
                if found is None:
                    group.create_task(hand_on(platform, job, publication, peers))
                else:
                    # Handed out before this walk was resumed; what follows begins where that page ends.
                    end = found.end
            if end is None:
                break
            reached = end
            pages += 1
            if task.late:
                await task.pass_on(reached)
                return
            if pages % WALKED_PAGES == 0 and not await task.advance(reached):
                return
    await task.finish()


async def post_page(task: Task, peers: Sequence[Subscriber]) -> None:
    """Post to a page's subscribers, as far as nobody has done so."""
    posts = Posts(task.platform, task.publication.text)
    peers = [peer for peer in peers if peer.id != task.publication.exclude]

    async def begin(batch: Sequence[Subscriber]) -> bool:
        if task.late:
            await task.pass_on(task.job.start)
            return False
        # Once the last batch is begun, there is nothing that anybody could go on with.
        return await (task.finish() if batch[-1] is peers[-1] else task.advance(batch[-1].sk))

    if peers:
        await posts.post_batches(peers, begin)
    else:
        await task.finish()
    await posts.settle()


async def read_full_page(task: Task, start: str | None) -> tuple[list[Subscriber], str | None]:
    """Read the page of a shard that begins behind a subscriber, and where the page ends.

    Returns:
        Its subscribers, none only if none follow; and the last one's key, `None` at the end of the shard.
    """
    (shard,) = task.job.shards
    while True:
        page = await task.platform.store.subscribers(
            task.publication.topic,
            shard,
            namespace=task.publication.namespace,
            start=start,
            limit=task.platform.settings.fan_out_threshold,
        )
        if page.items or page.next is None:
            return list(page.items), page.next
        start = page.next


async def read_page(task: Task) -> list[Subscriber]:
    """Read those subscribers of a page that are still to be posted to, and any that have come since."""
    found: list[Subscriber] = []
    start, end = task.job.start, task.job.end
    while True:
        peers, start = await read_full_page(task, start)
        found += [peer for peer in peers if end is None or peer.sk <= end]
        if start is None or (end is not None and start >= end):
            return found
