"""Publications and their jobs, kept in DynamoDB: in the table and the index that connections are in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from nitro_presets.aws_lambda.aws_client.attributes import marshal_item, unmarshal
from nitro_presets.aws_lambda.aws_client.errors import ConditionFailedError
from nitro_presets.aws_lambda.store.contract import Page, TableClient
from nitro_presets.aws_lambda.store.items import put_row, write_key
from nitro_presets.aws_lambda.store.keys import (
    INDEX_PARTITIONS,
    hash_if_long,
    pick_shard,
    read_cursor,
    write_cursor,
)
from nitro_presets.aws_lambda.store.rows import due_time, make_token
from nitro_presets.aws_lambda.store.table import INDEX

# `walk` finds the pages of the shards and starts an invocation for each. `post` posts to one page.
JobKind = Literal["walk", "post"]

# The longest time-out that Lambda allows a function, in seconds.
MAX_INVOCATION = 900

JOB_SORT = "j"

# What a row of the table calls a job's version is `turn`.
ABSENT = "attribute_not_exists(pk)"
# A finished job has no `due`.
UNCHANGED = "turn = :version AND attribute_exists(due)"
NEXT_VERSION = "turn = turn + :one, turn_token = :token"
ADVANCE = f"SET {NEXT_VERSION}, due = :due, progress = :progress"
FINISH = f"SET {NEXT_VERSION} REMOVE due, slot"
TAKE_OVER = f"SET {NEXT_VERSION}, due = :due"


@dataclass(frozen=True, slots=True)
class TopicPublication:
    """One message on its way to a topic's subscribers.

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
    """A part of a publication that one invocation does at a time.

    Args:
        key: The job's own key.
        message: The publication's id.
        kind: The kind of work.
        shards: The topic's shards to work on: all of them for the first job of a publication, else one.
        expires_at: When the job is given up, in seconds since the epoch.
        start: The sort key of the subscriber after which the work goes on; `None` is the shard's beginning.
        end: For `post`, the sort key of the page's last subscriber; `None` is the shard's end.
        version: How often the row was written. A write names the version that it follows, so that of two
            invocations with the same job only one goes on.

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
    version: int = 0


class JobStore(Protocol):
    """A store of publications and their jobs. Every method MUST be safe to run concurrently from many processes.

    A job is due when its lease has passed and it is not finished. Finished jobs are kept for as long as they
    could be added again.
    """

    async def accept(self, publication: TopicPublication, job: Job, lease: float) -> None:
        """Keep a publication and its first job, whose key is the publication's id; MUST be one write.

        Args:
            publication: The publication, with an id of its own.
            job: The job.
            lease: When the job is due unless it is advanced before, in seconds from now.
        """

    async def add(self, job: Job, lease: float) -> Job | None:
        """Keep a job unless its key is taken; MUST be one write.

        Returns:
            The job that has the key already, in its present state; `None` when this one was added.
        """

    async def read(self, key: str) -> Job | None:
        """Read a job that is not finished; MUST be one read and see every write before it."""

    async def read_publication(self, id: str) -> TopicPublication | None:
        """Read a publication; MUST be one read."""

    async def advance(self, job: Job, start: str | None, lease: float) -> Job | None:
        """Write how far a job is, and renew its lease; MUST be one conditional write.

        Args:
            job: The job as the caller knows it.
            start: The subscriber after which the work goes on, should the caller not finish it.
            lease: How long the caller may take, in seconds.

        Returns:
            The job as it stands now; `None` if another caller has written since, and this one MUST stop.
        """

    async def finish(self, job: Job) -> bool:
        """End a job, so that it is never due again; MUST be one conditional write.

        Returns:
            False if another caller has written since, and this one MUST stop.
        """

    async def take_over(self, key: str, lease: float) -> Job | None:
        """Take over a due job; MUST give it to one caller only.

        Returns:
            The job as it stands now; `None` if it is not due.
        """

    async def due(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """List the keys of jobs that are due.

        Args:
            start: What the page before gave as `next`.
            limit: How many there are in a page at most.
        """


def first_job(message: str, *, shards: int, expires_at: int) -> Job:
    """Make the first job of a publication, which adds the others."""
    return Job(message, message, "walk", tuple(range(shards)), expires_at)


def shard_job(job: Job, shard: int) -> Job:
    """Make the job that walks one shard."""
    return replace(job, key=f"{job.message}#{shard}", shards=(shard,), version=0)


def page_job(job: Job, shard: int, start: str | None, end: str | None) -> Job:
    """Make the job that posts to one page. Pages that begin at the same place are the same job."""
    key = f"{job.message}#{shard}#{hash_if_long(start or '')}"
    return Job(key, job.message, "post", (shard,), job.expires_at, start, end)


class DynamoJobStore:
    """A `JobStore` in DynamoDB.

    A publication is kept in the row of its first job, so that both are there or neither is.

    Args:
        client: A client of the table that `table_definition` defines.
        clock: Returns the time in seconds since the epoch.

    Example:
        jobs = DynamoJobs(DynamoClient("nitro"))
        job = await jobs.read("a3c1#0")
    """

    def __init__(self, client: TableClient, *, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    async def accept(self, publication: TopicPublication, job: Job, lease: float) -> None:
        """Keep a publication and its first job."""
        row = self._write(job, lease, make_token())
        # The text is an attribute of its own: escaped as JSON it might be larger than a row.
        row |= {"message_text": publication.text, "publication": write_publication(publication)}
        # A repeated call finds its own row, which may have been advanced by now.
        with suppress(ConditionFailedError):
            await put_row(self._client, row, ABSENT)

    async def add(self, job: Job, lease: float) -> Job | None:
        """Keep a job unless its key is taken; return the job that has it already."""
        token = make_token()
        try:
            await put_row(self._client, self._write(job, lease, token), ABSENT)
        except ConditionFailedError as error:
            found = error.item or {}
            # A repeated call finds its own row.
            return None if found.get("turn_token") == token else read_job(found)
        return None

    async def read(self, key: str) -> Job | None:
        """Read a job that is not finished."""
        row = await self._read(key)
        return read_job(row) if row is not None and "due" in row else None

    async def read_publication(self, id: str) -> TopicPublication | None:
        """Read a publication."""
        row = await self._read(id)
        return (
            None if row is None else TopicPublication(text=row["message_text"], **json.loads(row["publication"]))
        )

    async def advance(self, job: Job, start: str | None, lease: float) -> Job | None:
        """Write how far a job is; return `None` if another caller has written since."""
        values = {":version": job.version, ":due": self._due(lease), ":progress": start}
        return await self._update(job.key, ADVANCE, UNCHANGED, values)

    async def finish(self, job: Job) -> bool:
        """End a job; return false if another caller has written since."""
        return await self._update(job.key, FINISH, UNCHANGED, {":version": job.version}) is not None

    async def take_over(self, key: str, lease: float) -> Job | None:
        """Take over a due job."""
        values = {":now": self._clock(), ":due": self._due(lease)}
        return await self._update(key, TAKE_OVER, "due <= :now", values)

    async def due(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """List the keys of jobs that are due."""
        slot, due, partition = read_cursor(start)
        query: dict[str, Any] = {
            "IndexName": INDEX,
            "KeyConditionExpression": "slot = :slot AND due <= :now",
            "ExpressionAttributeValues": marshal_item({":slot": name_job_partition(slot), ":now": self._clock()}),
            "Limit": limit,
        }
        if partition is not None:
            last = {"slot": name_job_partition(slot), "due": due, "pk": partition, "sk": JOB_SORT}
            query["ExclusiveStartKey"] = marshal_item(last)
        answer = await self._client.call("Query", query)
        keys = tuple(item["pk"]["S"].removeprefix(job_partition("")) for item in answer["Items"])
        if "LastEvaluatedKey" in answer:
            reached = unmarshal(answer["LastEvaluatedKey"])
            return Page(keys, write_cursor(slot, reached["due"], reached["pk"]))
        return Page(keys, write_cursor(slot + 1) if slot + 1 < INDEX_PARTITIONS else None)

    async def _read(self, key: str) -> Mapping[str, Any] | None:
        answer = await self._client.call(
            "GetItem", {"Key": write_key((job_partition(key), JOB_SORT)), "ConsistentRead": True}
        )
        row = unmarshal(answer.get("Item", {}))
        return row if row and row["ttl"] > self._clock() else None

    async def _update(self, key: str, change: str, condition: str, values: Mapping[str, object]) -> Job | None:
        token = make_token()
        payload = {
            "Key": write_key((job_partition(key), JOB_SORT)),
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": marshal_item({":one": 1, ":token": token, **values}),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            row = unmarshal((await self._client.call("UpdateItem", payload))["Attributes"])
        except ConditionFailedError as error:
            row = dict(error.item or {})
            # A repeated call finds its own write.
            return read_job(row) if row.get("turn_token") == token else None
        return read_job(row)

    def _write(self, job: Job, lease: float, token: str) -> dict[str, Any]:
        fixed = {**asdict(job)}
        progress, version = fixed.pop("start"), fixed.pop("version")
        return {
            "pk": job_partition(job.key),
            "sk": JOB_SORT,
            "slot": name_job_partition(pick_shard(job.key, INDEX_PARTITIONS)),
            "due": self._due(lease),
            "ttl": job.expires_at + MAX_INVOCATION,
            "job": json.dumps(fixed, separators=(",", ":")),
            "progress": progress,
            "turn": version,
            "turn_token": token,
        }

    def _due(self, lease: float) -> int:
        return due_time(self._clock() + lease)


def job_partition(key: str) -> str:
    """Return the partition of a job. Each has its own, as one message may have too many jobs for one partition.

    Example:
        >>> job_partition("a3c1#0")
        'j#a3c1#0'
    """
    return f"j#{key}"


def name_job_partition(number: int) -> str:
    """Return the name of an index partition of jobs, which are apart from those of connections."""
    return f"y#{number}"


def write_publication(publication: TopicPublication) -> str:
    """Write a publication without its text."""
    values = asdict(publication)
    del values["text"]
    return json.dumps(values, separators=(",", ":"))


def read_job(row: Mapping[str, Any]) -> Job:
    """Read a job from the values of its row."""
    fixed = json.loads(row["job"])
    return Job(**{**fixed, "shards": tuple(fixed["shards"])}, start=row["progress"], version=row["turn"])


def write_payload_job(job: Job) -> dict[str, Any]:
    """Write a job as the payload of an invocation has it, where its version is called `turn`."""
    values = asdict(job)
    values["turn"] = values.pop("version")
    return values


def read_payload_job(values: Mapping[str, Any]) -> Job:
    """Read a job from the payload of an invocation.

    Example:
        >>> job = first_job("m1", shards=2, expires_at=3600)
        >>> read_payload_job(json.loads(json.dumps(write_payload_job(job)))) == job
        True
    """
    others = {name: value for name, value in values.items() if name not in ("shards", "turn")}
    return Job(**others, shards=tuple(values["shards"]), version=values["turn"])
