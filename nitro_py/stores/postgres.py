"""The storage driver on Postgres, in tables that it makes itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nitro_py.brokers.connection import check_url, malformed_url
from nitro_py.errors import StorageAnswerLostError, StorageError, UsageError, suggest_extra
from nitro_py.runtime.responsive_timeout import responsive_timeout
from nitro_py.storage_driver import (
    MAX_COUNT,
    MIN_COUNT,
    KeyPage,
    StorageLimits,
    StorageWrite,
    StoredValue,
    no_count,
)

if TYPE_CHECKING:
    from psycopg import AsyncConnection

# The most connections of a driver.
CONNECTIONS = 8
# How long the server may take to answer, in seconds.
ANSWER_TIMEOUT = 5.0
# After how many writes of a process what has expired is deleted.
WRITES_PER_SWEEP = 500
# How often a statement is tried that another one has stopped, by a deadlock or by doing the same.
ATTEMPTS = 5
COUNT = re.compile(rb"0|-?[1-9][0-9]{0,18}")

# The version of the tables; those of another version are refused.
SCHEMA_VERSION = 1
# Any number: who makes the tables waits for who does the same.
SCHEMA_LOCK = 0x6E6974726F
# A value is `data` or `number`. `nitro_storage_write` has the answer to each write while it may be repeated.
SCHEMA = f"""
SELECT pg_advisory_xact_lock({SCHEMA_LOCK});
CREATE TABLE IF NOT EXISTS nitro_storage (
  storage text NOT NULL, key text COLLATE "C" NOT NULL, data bytea, number bigint, version text NOT NULL,
  expires_at double precision, PRIMARY KEY (storage, key)
);
CREATE INDEX IF NOT EXISTS nitro_storage_expiring ON nitro_storage (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS nitro_storage_write (
  id text PRIMARY KEY, answer text NOT NULL, at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS nitro_storage_version (version int NOT NULL);
INSERT INTO nitro_storage_version SELECT {SCHEMA_VERSION} WHERE NOT EXISTS (SELECT FROM nitro_storage_version);
"""
ALIVE = "(old.expires_at IS NULL OR old.expires_at > %(now)s)"
NEW = "NOT EXISTS (SELECT FROM nitro_storage_write WHERE id = %(id)s)"
VALUES = "(storage, key, data, number, version, expires_at)"
ASSIGN = (
    "SET data = excluded.data, number = excluded.number, version = excluded.version, "
    "expires_at = excluded.expires_at"
)
INSERT = (
    f"INSERT INTO nitro_storage AS old {VALUES} "
    "SELECT %(storage)s, %(key)s, %(data)s, %(number)s::bigint, %(id)s, %(expires_at)s::double precision "
    f"WHERE {NEW} ON CONFLICT (storage, key) DO UPDATE {ASSIGN}"
)
# The answer is noted by the statement that writes: both are there, or neither.
NOTED = (
    "WITH done AS ({change}), "
    f"noted AS (INSERT INTO nitro_storage_write (id, answer) SELECT %(id)s, {{answer}} FROM done {{only}} {NEW} "
    "RETURNING answer) "
    "SELECT coalesce((SELECT answer FROM noted), (SELECT answer FROM nitro_storage_write WHERE id = %(id)s))"
)


def note(change: str, answer: str = "count(*)::text", only: str = "HAVING") -> str:
    """Return a statement that makes a change, unless it was made before, and returns the answer to it."""
    return NOTED.format(change=change, answer=answer, only=only)


SET = note(f"{INSERT} RETURNING 1")
SET_IF_ABSENT = note(f"{INSERT} WHERE NOT {ALIVE} RETURNING 1")
SET_IF_VERSION = note(
    "UPDATE nitro_storage AS old SET data = %(data)s, number = %(number)s::bigint, version = %(id)s, "
    "expires_at = %(expires_at)s::double precision WHERE storage = %(storage)s AND key = %(key)s "
    f"AND version = %(want)s AND {ALIVE} AND {NEW} RETURNING 1"
)
INCREMENT = note(
    f"INSERT INTO nitro_storage AS old {VALUES} SELECT %(storage)s, %(key)s, NULL, %(by)s::bigint, %(id)s, "
    f"%(expires_at)s::double precision WHERE {NEW} ON CONFLICT (storage, key) DO UPDATE SET data = NULL, "
    f"number = CASE WHEN {ALIVE} THEN old.number ELSE 0 END + %(by)s::bigint, version = excluded.version, "
    f"expires_at = CASE WHEN {ALIVE} THEN old.expires_at ELSE excluded.expires_at END "
    f"WHERE NOT {ALIVE} OR old.number BETWEEN %(low)s AND %(high)s RETURNING number",
    answer="number::text",
    only="WHERE",
)
DELETE = note(
    f"DELETE FROM nitro_storage WHERE storage = %(storage)s AND key = ANY(%(keys)s) AND {NEW} RETURNING 1"
)
READ = (
    "SELECT key, data, number, version, expires_at FROM nitro_storage AS old "
    f"WHERE storage = %(storage)s AND key = ANY(%(keys)s) AND {ALIVE}"
)
LIST = (
    "SELECT key FROM nitro_storage AS old WHERE storage = %(storage)s AND key >= %(prefix)s AND key > %(after)s "
    f"AND (%(end)s::text IS NULL OR key < %(end)s) AND {ALIVE} ORDER BY key LIMIT %(limit)s"
)
SWEEP = (
    "DELETE FROM nitro_storage WHERE expires_at <= %(now)s",
    "DELETE FROM nitro_storage_write WHERE at < now() - interval '2 minutes'",
)


class PostgresDriver:
    """A driver on Postgres, which may be reached through PgBouncer in any mode.

    Args:
        url: The URL of the database, `postgres://` or `postgresql://`.
        namespace: What keeps the storages of a database apart.

    Raises:
        UsageError: The URL is not one of Postgres, or the package `psycopg` is missing.

    Example:
        PostgresDriver("postgres://localhost/shop", "shop:default")
    """

    limits = StorageLimits(key=1024)

    def __init__(self, url: str, namespace: str) -> None:
        setting = f"storage.{namespace.rpartition(':')[2]}.url"
        check_url(url, "postgres", "postgresql", setting=setting)
        if find_spec("psycopg") is None:
            raise UsageError(
                "The storage driver `postgres` needs the package `psycopg`, which is not installed.",
                hint=f"Run {suggest_extra('postgres')}, and name the driver in `nitro.toml`, which adds it to the "
                "requirements.",
            )
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        try:
            conninfo_to_dict(url)
        except ProgrammingError:
            # The client's own message would show a part of it.
            raise malformed_url("postgres", setting) from None
        self._url = url
        self._namespace = namespace
        self._idle: list[AsyncConnection[Any]] = []
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._checked = False
        self._writes = 0

    async def read(self, keys: Sequence[str], now: float) -> dict[str, StoredValue]:
        """Read values."""
        rows = await self._run(READ, {"keys": list(keys), "now": now})
        return {
            key: StoredValue(data if number is None else b"%d" % number, version, expires_at)
            for key, data, number, version, expires_at in rows
        }

    async def write(self, writes: Sequence[StorageWrite], now: float) -> list[bool]:
        """Write values."""
        return [await self._write(write, now) for write in writes]

    async def increment(self, key: str, by: int, id: str, expires_at: float | None, now: float) -> int:
        """Add to a whole number."""
        bounds = {"low": max(MIN_COUNT, MIN_COUNT - by), "high": min(MAX_COUNT, MAX_COUNT - by)}
        values = {"key": key, "by": by, "id": id, "expires_at": expires_at, "now": now, **bounds}
        ((total,),) = await self._run(INCREMENT, values)
        if total is None:
            raise no_count(key)
        await self._sweep(now)
        return int(total)

    async def delete(self, keys: Sequence[str], id: str, now: float) -> None:
        """Delete values."""
        await self._run(DELETE, {"keys": list(keys), "id": id})

    async def list_keys(self, prefix: str, after: str, limit: int, now: float) -> KeyPage:
        """List keys."""
        # The character after `:` ends what begins with the prefix.
        end = f"{prefix[:-1]};" if prefix else None
        values = {"prefix": prefix, "after": after, "end": end, "limit": limit + 1, "now": now}
        keys = [key for (key,) in await self._run(LIST, values)]
        return KeyPage(tuple(keys[:limit]), keys[limit - 1] if len(keys) > limit else None)

    async def close(self) -> None:
        """Close all connections."""
        while self._idle:
            await self._idle.pop().close()

    async def _write(self, write: StorageWrite, now: float) -> bool:
        is_count = COUNT.fullmatch(write.data) is not None and MIN_COUNT <= int(write.data) <= MAX_COUNT
        values = {
            "key": write.key,
            "data": None if is_count else write.data,
            "number": int(write.data) if is_count else None,
            "id": write.id,
            "expires_at": write.expires_at,
            "now": now,
            "want": write.if_version,
        }
        statement = SET_IF_ABSENT if write.if_absent else SET if write.if_version is None else SET_IF_VERSION
        ((count,),) = await self._run(statement, values)
        await self._sweep(now)
        return bool(count == "1")

    async def _sweep(self, now: float) -> None:
        self._writes += 1
        if self._writes % WRITES_PER_SWEEP == 0:
            for statement in SWEEP:
                await self._run(statement, {"now": now})

    async def _run(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        from psycopg import errors

        for attempt in range(1, ATTEMPTS + 1):
            async with self._connection() as connection:
                try:
                    cursor = await connection.execute(statement.encode(), {"storage": self._namespace, **values})
                    return await cursor.fetchall() if cursor.description is not None else []
                except (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation):
                    # A unique id that is there is that of the same call, whose answer was lost.
                    if attempt == ATTEMPTS:
                        raise
        raise AssertionError("The last attempt returns or raises.")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Lend a connection; one that fails is closed."""
        from psycopg import Error, OperationalError

        async with self._free:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                async with responsive_timeout(ANSWER_TIMEOUT):
                    yield connection
            except (OperationalError, TimeoutError, OSError) as error:
                reason = str(error).strip() or "the server does not answer"
                raise StorageAnswerLostError(f"Postgres: {reason}.") from error
            except Error as error:
                raise StorageError(f"Postgres: {error}.") from error
            finally:
                if connection.closed or connection.info.transaction_status != 0:
                    await connection.close()
                else:
                    self._idle.append(connection)

    async def _connect(self) -> AsyncConnection[Any]:
        from psycopg import AsyncConnection, Error

        try:
            async with asyncio.timeout(2 * ANSWER_TIMEOUT):
                # Statements are not prepared: PgBouncer may give each one another connection.
                connection = await AsyncConnection.connect(
                    self._url, autocommit=True, prepare_threshold=None, connect_timeout=int(ANSWER_TIMEOUT)
                )
                if not self._checked:
                    await self._check_schema(connection)
                    self._checked = True
                return connection
        except (Error, OSError) as error:
            reason = str(error).strip() or "the server does not answer"
            raise StorageError(f"Postgres: {reason}.") from error

    async def _check_schema(self, connection: AsyncConnection[Any]) -> None:
        cursor = await connection.execute("SELECT to_regclass('nitro_storage_version') IS NULL")
        ((missing,),) = await cursor.fetchall()
        if missing:
            # Several statements without values are one transaction.
            await connection.execute(SCHEMA.encode())
        cursor = await connection.execute("SELECT version FROM nitro_storage_version")
        version = [found for (found,) in await cursor.fetchall()]
        if version != [SCHEMA_VERSION]:
            await connection.close()
            raise StorageError(
                f"The tables of storages have another version: expected {SCHEMA_VERSION}, got {version}.",
                hint="Use the version of nitropy-kit that made them, or another database or schema.",
            )
