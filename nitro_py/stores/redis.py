"""The storage driver on Redis, Valkey and other servers with their protocol and scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nitro_py.brokers.redis import ANSWER_TIMEOUT, check_redis_url, make_client
from nitro_py.errors import StorageAnswerLostError, StorageError
from nitro_py.storage_driver import KeyPage, StorageLimits, StorageWrite, StoredValue, no_count
from nitro_py.stores.memory import is_expired

if TYPE_CHECKING:
    from redis.asyncio import Redis

# The most calls of a driver that are under way, each on a connection of its own.
CONNECTIONS = 16
# The most values that one call writes or reads: other clients of the server wait meanwhile.
BATCH = 100

# The base of all names is `{namespace}`, whose braces keep them on one node of a cluster. Values are hashes
# `{…}:v:KEY` of data, version and expiry; `{…}:k` is the sorted set of all keys, `{…}:w:ID` the answer to a write
# for as long as it may be repeated.
COMMON = """
local base, now = KEYS[1], tonumber(ARGV[1])
local function find(key)
  local found = redis.call('HMGET', base .. ':v:' .. key, 'v', 'e')
  if found[1] and (not found[2] or tonumber(found[2]) > now) then return found[1] end
end
local function expire(key, expires)
  if expires ~= '' then
    local name = base .. ':v:' .. key
    redis.call('HSET', name, 'e', expires)
    redis.call('PEXPIREAT', name, string.format('%.0f', math.ceil(tonumber(expires) * 1000)))
  end
end
local function answered(id) return redis.call('GET', base .. ':w:' .. id) end
local function answer(id, text)
  redis.call('SET', base .. ':w:' .. id, text, 'PX', 60000)
  return text
end
"""
WRITE = """
local answers = {}
for i = 2, #ARGV, 6 do
  local key, data, id, expires, absent, version = unpack(ARGV, i, i + 5)
  local done = answered(id)
  if not done then
    local found = find(key)
    done = '0'
    if not (absent == '1' and found) and (version == '' or found == version) then
      -- First, for a server without memory refuses it, but nothing that follows a DEL.
      redis.call('ZADD', base .. ':k', 0, key)
      redis.call('DEL', base .. ':v:' .. key)
      redis.call('HSET', base .. ':v:' .. key, 'd', data, 'v', id)
      expire(key, expires)
      done = '1'
    end
    answer(id, done)
  end
  answers[#answers + 1] = done
end
return answers
"""
INCREMENT = """
local key, by, id, expires = unpack(ARGV, 2, 5)
local name, done = base .. ':v:' .. key, answered(id)
if done then return done end
redis.call('ZADD', base .. ':k', 0, key)
if find(key) then
  local sum = redis.pcall('HINCRBY', name, 'd', by)
  if type(sum) == 'table' then return false end
  redis.call('HSET', name, 'v', id)
else
  redis.call('DEL', name)
  redis.call('HSET', name, 'd', by, 'v', id)
  expire(key, expires)
end
-- Not the sum itself: a script's numbers have 53 bits.
return answer(id, redis.call('HGET', name, 'd'))
"""
DELETE = """
local id = ARGV[2]
if answered(id) then return end
for i = 3, #ARGV do
  redis.call('DEL', base .. ':v:' .. ARGV[i])
  redis.call('ZREM', base .. ':k', ARGV[i])
end
answer(id, '1')
"""
LIST = """
local found = redis.call('ZRANGEBYLEX', base .. ':k', ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local keys = {}
for _, key in ipairs(found) do
  if find(key) then
    keys[#keys + 1] = key
  elseif redis.call('EXISTS', base .. ':v:' .. key) == 0 then
    redis.call('ZREM', base .. ':k', key)
  end
end
return {#found == tonumber(ARGV[4]) and found[#found] or '', keys}
"""


class RedisDriver:
    """A driver on Redis; its writes are scripts, which the server runs one at a time.

    Args:
        url: The URL of the server, `redis://`, `rediss://` or `unix://`.
        namespace: What keeps the storages of a server apart.

    Raises:
        UsageError: The URL is not one of Redis, or has options that its client cannot take from there, or the
            package `redis` is missing.

    Example:
        RedisDriver("redis://localhost:6379", "shop:default")
    """

    limits = StorageLimits()

    def __init__(self, url: str, namespace: str) -> None:
        check_redis_url(url, f"storage.{namespace.rpartition(':')[2]}.url")
        self._url = url
        self._base = f"{{{quote(namespace, safe='')}}}"
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def read(self, keys: Sequence[str], now: float) -> dict[str, StoredValue]:
        """Read values."""
        found = {}
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            pipeline = self._connect().pipeline(transaction=False)
            for key in some:
                pipeline.hmget(f"{self._base}:v:{key}", ["d", "v", "e"])
            async with self._free:
                with translate_errors():
                    rows = await pipeline.execute()
            for key, (data, version, expiry) in zip(some, rows, strict=True):
                expires_at = None if expiry is None else float(expiry)
                if data is not None and not is_expired(expires_at, now):
                    found[key] = StoredValue(data, version.decode(), expires_at)
        return found

    async def write(self, writes: Sequence[StorageWrite], now: float) -> list[bool]:
        """Write values."""
        done: list[bool] = []
        for start in range(0, len(writes), BATCH):
            arguments: list[str | bytes] = []
            for write in writes[start : start + BATCH]:
                conditions = ("1" if write.if_absent else "0", write.if_version or "")
                arguments += (write.key, write.data, write.id, write_time(write.expires_at), *conditions)
            done += [answer == b"1" for answer in await self._run(WRITE, now, *arguments)]
        return done

    async def increment(self, key: str, by: int, id: str, expires_at: float | None, now: float) -> int:
        """Add to a whole number."""
        total = await self._run(INCREMENT, now, key, str(by), id, write_time(expires_at))
        if total is None:
            raise no_count(key)
        return int(total)

    async def delete(self, keys: Sequence[str], id: str, now: float) -> None:
        """Delete values."""
        for start in range(0, len(keys), BATCH):
            # Each call has an answer of its own.
            await self._run(DELETE, now, f"{id}-{start}", *keys[start : start + BATCH])

    async def list_keys(self, prefix: str, after: str, limit: int, now: float) -> KeyPage:
        """List keys."""
        first = f"({after}" if after.encode() > prefix.encode() else f"[{prefix}" if prefix else "-"
        # The character after `:` ends what begins with the prefix.
        last = f"({prefix[:-1]};" if prefix else "+"
        following, keys = await self._run(LIST, now, first, last, str(limit))
        return KeyPage(tuple(key.decode() for key in keys), following.decode() or None)

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        self._scripts.clear()
        if client is not None:
            try:
                await client.aclose()
            except Exception:
                # The connections were lost before.
                return

    def _connect(self) -> Redis:
        if self._client is None:
            self._client = make_client(self._url, socket_timeout=ANSWER_TIMEOUT)
        return self._client

    async def _run(self, text: str, now: float, *arguments: str | bytes) -> Any:
        client = self._connect()
        script = self._scripts.get(text)
        if script is None:
            script = self._scripts[text] = client.register_script(COMMON + text)
        async with self._free:
            with translate_errors():
                return await script(keys=[self._base], args=[repr(now), *arguments])


def write_time(expires_at: float | None) -> str:
    """Write a time for a script; a value that never expires has none."""
    return "" if expires_at is None else repr(expires_at)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise a `StorageError` for each error of Redis."""
    from redis.exceptions import AuthenticationError, ConnectionError, RedisError, TimeoutError

    try:
        yield
    except AuthenticationError as error:
        raise StorageError(f"Redis: {error}") from error
    except (ConnectionError, TimeoutError, OSError) as error:
        raise StorageAnswerLostError(f"Redis: {error}") from error
    except RedisError as error:
        raise StorageError(f"Redis: {error}") from error
