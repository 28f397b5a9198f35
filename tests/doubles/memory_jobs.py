"""A store of jobs in memory, for tests: one process, the same rules."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from nitro_presets.aws_lambda.fanout.job_store import Job, TopicPublication
from nitro_presets.aws_lambda.store.contract import Page


class MemoryJobStore:
    """A `JobStore` in memory.

    Args:
        clock: Returns the time in seconds since the epoch.

    Example:
        jobs = MemoryJobs()
        job = await jobs.read("a3c1#0")
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._publications: dict[str, TopicPublication] = {}
        self._jobs: dict[str, Job] = {}
        # Finished jobs are not in it.
        self._due: dict[str, float] = {}

    async def accept(self, publication: TopicPublication, job: Job, lease: float) -> None:
        """Keep a publication and its first job."""
        self._publications[publication.id] = publication
        await self.add(job, lease)

    async def add(self, job: Job, lease: float) -> Job | None:
        """Keep a job unless its key is taken; return the job that has it already."""
        if job.key in self._jobs:
            return self._jobs[job.key]
        self._keep(job, lease)
        return None

    async def read(self, key: str) -> Job | None:
        """Read a job that is not finished."""
        return self._jobs[key] if key in self._due else None

    async def read_publication(self, id: str) -> TopicPublication | None:
        """Read a publication."""
        return self._publications.get(id)

    async def advance(self, job: Job, start: str | None, lease: float) -> Job | None:
        """Write how far a job is; return `None` if another caller has written since."""
        if not self._holds(job):
            return None
        return self._keep(replace(job, start=start, version=job.version + 1), lease)

    async def finish(self, job: Job) -> bool:
        """End a job; return false if another caller has written since."""
        if not self._holds(job):
            return False
        self._jobs[job.key] = replace(job, version=job.version + 1)
        del self._due[job.key]
        return True

    async def take_over(self, key: str, lease: float) -> Job | None:
        """Take over a due job."""
        if key not in self._due or self._due[key] > self._clock():
            return None
        job = self._jobs[key]
        return self._keep(replace(job, version=job.version + 1), lease)

    async def due(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """List the keys of jobs that are due."""
        now = self._clock()
        keys = sorted(key for key, due in self._due.items() if due <= now and (start is None or key > start))
        page = tuple(keys[:limit])
        return Page(page, page[-1] if len(keys) > limit else None)

    def _holds(self, job: Job) -> bool:
        return job.key in self._due and self._jobs[job.key].version == job.version

    def _keep(self, job: Job, lease: float) -> Job:
        self._jobs[job.key] = job
        self._due[job.key] = self._clock() + lease
        return job
