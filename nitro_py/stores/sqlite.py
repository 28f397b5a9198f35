"""The storage driver on a file of SQLite, which all processes of one machine share."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from nitro_py.errors import StorageError, UsageError
from nitro_py.runtime.settings import DATA_DIR, DATA_FOLDER
from nitro_py.storage_driver import KeyPage, StorageLimits, StorageWrite, StoredValue, add
from nitro_py.stores.memory import meets_condition

Answer = TypeVar("Answer")

# The file without a URL.
DEFAULT_FILE = "storage.sqlite3"
# How long a call waits while other processes write, in seconds.
BUSY_TIMEOUT = 10.0
# After how many writes of a process what has expired is deleted.
WRITES_PER_SWEEP = 500
# The most variables of a statement in every release of SQLite.
VARIABLES = 900

# The version of the table; a file of another version is refused.
SCHEMA_VERSION = 1
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS entries (storage TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL, "
    "version TEXT NOT NULL, expires_at REAL, PRIMARY KEY (storage, key))",
    "CREATE INDEX IF NOT EXISTS expiring ON entries (expires_at) WHERE expires_at IS NOT NULL",
)
ALIVE = "(expires_at IS NULL OR expires_at > ?)"
PUT = (
    "INSERT INTO entries VALUES (?, ?, ?, ?, ?) ON CONFLICT (storage, key) DO UPDATE SET "
    "data = excluded.data, version = excluded.version, expires_at = excluded.expires_at"
)


class SqliteDriver:
    """A driver on a file of SQLite; its statements run in threads.

    Args:
        url: `sqlite:FILE`, relative to the folder of data, or `sqlite:///FILE` with the whole path after two
            slashes; by default `sqlite:storage.sqlite3`.
        namespace: What keeps the storages in a file apart.

    Raises:
        UsageError: The URL is not one of SQLite.

    Example:
        SqliteDriver("sqlite:shop.sqlite3", "shop:default")
    """

    limits = StorageLimits()

    def __init__(self, url: str, namespace: str) -> None:
        file = Path(os.environ.get(DATA_DIR) or DATA_FOLDER).absolute() / read_file(url)
        self._namespace = namespace
        # Readers do not wait for a writer, nor for the thread in which it waits.
        self._reader = SqliteConnection(file)
        self._writer = SqliteConnection(file)
        self._writes = 0

    async def read(self, keys: Sequence[str], now: float) -> dict[str, StoredValue]:
        """Read values."""

        def read(db: sqlite3.Connection) -> dict[str, StoredValue]:
            found = {}
            for start in range(0, len(keys), VARIABLES):
                some = keys[start : start + VARIABLES]
                marks = ", ".join("?" * len(some))
                rows = db.execute(
                    f"SELECT key, data, version, expires_at FROM entries WHERE storage = ? AND {ALIVE} "
                    f"AND key IN ({marks})",
                    (self._namespace, now, *some),
                )
                found.update({key: StoredValue(*value) for key, *value in rows})
            return found

        return await self._reader.run(read)

    async def write(self, writes: Sequence[StorageWrite], now: float) -> list[bool]:
        """Write values, in one transaction."""

        def write(db: sqlite3.Connection) -> list[bool]:
            with transaction(db):
                return [self._write(db, item, now) for item in writes]

        return await self._write_with(write, now)

    async def increment(self, key: str, by: int, id: str, expires_at: float | None, now: float) -> int:
        """Add to a whole number."""

        def increment(db: sqlite3.Connection) -> int:
            with transaction(db):
                found = self._find(db, key, now)
                total = add(key, found and found.data, by)
                expiry = found.expires_at if found else expires_at
                db.execute(PUT, (self._namespace, key, b"%d" % total, id, expiry))
            return total

        return await self._write_with(increment, now)

    async def delete(self, keys: Sequence[str], id: str, now: float) -> None:
        """Delete values, in one transaction."""

        def delete(db: sqlite3.Connection) -> None:
            with transaction(db):
                rows = [(self._namespace, key) for key in keys]
                db.executemany("DELETE FROM entries WHERE storage = ? AND key = ?", rows)

        await self._write_with(delete, now)

    async def list_keys(self, prefix: str, after: str, limit: int, now: float) -> KeyPage:
        """List keys."""
        # The character after `:` ends what begins with the prefix.
        end = prefix[:-1] + ";" if prefix else None

        def list_them(db: sqlite3.Connection) -> list[str]:
            rows = db.execute(
                f"SELECT key FROM entries WHERE storage = ? AND {ALIVE} AND key >= ? AND key > ? "
                "AND (? IS NULL OR key < ?) ORDER BY key LIMIT ?",
                (self._namespace, now, prefix, after, end, end, limit + 1),
            )
            return [key for (key,) in rows]

        keys = await self._reader.run(list_them)
        return KeyPage(tuple(keys[:limit]), keys[limit - 1] if len(keys) > limit else None)

    async def close(self) -> None:
        """Close the file."""
        await self._reader.close()
        await self._writer.close()

    async def _write_with(self, work: Callable[[sqlite3.Connection], Answer], now: float) -> Answer:
        self._writes += 1
        answer = await self._writer.run(work)
        if self._writes % WRITES_PER_SWEEP == 0:
            await self._writer.run(lambda db: sweep(db, now))
        return answer

    def _find(self, db: sqlite3.Connection, key: str, now: float) -> StoredValue | None:
        row = db.execute(
            f"SELECT data, version, expires_at FROM entries WHERE storage = ? AND {ALIVE} AND key = ?",
            (self._namespace, now, key),
        ).fetchone()
        return None if row is None else StoredValue(*row)

    def _write(self, db: sqlite3.Connection, write: StorageWrite, now: float) -> bool:
        if write.if_absent or write.if_version is not None:
            found = self._find(db, write.key, now)
            if not meets_condition(write, found and found.version):
                return False
        db.execute(PUT, (self._namespace, write.key, write.data, write.id, write.expires_at))
        return True


class SqliteConnection:
    """A connection to a file in a thread of its own, both made on first use.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Call a function with the connection, in the thread.

        Raises:
            StorageError: The file cannot be used.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "nitro-sqlite")

        def call() -> Answer:
            if self._db is None:
                self._db = open_file(self._file)
            return work(self._db)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"SQLite: `{self._file}`: {error}.") from error

    async def close(self) -> None:
        """Close the connection, once what it does is done."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def read_file(url: str) -> Path:
    """Return the file that a URL names.

    Raises:
        UsageError: It names none.

    Example:
        >>> read_file("sqlite:///srv/app.sqlite3").as_posix(), read_file("").as_posix()
        ('/srv/app.sqlite3', 'storage.sqlite3')
    """
    scheme, found, rest = url.partition(":")
    if not url:
        return Path(DEFAULT_FILE)
    path = unquote(rest.removeprefix("//"))
    has_host = rest.startswith("//") and not path.startswith("/")
    if scheme != "sqlite" or has_host or path.strip("/") in ("", ".", ":memory:") or "?" in path or "\0" in path:
        # That of another store may hold a password.
        got = f"`{scheme}:…`" if found else "no URL"
        raise UsageError(
            f"The URL names no file of SQLite: expected `sqlite:FILE` or `sqlite:///FILE`, got {got}.",
            hint='Write it such as `url = "sqlite:app.sqlite3"`.',
        )
    return Path(path)


def open_file(file: Path) -> sqlite3.Connection:
    """Open a file, and make its folder and table if they are not there.

    Raises:
        StorageError: It is of another version.
    """
    if not file.parent.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # Data is no source code.
        (file.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    # Each transaction begins where the code says so.
    db = sqlite3.connect(file, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        # Readers and a writer do not wait for each other. A crash of the machine may lose the last writes; that of
        # a process loses none.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            with transaction(db):
                for statement in SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise StorageError(
                f"`{file}` has another version: expected {SCHEMA_VERSION}, got {version}.",
                hint="Use the version of nitropy-kit that wrote it, or another file.",
            )
    except BaseException:
        db.close()
        raise
    return db


def sweep(db: sqlite3.Connection, now: float) -> None:
    """Delete what has expired."""
    db.execute("DELETE FROM entries WHERE expires_at <= ?", (now,))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run a block as one transaction that writes; no other process writes meanwhile."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
