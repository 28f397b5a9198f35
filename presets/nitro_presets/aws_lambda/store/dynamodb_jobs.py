"""Jobs in DynamoDB, in the table and the index that connections are in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from nitro_presets.aws_lambda.client.attributes import marshal_item, unmarshal
from nitro_presets.aws_lambda.client.errors import ConditionFailedError
from nitro_presets.aws_lambda.store.batches import write_key
from nitro_presets.aws_lambda.store.contracts import Page, TableClient
from nitro_presets.aws_lambda.store.items import put_row
from nitro_presets.aws_lambda.store.jobs import LONGEST_RUN, Job, Publication
from nitro_presets.aws_lambda.store.keys import SLOTS, pick_shard, read_cursor, write_cursor
from nitro_presets.aws_lambda.store.rows import due_time, make_token
from nitro_presets.aws_lambda.store.table import INDEX

JOB_SORT = "j"

ABSENT = "attribute_not_exists(pk)"
# Of jobs that are finished, nothing is due.
MINE = "turn = :turn AND attribute_exists(due)"
NEXT_TURN = "turn = turn + :one, turn_token = :token"
ADVANCE = f"SET {NEXT_TURN}, due = :due, progress = :progress"
FINISH = f"SET {NEXT_TURN} REMOVE due, slot"
REVIVE = f"SET {NEXT_TURN}, due = :due"


class DynamoJobs:
    """Keeps publications and jobs in DynamoDB; implements `Jobs`.

    A publication stands in the row of its first job, so that both are there or neither is.

    Args:
        client: Calls the table that `table_definition` defines.
        clock: Gives the time in seconds since the epoch.

    Example:
        jobs = DynamoJobs(DynamoClient("nitro"))
        job = await jobs.read("a3c1#0")
    """

    def __init__(self, client: TableClient, *, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    async def accept(self, publication: Publication, job: Job, lease: float) -> None:
        """Keeps a publication and its first job."""
        row = self._write(job, lease, make_token())
        # The text stands alone: escaped as JSON it might be larger than a row.
        row |= {"message_text": publication.text, "publication": write_publication(publication)}
        # Of a repeated call, its own row, which may have been advanced by now.
        with suppress(ConditionFailedError):
            await put_row(self._client, row, ABSENT)

    async def add(self, job: Job, lease: float) -> Job | None:
        """Keeps a job unless its key is taken; gives the one that stands there already."""
        token = make_token()
        try:
            await put_row(self._client, self._write(job, lease, token), ABSENT)
        except ConditionFailedError as error:
            found = error.item or {}
            # Of a repeated call, its own row.
            return None if found.get("turn_token") == token else read_job(found)
        return None

    async def read(self, key: str) -> Job | None:
        """Reads a job that is not finished."""
        row = await self._read(key)
        return read_job(row) if row is not None and "due" in row else None

    async def read_publication(self, id: str) -> Publication | None:
        """Reads a publication."""
        row = await self._read(id)
        return None if row is None else Publication(text=row["message_text"], **json.loads(row["publication"]))

    async def advance(self, job: Job, start: str | None, lease: float) -> Job | None:
        """Writes how far a job is; `None` where somebody else has written since."""
        values = {":turn": job.turn, ":due": self._due(lease), ":progress": start}
        return await self._update(job.key, ADVANCE, MINE, values)

    async def finish(self, job: Job) -> bool:
        """Ends a job; false where somebody else has written since."""
        return await self._update(job.key, FINISH, MINE, {":turn": job.turn}) is not None

    async def revive(self, key: str, lease: float) -> Job | None:
        """Takes a due job from whoever has it."""
        values = {":now": self._clock(), ":due": self._due(lease)}
        return await self._update(key, REVIVE, "due <= :now", values)

    async def due(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """Lists the keys of jobs that are due."""
        slot, due, partition = read_cursor(start)
        query: dict[str, Any] = {
            "IndexName": INDEX,
            "KeyConditionExpression": "slot = :slot AND due <= :now",
            "ExpressionAttributeValues": marshal_item({":slot": name_slot(slot), ":now": self._clock()}),
            "Limit": limit,
        }
        if partition is not None:
            last = {"slot": name_slot(slot), "due": due, "pk": partition, "sk": JOB_SORT}
            query["ExclusiveStartKey"] = marshal_item(last)
        answer = await self._client.call("Query", query)
        keys = tuple(item["pk"]["S"].removeprefix(job_partition("")) for item in answer["Items"])
        if "LastEvaluatedKey" in answer:
            reached = unmarshal(answer["LastEvaluatedKey"])
            return Page(keys, write_cursor(slot, reached["due"], reached["pk"]))
        return Page(keys, write_cursor(slot + 1) if slot + 1 < SLOTS else None)

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
            # Of a repeated call, its own turn.
            return read_job(row) if row.get("turn_token") == token else None
        return read_job(row)

    def _write(self, job: Job, lease: float, token: str) -> dict[str, Any]:
        fixed = {**asdict(job)}
        progress, turn = fixed.pop("start"), fixed.pop("turn")
        return {
            "pk": job_partition(job.key),
            "sk": JOB_SORT,
            "slot": name_slot(pick_shard(job.key, SLOTS)),
            "due": self._due(lease),
            "ttl": job.expires_at + LONGEST_RUN,
            "job": json.dumps(fixed, separators=(",", ":")),
            "progress": progress,
            "turn": turn,
            "turn_token": token,
        }

    def _due(self, lease: float) -> int:
        return due_time(self._clock() + lease)


def job_partition(key: str) -> str:
    """Gives the partition of a job, one to itself: the jobs of one message together would be too many for one.

    Example:
        >>> job_partition("a3c1#0")
        'j#a3c1#0'
    """
    return f"j#{key}"


def name_slot(number: int) -> str:
    """Names a partition of the index, apart from those of connections."""
    return f"y#{number}"


def write_publication(publication: Publication) -> str:
    """Writes a publication without its text."""
    values = asdict(publication)
    del values["text"]
    return json.dumps(values, separators=(",", ":"))


def read_job(row: Mapping[str, Any]) -> Job:
    """Reads a job from the values of its row."""
    fixed = json.loads(row["job"])
    return Job(**{**fixed, "shards": tuple(fixed["shards"])}, start=row["progress"], turn=row["turn"])
