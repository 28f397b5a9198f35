"""What `Storage` does before and after its driver: checks, encoding, and calls whose answers were lost."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from psycopg import AsyncConnection
from redis.asyncio import Redis

from nitro_py.errors import ConfigError, NitroError, StorageAnswerLostError, StorageError, UsageError
from nitro_py.runtime.settings import BackplaneSettings, Settings, StoragePlace, StorageSettings
from nitro_py.storage_driver import StorageLimits, StorageWrite
from nitro_py.storages import Storage, open_storage, storage
from nitro_py.stores.memory import MemoryDriver
from nitro_py.stores.postgres import PostgresDriver
from nitro_py.stores.redis import RedisDriver
from nitro_py.stores.sqlite import SqliteDriver
from tests.brokers.postgres import run_postgres
from tests.brokers.processes import run_broker

pytestmark = pytest.mark.anyio


class SmallDriver(MemoryDriver):
    """A driver that takes little."""

    limits = StorageLimits(key=16, value=8)


class ForgetfulDriver(MemoryDriver):
    """A driver whose answers are lost for a while; it applies a write once."""

    def __init__(self, losses: int) -> None:
        super().__init__("", "test")
        self.losses = losses
        self.calls: list[str] = []
        self._sums: dict[str, int] = {}

    async def increment(self, key: str, by: int, id: str, expires_at: float | None, now: float) -> int:
        """Count, and lose the answer."""
        self.calls.append(id)
        if id not in self._sums:
            self._sums[id] = await super().increment(key, by, id, expires_at, now)
        if len(self.calls) <= self.losses:
            raise StorageAnswerLostError("The answer was lost.")
        return self._sums[id]

    async def write(self, writes: Sequence[StorageWrite], now: float) -> list[bool]:
        """Write, and lose the answer."""
        self.calls += [write.id for write in writes]
        done = await super().write(writes, now)
        if len(self.calls) <= self.losses:
            raise StorageAnswerLostError("The answer was lost.")
        return done


@pytest.fixture
def small() -> Storage:
    """Make a storage that takes little."""
    return Storage("small", SmallDriver("", "test"), kind="small")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda small: small.get(""), ValueError, "empty"),
        (lambda small: small.set("a\0b", 1), ValueError, "NUL"),
        (lambda small: small.delete("a", "\ud800"), ValueError, "surrogate"),
        (lambda small: small.get_many(["a", b"b"]), TypeError, "expected `str`, got `bytes`"),
        (lambda small: small.increment(1), TypeError, "expected `str`, got `int`"),
        (lambda small: small.increment("a", 1.5), TypeError, "expected an `int`, got `float`"),
        (lambda small: small.increment("a", 2**64), ValueError, "64 bits"),
        (lambda small: small.set("a", 1, ttl=0), ValueError, "`ttl` is 0"),
        (lambda small: small.set("a", 1, ttl=math.nan), ValueError, "`ttl` is nan"),
        (lambda small: small.set("a", 1, ttl=math.inf), ValueError, "`ttl` is inf"),
        (lambda small: small.set("a", 1, ttl=10**400), ValueError, "at most 10000000000"),
        (lambda small: small.set_many({"a": 1}, ttl=1e11), ValueError, r"`ttl` is 100000000000\.0"),
        (lambda small: small.increment("a", ttl="5"), TypeError, "expected a number, got `str`"),
        (lambda small: small.set("a", 1, ttl=timedelta(1)), TypeError, "expected a number, got `timedelta`"),
        (lambda small: small.set("a", 1, if_version=("v", 1)), TypeError, "expected `str`, got `tuple`"),
        (lambda small: small.get_many("a"), TypeError, "several keys"),
        (lambda small: small.clear(None), TypeError, "expected `str`, got `NoneType`"),
        (lambda small: anext(small.keys(after=1)), TypeError, "`prefix` and `after` are text"),
        (lambda small: anext(small.keys(limit=-1)), ValueError, "`limit` is -1"),
        (lambda small: anext(small.keys(limit=1.5)), TypeError, "`limit` is a whole number"),
        (lambda small: small.set("a", math.nan), ValueError, "JSON"),
        (lambda small: small.set("a", object()), TypeError, "`object` cannot be written as JSON"),
        (lambda small: small.set("a", 1, if_absent=True, if_version="x"), ValueError, "exclude each other"),
        (
            lambda small: small.set("é" * 9, 1),
            StorageError,
            "has 18 bytes: the driver `small` takes at most 16",
        ),
        (lambda small: small.clear("é" * 9), StorageError, "takes at most 16"),
        (
            lambda small: small.set("a", "1234567"),
            StorageError,
            "The value of `a` has 9 bytes: the driver `small` takes at most 8",
        ),
        (lambda small: small.set_many({"b": 1, "a": b"12345678"}), StorageError, "has 9 bytes"),
    ],
)
async def test_what_no_driver_takes_is_refused_before_the_call(
    small: Storage, call: Callable[[Storage], object], kind: type[Exception], message: str
) -> None:
    await small.set("kept", 1)
    with pytest.raises(kind, match=message):
        await call(small)  # type: ignore[misc]
    assert [key async for key in small.keys()] == ["kept"]  # noqa: SIM118
    # The largest of both.
    await small.set("é" * 8, b"1234567")


async def test_version_that_no_value_can_have_is_a_condition_that_is_not_met(small: Storage) -> None:
    await small.set("a", 1)
    for version in ("", "\0", "\ud800", "0" * 23, "0" * 25):
        assert await small.set("a", 2, if_version=version) is None
        assert await small.set("b", 2, if_version=version) is None
    assert await small.get_many(["a", "b"]) == {"a": 1}


@pytest.mark.slow
async def test_redis_without_memory_refuses_writes_and_keeps_what_it_has() -> None:
    with run_broker("redis", "--maxmemory-policy", "noeviction") as server:
        full = Storage("full", RedisDriver(server.url, "test"), kind="redis")
        client = Redis.from_url(server.url)
        try:
            await full.set_many({"old": "kept", "n": 5, "much": "x" * 100_000})
            await client.config_set("maxmemory", 1)
            for call in (full.set("old", "new"), full.set("a", 1), full.increment("n"), full.increment("m")):
                with pytest.raises(StorageError, match="maxmemory"):
                    await call
            assert await full.get_many(["old", "n", "a", "m"]) == {"old": "kept", "n": 5}
            # What is deleted makes room.
            await full.delete("much")
            await client.config_set("maxmemory", 0)
            assert [key async for key in full.keys()] == ["n", "old"]  # noqa: SIM118
            assert await full.increment("n") == 6
        finally:
            await client.aclose()
            await full.close()


async def test_call_whose_answer_was_lost_is_made_again_with_its_id() -> None:
    driver = ForgetfulDriver(losses=2)
    assert await Storage("test", driver).increment("n") == 1
    assert len(driver.calls) == 3
    assert len(set(driver.calls)) == 1
    driver = ForgetfulDriver(losses=1)
    assert await Storage("test", driver).set("a", 1) == driver.calls[0] == driver.calls[1]


async def test_call_that_gets_no_answer_at_all_says_so() -> None:
    driver = ForgetfulDriver(losses=1000)
    with pytest.raises(StorageAnswerLostError):
        await Storage("test", driver).increment("n")
    assert len(set(driver.calls)) == 1


async def test_value_of_others_is_an_error_that_names_the_key() -> None:
    driver = MemoryDriver("", "test")
    await driver.write([StorageWrite("a", b"no JSON", "0" * 24)], 1.0)
    with pytest.raises(StorageError, match="`a` in the storage `test`"):
        await Storage("test", driver).get("a")


async def test_memory_drops_what_has_expired() -> None:
    driver = MemoryDriver("", "test")
    for number in range(3000):
        await driver.increment(f"{number}", 1, "0" * 24, number + 1.0, float(number))
    assert len(driver._values) <= 1000


async def test_sqlite_drops_what_has_expired(tmp_path: object) -> None:
    driver = SqliteDriver(f"sqlite://{tmp_path}/a.sqlite3", "test")
    try:
        await driver.write([StorageWrite(f"{number}", b"1", "0" * 24, 1.0) for number in range(100)], 0.0)
        await driver.write([StorageWrite("kept", b"1", "0" * 24)], 0.0)
        for _ in range(500):
            await driver.delete(["nothing"], "0" * 24, 2.0)
        # Only the file knows: a driver no longer shows what has expired.
        assert (await driver.list_keys("", "", 1000, 0.0)).keys == ("kept",)
    finally:
        await driver.close()


async def test_sqlite_of_another_version_is_refused(tmp_path: object) -> None:
    import sqlite3

    file = f"{tmp_path}/a.sqlite3"
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 7")
    db.close()
    driver = SqliteDriver(f"sqlite://{file}", "test")
    try:
        with pytest.raises(StorageError, match="expected 1, got 7"):
            await driver.read(["a"], 1.0)
    finally:
        await driver.close()


async def test_file_that_cannot_be_written_is_named(tmp_path: object) -> None:
    driver = SqliteDriver("sqlite:///proc/nothing/a.sqlite3", "test")
    try:
        with pytest.raises(StorageError, match="/proc/nothing"):
            await driver.read(["a"], 1.0)
    finally:
        await driver.close()


async def test_sqlite_does_not_block_the_loop_while_another_process_writes(tmp_path: object) -> None:
    import sqlite3

    file = f"{tmp_path}/a.sqlite3"
    driver = SqliteDriver(f"sqlite://{file}", "test")
    other = sqlite3.connect(file, isolation_level=None)
    try:
        await driver.write([StorageWrite("a", b"1", "0" * 24)], 1.0)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(driver.write([StorageWrite("a", b"2", "1" * 24)], 1.0))
        # Readers go on meanwhile, and so does the loop.
        for _ in range(20):
            assert (await driver.read(["a"], 1.0))["a"].data == b"1"
        assert not writing.done()
        other.execute("COMMIT")
        assert await writing == [True]
    finally:
        other.close()
        await driver.close()


async def test_storage_outside_of_an_app_is_an_error() -> None:
    with pytest.raises(NitroError, match="No app runs in this process"):
        storage()


def test_place_is_what_is_set_then_the_broker_then_the_targets_own() -> None:
    broker = BackplaneSettings("redis", "redis://broker")
    named = StorageSettings("sqlite", {"a": StoragePlace("memory")})
    assert named.find("a", broker) == StoragePlace("memory")
    assert named.find("b", BackplaneSettings()) == StoragePlace("sqlite")
    assert named.find("b", BackplaneSettings("nats", "nats://broker")) == StoragePlace("sqlite")
    assert named.find("b", broker) == StoragePlace("redis", "redis://broker")
    assert named._replace(at_broker=False).find("b", broker) == StoragePlace("sqlite")
    with pytest.raises(ConfigError, match="`c` has no place"):
        StorageSettings().find("c", BackplaneSettings())
    data = {"storage": {"a": {"driver": "sqlite", "url": "sqlite:a"}}, "default_storage": "memory"}
    environ = {
        "NITRO_STORAGE__A__URL": "sqlite:b",
        "NITRO_STORAGE__NEW_ONE__DRIVER": "sqlite",
        "NITRO_STORAGE__C__URL": "",
        "NITRO_STORAGE__D__OTHER": "x",
    }
    settings = Settings.from_json(data, environ).storage
    assert settings.named == {"a": StoragePlace("sqlite", "sqlite:b"), "new_one": StoragePlace("sqlite")}
    assert settings.find("c", BackplaneSettings()) == StoragePlace("memory")


@pytest.mark.parametrize(
    "url",
    [
        *("/srv/a", "sqlite:", "sqlite://", "sqlite::memory:", "sqlite:a?mode=ro", "a.db"),
        *("sqlite://host/a", "sqlite:a%00b"),
    ],
)
def test_url_that_is_none_of_sqlite_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="names no file of SQLite"):
        SqliteDriver(url, "test")


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (MemoryDriver, "takes no URL"),
        (PostgresDriver, "`storage.carts.url`"),
        (RedisDriver, "`storage.carts.url`"),
        (SqliteDriver, "names no file of SQLite"),
    ],
)
def test_url_that_is_malformed_shows_no_password(driver: Callable[[str, str], object], message: str) -> None:
    for url in ("http://u:geheim@h", "postgres://u:geheim@h:port", "redis://u:geheim@h:port", "geheim"):
        with pytest.raises(UsageError, match=re.escape(message)) as caught:
            driver(url, "app:carts")
        assert "geheim" not in str(caught.value)


async def test_postgres_makes_its_tables_once_and_refuses_those_of_another_version() -> None:
    with run_postgres() as server:
        storages = [Storage("test", PostgresDriver(server.url, "test")) for _ in range(8)]
        try:
            # All make the tables at the same time.
            assert sorted(await asyncio.gather(*(one.increment("n") for one in storages))) == list(range(1, 9))
        finally:
            for one in storages:
                await one.close()
        connection = await AsyncConnection.connect(server.url, autocommit=True)
        async with connection:
            await connection.execute("UPDATE nitro_storage_version SET version = 7")
        driver = PostgresDriver(server.url, "test")
        with pytest.raises(StorageError, match=r"expected 1, got \[7\]"):
            await driver.read(["a"], 1.0)
        await driver.close()


def test_driver_that_is_not_there_is_named() -> None:
    settings = Settings(storage=StorageSettings("attic"))
    with pytest.raises(UsageError, match="Unknown storage driver `attic`: expected one of `memory`, "):
        open_storage("default", settings)
