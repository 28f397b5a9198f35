"""The storage driver in DynamoDB, in the table of the stack."""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from nitro_presets.aws_lambda import stack_variables
from nitro_presets.aws_lambda.aws_client.attributes import marshal_item, unmarshal
from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.aws_client.errors import ConditionFailedError, ServiceError, TransportError
from nitro_presets.aws_lambda.aws_client.service import DEFAULT_RETRY
from nitro_presets.aws_lambda.store.contract import TableClient
from nitro_presets.aws_lambda.store.items import READ_BATCH, read_rows, write_key
from nitro_py.errors import StorageAnswerLostError, StorageError, UsageError
from nitro_py.storage_driver import (
    MAX_COUNT,
    MIN_COUNT,
    KeyPage,
    StorageLimits,
    StorageWrite,
    StoredValue,
    no_count,
)

Answer = TypeVar("Answer")

# The partitions that the keys of a storage are spread over, because one alone limits the rate of calls. Another
# number would not find the values that are there.
BUCKETS = 8
# The time and the expiry of what never expires: a row always has both.
NEVER = 10**12
# How long a row stays that was deleted or has expired, in seconds: longer than its last write may be repeated.
TOMBSTONE_LIFE = 900
# How many answers are remembered for calls that are made again, and of how many writers that have gone a row may
# tell before they are taken out.
ANSWERS, GONE_WRITERS = 10_000, 8
# How long ago a writer wrote that is taken for gone, in seconds.
WRITER_LIFE = 600
COUNT = re.compile(rb"0|-?[1-9][0-9]{0,18}")

# A row has `d` (data) or `n` (a whole number), `v` (version) and `e` (expiry). A writer numbers its writes by the
# clock, and each row has the last number of each of its writers as `s:WRITER`: a call that is repeated, by the
# client or by the network, finds its number. `r:WRITER` is what the count of that number returned.
UNREPEATED = "(attribute_not_exists(#s) OR #s < :s)"
THERE, ABSENT = "e > :now", "(attribute_not_exists(e) OR e <= :now)"


class DynamoStorageDriver:
    """A driver in the table of the stack.

    Args:
        url: It has none.
        namespace: What keeps the storages in the table apart.
        client: The client of the table; by default that of the function's environment.

    Raises:
        UsageError: There is a URL.

    Example:
        DynamoStorageDriver("", "shop:default")
    """

    # An item has 400 KiB, with names and what is known of its writers.
    limits = StorageLimits(key=1024, value=350_000)

    def __init__(self, url: str, namespace: str, client: TableClient | None = None) -> None:
        if url:
            raise UsageError("The storage driver `dynamodb` takes no URL.", hint="Leave the URL out.")
        self._namespace = namespace
        self._client = client
        self._own: DynamoClient | None = None
        self._writer = os.urandom(6).hex()
        self._last_number = 0
        # By the id of the call and the key.
        self._numbers: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._answers: OrderedDict[tuple[str, str], int | bool] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, keys: Sequence[str], now: float) -> dict[str, StoredValue]:
        """Read values, with consistent reads."""
        batches = [keys[start : start + READ_BATCH] for start in range(0, len(keys), READ_BATCH)]
        names = [[(self._name_partition(pick_bucket(key)), key) for key in batch] for batch in batches]
        with translate_errors():
            pages = await gather(read_rows(self._connect(), batch, DEFAULT_RETRY) for batch in names)
        return {row["sk"]: read_value(row) for page in pages for row in page if is_there(row, now)}

    async def write(self, writes: Sequence[StorageWrite], now: float) -> list[bool]:
        """Write values."""
        return await gather(self._write(write, now) for write in writes)

    async def increment(self, key: str, by: int, id: str, expires_at: float | None, now: float) -> int:
        """Add to a whole number."""
        async with self._lock(key):
            if (answer := self._answers.get((id, key))) is not None:
                return int(answer)
            names = {"#r": f"r:{self._writer}"}
            expiry = NEVER if expires_at is None else expires_at
            values = {":by": by, ":v": id, ":e": expiry, ":ttl": compute_ttl(expiry), ":now": now}
            count = {":zero": 0, ":low": max(MIN_COUNT, MIN_COUNT - by), ":high": min(MAX_COUNT, MAX_COUNT - by)}
            there = f"(attribute_not_exists(pk) OR ({THERE} AND n BETWEEN :low AND :high))"
            # The value is read before it is set, so that both names get the same sum.
            add = "if_not_exists(n, :zero) + :by"
            begin = "e = if_not_exists(e, :e), #ttl = if_not_exists(#ttl, :ttl)"
            change = f"SET n = {add}, #r = {add}, v = :v, {begin}"
            done, row = await self._update(key, id, change, there, {**values, **count}, names)
            if not done and not is_there(row, now):
                # What was deleted or has expired begins anew.
                change = "SET n = :by, #r = :by, v = :v, e = :e, #ttl = :ttl REMOVE d"
                done, row = await self._update(key, id, change, ABSENT, values, names)
            if not done:
                raise no_count(key)
            total = int(row[f"r:{self._writer}"])
            self._remember(self._answers, (id, key), total)
            return total

    async def delete(self, keys: Sequence[str], id: str, now: float) -> None:
        """Delete values; the rows stay for a while, for calls that are repeated."""
        await gather(self._delete(key, id, now) for key in keys)

    async def list_keys(self, prefix: str, after: str, limit: int, now: float) -> KeyPage:
        """List keys, a part of each bucket at once."""
        # Most buckets have about as many keys of a page as the others.
        most = limit if limit < 2 * BUCKETS else limit // BUCKETS * 2
        with translate_errors():
            parts = await gather(self._query(bucket, prefix, after, most) for bucket in range(BUCKETS))
        # Beyond the end of a part that goes on there may be keys that were not read.
        ends = [end for _, end in parts if end is not None]
        known = min(ends, key=str.encode) if ends else None
        rows = [row for part, _ in parts for row in part if known is None or row["sk"].encode() <= known.encode()]
        keys = sorted(
            (
                row["sk"]
                for row in rows
                if is_there(row, now) and row["sk"].startswith(prefix) and row["sk"] != after
            ),
            key=str.encode,
        )
        if len(keys) > limit:
            return KeyPage(tuple(keys[:limit]), keys[limit - 1])
        return KeyPage(tuple(keys), known)

    async def close(self) -> None:
        """Close all connections."""
        own, self._own = self._own, None
        if own is not None:
            await own.close()

    def _connect(self) -> TableClient:
        if self._client is not None:
            return self._client
        if self._own is None:
            table = os.environ.get(stack_variables.TABLE)
            if not table:
                raise StorageError(
                    "The stack has no table for storages: expected `from nitro_py import storage` in a file of "
                    "the project, or `[storage.NAME]`, found neither.",
                    hint='Write `[storage.default]` with `driver = "dynamodb"`, and build again.',
                )
            self._own = DynamoClient(table)
        return self._own

    def _name_partition(self, bucket: int) -> str:
        return f"v#{self._namespace}#{bucket}"

    def _lock(self, key: str) -> asyncio.Lock:
        # The writes of a writer to a row come in the order of their numbers.
        return self._locks.setdefault(key, asyncio.Lock())

    async def _write(self, write: StorageWrite, now: float) -> bool:
        async with self._lock(write.key):
            if (answer := self._answers.get((write.id, write.key))) is not None:
                return bool(answer)
            expiry = NEVER if write.expires_at is None else write.expires_at
            values: dict[str, object] = {":v": write.id, ":e": expiry, ":ttl": compute_ttl(expiry)}
            if COUNT.fullmatch(write.data) and MIN_COUNT <= int(write.data) <= MAX_COUNT:
                data, other, values[":d"] = "n", "d", int(write.data)
            else:
                data, other, values[":d"] = "d", "n", write.data
            condition = ""
            if write.if_absent:
                condition, values[":now"] = ABSENT, now
            elif write.if_version is not None:
                condition, values[":now"], values[":want"] = f"v = :want AND {THERE}", now, write.if_version
            change = f"SET {data} = :d, v = :v, e = :e, #ttl = :ttl REMOVE {other}"
            done, _ = await self._update(write.key, write.id, change, condition, values)
            self._remember(self._answers, (write.id, write.key), done)
            return done

    async def _delete(self, key: str, id: str, now: float) -> None:
        async with self._lock(key):
            if (id, key) in self._answers:
                return
            change = "SET #ttl = :ttl REMOVE d, n, v, e"
            # A row is not made for what was never there.
            await self._update(key, id, change, "attribute_exists(pk)", {":ttl": compute_ttl(now)})
            self._remember(self._answers, (id, key), True)

    async def _update(
        self,
        key: str,
        id: str,
        change: str,
        condition: str,
        values: Mapping[str, object],
        names: Mapping[str, str] | None = None,
    ) -> tuple[bool, Mapping[str, Any]]:
        """Change a row once, and return whether it was done, and the row after that or as it is."""
        number = self._number(id, key)
        mine = f"s:{self._writer}"
        payload: dict[str, Any] = {
            "Key": write_key((self._name_partition(pick_bucket(key)), key)),
            "UpdateExpression": change.replace("SET ", "SET #s = :s, ", 1),
            "ConditionExpression": " AND ".join(filter(None, (UNREPEATED, condition))),
            "ExpressionAttributeNames": {"#s": mine, "#ttl": "ttl", **(names or {})},
            "ExpressionAttributeValues": marshal_item({":s": number, **values}),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        with translate_errors():
            try:
                answer = await self._connect().call("UpdateItem", payload)
            except ConditionFailedError as error:
                row = error.item or {}
                last = row.get(mine, 0)
                if last > number:
                    # It was given up, and its writer has gone on.
                    raise StorageAnswerLostError(f"It is not known whether `{key}` was written.") from None
                return last == number, row
            row = unmarshal(answer["Attributes"])
            await self._take_out_writers(payload["Key"], row)
        return True, row

    async def _take_out_writers(self, key: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Remove what a row knows of writers that have gone, once there are many."""
        before = int((time.time() - WRITER_LIFE) * 1e6)
        gone = [(name, value) for name, value in row.items() if name.startswith("s:") and value < before][:100]
        if len(gone) < GONE_WRITERS:
            return
        names: dict[str, str] = {}
        for index, (name, _) in enumerate(gone):
            names |= {f"#s{index}": name, f"#r{index}": name.replace("s:", "r:", 1)}
        payload = {
            "Key": key,
            "UpdateExpression": f"REMOVE {', '.join(names)}",
            "ConditionExpression": " AND ".join(f"#s{index} = :s{index}" for index in range(len(gone))),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": marshal_item(
                {f":s{index}": value for index, (_, value) in enumerate(gone)}
            ),
        }
        try:
            await self._connect().call("UpdateItem", payload)
        except ConditionFailedError:
            # One of them has come back, or another has taken them out: the next write looks again.
            return

    async def _query(
        self, bucket: int, prefix: str, after: str, most: int
    ) -> tuple[list[Mapping[str, Any]], str | None]:
        values = {":pk": self._name_partition(bucket)}
        condition = "pk = :pk"
        first = max(prefix, after, key=str.encode)
        if prefix:
            # The character after `:` ends what begins with the prefix.
            condition += " AND sk BETWEEN :first AND :last"
            values |= {":first": first, ":last": f"{prefix[:-1]};"}
        elif first:
            condition += " AND sk >= :first"
            values[":first"] = first
        query = {
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": marshal_item(values),
            "ProjectionExpression": "sk, e",
            "ConsistentRead": True,
            # The first one may be the last of the page before.
            "Limit": most + 1,
        }
        answer = await self._connect().call("Query", query)
        last = answer.get("LastEvaluatedKey")
        return [unmarshal(item) for item in answer["Items"]], last and last["sk"]["S"]

    def _number(self, id: str, key: str) -> int:
        """Return the number of a call: the same one if it is made again."""
        found = self._numbers.get((id, key))
        if found is None:
            found = self._last_number = max(self._last_number + 1, int(time.time() * 1e6))
            self._remember(self._numbers, (id, key), found)
        return found

    def _remember(
        self, place: OrderedDict[tuple[str, str], Any], call: tuple[str, str], answer: int | bool
    ) -> None:
        place[call] = answer
        if len(place) > ANSWERS:
            place.popitem(last=False)


def pick_bucket(key: str) -> int:
    """Return the bucket of a key, which is the same in every process."""
    return zlib.crc32(key.encode()) % BUCKETS


def compute_ttl(expiry: float) -> int:
    """Return when DynamoDB may delete a row: not before calls of its last write have ended."""
    return math.ceil(expiry) + TOMBSTONE_LIFE


def is_there(row: Mapping[str, Any], now: float) -> bool:
    """Return whether a row has a value."""
    return bool(row.get("e", 0) > now)


def read_value(row: Mapping[str, Any]) -> StoredValue:
    """Read the value of a row."""
    data = b"%d" % row["n"] if "n" in row else row["d"]
    return StoredValue(data, row["v"], None if row["e"] == NEVER else float(row["e"]))


async def gather(calls: Iterable[Awaitable[Answer]]) -> list[Answer]:
    """Wait for all calls, and raise the first error that one of them has raised."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    found: list[Answer] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    return found


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise a `StorageError` for each error of DynamoDB."""
    try:
        yield
    except TransportError as error:
        kind = StorageAnswerLostError if error.sent else StorageError
        raise kind(f"DynamoDB: {error.message}") from error
    except ServiceError as error:
        kind = StorageAnswerLostError if error.status >= 500 else StorageError
        raise kind(f"DynamoDB: {error.message}") from error
