"""The rows about storages: what a call costs this process, beside the bare client library."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import redis.asyncio
import uvloop

from nitro_py.runtime.settings import Settings, StoragePlace, StorageSettings
from nitro_py.storages import open_storage
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.brokers.postgres import run_postgres
from tests.brokers.processes import run_broker

KEY = "benchmark"
VALUE = "x" * 200
SET = "INSERT INTO bench (key, value) VALUES ({}, {}) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
COUNT = "INSERT INTO bench (key, n) VALUES ({}, 1) ON CONFLICT (key) DO UPDATE SET n = bench.n + 1 RETURNING n"


class Calls(NamedTuple):
    """One call of each kind, for one key."""

    get: Callable[[], Awaitable[object]]
    set: Callable[[], Awaitable[object]]
    increment: Callable[[], Awaitable[object]]


Client = Callable[[str], AbstractAsyncContextManager[Calls]]


def use_storage(driver: str) -> Client:
    """Make the calls of a storage of ours."""

    @asynccontextmanager
    async def open_client(url: str) -> AsyncIterator[Calls]:
        place = StorageSettings(named={"bench": StoragePlace(driver, url)})
        storage = open_storage("bench", Settings(storage=place))
        yield Calls(
            lambda: storage.get(KEY), lambda: storage.set(KEY, VALUE), lambda: storage.increment(f"{KEY}:n")
        )
        await storage.close()

    return open_client


@asynccontextmanager
async def use_redis(url: str) -> AsyncIterator[Calls]:
    """Make the calls of redis-py."""
    client = redis.asyncio.from_url(url)
    yield Calls(lambda: client.get(KEY), lambda: client.set(KEY, VALUE), lambda: client.incr(f"{KEY}:n"))
    await client.aclose()


@asynccontextmanager
async def use_psycopg(url: str) -> AsyncIterator[Calls]:
    """Make the calls of psycopg, each in a transaction of its own."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS bench (key text PRIMARY KEY, value text, n bigint)")

        async def get() -> object:
            return await (await connection.execute("SELECT value FROM bench WHERE key = %s", [KEY])).fetchone()

        async def write() -> object:
            return await connection.execute(SET.format("%s", "%s"), [KEY, VALUE])

        async def count() -> object:
            return await (await connection.execute(COUNT.format("%s"), [f"{KEY}:n"])).fetchone()

        yield Calls(get, write, count)


@asynccontextmanager
async def use_sqlite(url: str) -> AsyncIterator[Calls]:
    """Make the calls of `sqlite3`, in a thread of their own."""
    connection = sqlite3.connect(url.removeprefix("sqlite://"), check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE IF NOT EXISTS bench (key TEXT PRIMARY KEY, value TEXT, n INTEGER)")
    loop = asyncio.get_running_loop()

    with ThreadPoolExecutor(1) as thread:

        def call(command: str, *values: str) -> Awaitable[object]:
            return loop.run_in_executor(thread, lambda: connection.execute(command, values).fetchall())

        yield Calls(
            lambda: call("SELECT value FROM bench WHERE key = ?", KEY),
            lambda: call(SET.format("?", "?"), KEY, VALUE),
            lambda: call(COUNT.format("?"), f"{KEY}:n"),
        )
    connection.close()


@contextmanager
def make_file(bench: Bench, name: str) -> Iterator[str]:
    """Return the URL of a new file."""
    file = Path(bench.folder) / name
    file.unlink(missing_ok=True)
    yield f"sqlite://{file}"


@contextmanager
def run_redis(bench: Bench, name: str) -> Iterator[str]:
    """Run Valkey and return its URL."""
    with run_broker("redis") as broker:
        yield broker.url


@contextmanager
def run_database(bench: Bench, name: str) -> Iterator[str]:
    """Run Postgres and return its URL."""
    with run_postgres() as server:
        yield server.url


async def measure(calls: Calls, rounds: int) -> Sample:
    """Make each call so many times, one after the other."""
    used, began = time.process_time(), time.monotonic()
    for _ in range(rounds):
        await calls.get()
        await calls.set()
        await calls.increment()
    each = 3 * rounds
    wall = (time.monotonic() - began) / each * 1e6
    return Sample((time.process_time() - used) / each * 1e6, {"wall": wall})


def open_calls(
    run: Callable[[Bench, str], AbstractContextManager[str]], client: Client, name: str
) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with run(bench, name) as url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            opened = client(url)
            calls = runner.run(opened.__aenter__())
            runner.run(measure(calls, 50))
            yield lambda: runner.run(measure(calls, bench.scale(2_000, 300)))
            runner.run(opened.__aexit__(None, None, None))

    return open_contender


def make_row(
    driver: str, run: Callable[[Bench, str], AbstractContextManager[str]], bare: str, client: Client, ratio: float
) -> Row:
    """Make the row of a driver."""
    return Row(
        name=f"storage-{driver}",
        title=f"a call of a storage in {driver}",
        unit="µs of CPU",
        contenders=(
            Contender(OURS, open_calls(run, use_storage(driver), f"ours-{driver}")),
            Contender(bare, open_calls(run, client, f"bare-{driver}")),
        ),
        target=Target(bare, ratio),
    )


ROWS = (
    make_row("sqlite", make_file, "sqlite3 in a thread", use_sqlite, 2.0),
    make_row("redis", run_redis, "redis-py", use_redis, 2.0),
    make_row("postgres", run_database, "psycopg", use_psycopg, 2.0),
)
