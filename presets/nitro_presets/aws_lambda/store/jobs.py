"""Work that outlives whoever does it: the parts of a publication that is spread over invocations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from nitro_presets.aws_lambda.store.contracts import Page
from nitro_presets.aws_lambda.store.keys import fold

# `walk`: finds the pages of the shards, and has each posted. `post`: posts to one page.
JobKind = Literal["walk", "post"]

# How long an invocation may take that began before its job expired, in seconds: no invocation takes longer.
LONGEST_RUN = 900


@dataclass(frozen=True, slots=True)
class Publication:
    """Is one message on its way to a topic's subscribers.

    Args:
        id: The message's id, which the keys of its jobs begin with.
        topic: The topic's name.
        text: What is posted.
        namespace: Only the subscribers there; `None` reaches all.
        exclude: The id of the one subscriber to leave out.
    """

    id: str
    topic: str
    text: str
    namespace: str | None = None
    exclude: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Is a part of a publication that one invocation does at a time.

    Args:
        key: The job's own key.
        message: The publication's id.
        kind: What is to be done.
        shards: The topic's shards that it is about; one, but for the first job of a publication.
        expires_at: When it is too late to go on with it, in seconds since the epoch.
        start: The sort key of the subscriber behind which it goes on; `None` is the shard's beginning.
        end: Of `post`, the sort key of the page's last subscriber; `None` is the shard's end.
        turn: How often the row was written. Only who knows it may write, so of two with the same job one goes on.

    Example:
        >>> job = first_job("m1", shards=1, expires_at=3600)
        >>> page_job(job, 0, start=None, end="/chat#9=").key
        'm1#0#'
    """

    key: str
    message: str
    kind: JobKind
    shards: tuple[int, ...]
    expires_at: int
    start: str | None = None
    end: str | None = None
    turn: int = 0


class Jobs(Protocol):
    """Keeps publications and their jobs. Every method MUST be safe to run concurrently from many processes.

    A job is due when its lease has passed and nobody has finished it. Finished ones are kept for as long as they
    could be added again.
    """

    async def accept(self, publication: Publication, job: Job, lease: float) -> None:
        """Keeps a publication and its first job, whose key is the publication's id; MUST be one write.

        Args:
            publication: The publication, whose id nobody has used.
            job: The job.
            lease: When the job is due unless somebody has advanced it, in seconds from now.
        """

    async def add(self, job: Job, lease: float) -> Job | None:
        """Keeps a job unless its key is taken; MUST be one write.

        Returns:
            The job that stands there already, as it was added or as far as it is; `None` when this one was added.
        """

    async def read(self, key: str) -> Job | None:
        """Reads a job that is not finished; MUST be one read and see every write before it."""

    async def read_publication(self, id: str) -> Publication | None:
        """Reads a publication; MUST be one read."""

    async def advance(self, job: Job, start: str | None, lease: float) -> Job | None:
        """Writes how far a job is, and holds it for as long as the lease lasts; MUST be one conditional write.

        Args:
            job: The job as the caller knows it.
            start: Behind which subscriber it goes on, if the caller does not.
            lease: How long the caller may take, in seconds.

        Returns:
            The job as it stands now; `None` where somebody else has written since: the caller stops.
        """

    async def finish(self, job: Job) -> bool:
        """Ends a job, which will never be due again; MUST be one conditional write.

        Returns:
            False where somebody else has written since: the caller stops.
        """

    async def revive(self, key: str, lease: float) -> Job | None:
        """Takes a due job from whoever has it; MUST give it to one caller only.

        Returns:
            The job as it stands now; `None` where it is not due.
        """

    async def due(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """Lists the keys of jobs that are due.

        Args:
            start: What the page before gave as `next`.
            limit: How many there are in a page at most.
        """


def first_job(message: str, *, shards: int, expires_at: int) -> Job:
    """Makes the job that all others of a publication come from."""
    return Job(message, message, "walk", tuple(range(shards)), expires_at)


def shard_job(job: Job, shard: int) -> Job:
    """Makes the job of walking one of a job's shards."""
    return replace(job, key=f"{job.message}#{shard}", shards=(shard,), turn=0)


def page_job(job: Job, shard: int, start: str | None, end: str | None) -> Job:
    """Makes the job of posting to one page; a page that begins at the same place is the same job."""
    key = f"{job.message}#{shard}#{fold(start or '')}"
    return Job(key, job.message, "post", (shard,), job.expires_at, start, end)
