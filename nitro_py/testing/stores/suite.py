"""The suite for storage drivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from nitro_py.errors import StorageError
from nitro_py.storage_driver import MAX_COUNT, MIN_COUNT, StorageDriver, StorageWrite
from nitro_py.storages import Storage
from nitro_py.testing.backplanes.suite import Broker

MakeDriver = Callable[[str], StorageDriver]

# How long a call to a store that is gone may take, in seconds.
NOTICE = 60.0

# Keys that differ, in the order of their bytes.
KEYS = sorted(
    (
        " ",
        "%",
        "*",
        ":",
        "::",
        "A",
        "[a]",
        "\\",
        "\n",
        "\x01",
        "a",
        "a b",
        "a'b",
        'a"b',
        "a:",
        "a:*",
        "a::b",
        "a:b",
        "a:b:c",
        "a;",
        "a_b",
        "a{b}",
        "ab",
        "é/ü",
        "\ufeff",
        "\uffff",
        "😀",
        "x" * 512,
        "😀" * 128,
    ),
    key=str.encode,
)

VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    10**40,
    1.5,
    1e300,
    "",
    "text",
    "\x00",
    "\ud800",
    "😀",
    [],
    {},
    {"a": [1, {"b": None}]},
    b"",
    b"\x00",
    b"12",
    bytes(range(256)),
)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        # The store's own clock must not drop what the test still wants.
        self.now = time.time()

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def write(
    key: str, data: bytes, number: int, *, if_absent: bool = False, if_version: str | None = None
) -> StorageWrite:
    """Return a write with an id of its own."""
    return StorageWrite(key, data, f"{number:024x}", if_absent=if_absent, if_version=if_version)


async def list_keys(storage: Storage, prefix: str = "") -> list[str]:
    """List the keys below a prefix."""
    return [key async for key in storage.keys(prefix)]


@pytest.mark.anyio
class StorageConformance:
    """The contract while the store runs, as tests."""

    @asynccontextmanager
    async def opened(
        self, make_driver: MakeDriver, namespace: str = "app:default", clock: Callable[[], float] = time.time
    ) -> AsyncIterator[Storage]:
        """Open a storage until the end of the block."""
        storage = Storage("default", make_driver(namespace), clock=clock)
        try:
            yield storage
        finally:
            await storage.close()

    async def test_value_is_read_as_it_was_written(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            assert await storage.get("a") is None
            assert await storage.get("a", 7) == 7
            for value in VALUES:
                await storage.set("a", value)
                found = await storage.get("a", "missing")
                assert (type(found), found) == (type(value), value)
                assert await storage.has("a")
            await storage.set("a", (1, 2))
            assert await storage.get("a") == [1, 2]

    async def test_large_value_is_kept(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            await storage.set("a", bytes(256 * 1024 - 1))
            assert len(await storage.get("a")) == 256 * 1024 - 1

    async def test_limits_are_what_the_store_takes(self, make_driver: MakeDriver) -> None:
        driver = make_driver("app:default")
        try:
            assert driver.limits.key >= 512
            assert driver.limits.value >= 256 * 1024
            key = "k" * driver.limits.key
            # What is larger takes long to compare, and proves no more.
            data = bytes(min(driver.limits.value, 4 * 1024 * 1024))
            assert await driver.write([write(key, data, 1)], 1.0) == [True]
            assert (await driver.read([key], 1.0))[key].data == data
        finally:
            await driver.close()

    async def test_keys_stand_for_themselves(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            for number, key in enumerate(KEYS):
                await storage.set(key, number)
            assert await storage.get_many([*KEYS, "missing"]) == {key: number for number, key in enumerate(KEYS)}
            for number, key in enumerate(KEYS):
                assert await storage.get(key) == number
                await storage.delete(key)
                assert not await storage.has(key)

    async def test_deleted_value_is_gone(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            await storage.delete("a")
            await storage.set_many({"a": 1, "b": 2, "c": 3})
            await storage.delete("a", "c", "d", "a")
            assert await storage.get_many(["a", "b", "c"]) == {"b": 2}
            await storage.set("a", 4)
            assert await storage.get("a") == 4

    async def test_value_expires_to_the_moment(self, make_driver: MakeDriver) -> None:
        clock = Clock()
        async with self.opened(make_driver, clock=clock) as storage:
            start = clock.now
            await storage.set("a:1", 1, ttl=1000)
            await storage.set_many({"a:2": 2}, ttl=2000)
            await storage.set("a:3", 3)
            entry = await storage.get_entry("a:1")
            assert entry is not None
            assert entry.expires_at == pytest.approx(start + 1000, abs=0.001)
            clock.now = start + 999.9
            assert await storage.get_many(["a:1", "a:2", "a:3"]) == {"a:1": 1, "a:2": 2, "a:3": 3}
            clock.now = start + 1000.1
            assert await storage.get("a:1") is None
            assert not await storage.has("a:1")
            assert await storage.get_many(["a:1", "a:2", "a:3"]) == {"a:2": 2, "a:3": 3}
            assert await list_keys(storage, "a") == ["a:2", "a:3"]
            # What has expired is not there for a condition either.
            assert await storage.set("a:2", 5, if_absent=True) is None
            assert await storage.set("a:1", 4, if_absent=True)
            assert await storage.get("a:1") == 4
            # A write without `ttl` takes the time away.
            await storage.set("a:2", 6)
            clock.now = start + 1_000_000
            assert await storage.get_many(["a:1", "a:2", "a:3"]) == {"a:1": 4, "a:2": 6, "a:3": 3}

    async def test_short_time_is_kept_by_the_real_clock(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            await storage.set("long", 1, ttl=3600)
            await storage.set("short", 1, ttl=0.05)
            await asyncio.sleep(0.06)
            assert await storage.get_many(["long", "short"]) == {"long": 1}

    async def test_condition_decides_whether_a_value_is_written(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            assert await storage.set("a", 1, if_version="0" * 24) is None
            assert not await storage.has("a")
            first = await storage.set("a", 1, if_absent=True)
            assert await storage.set("a", 2, if_absent=True) is None
            entry = await storage.get_entry("a")
            assert entry is not None
            assert (entry.value, entry.version, entry.expires_at) == (1, first, None)
            second = await storage.set("a", 2, if_version=first)
            assert second not in (None, first)
            assert await storage.set("a", 3, if_version=first) is None
            assert await storage.get("a") == 2
            await storage.increment("a")
            assert await storage.set("a", 9, if_version=second) is None
            await storage.delete("a")
            assert await storage.set("a", 9, if_version=second) is None
            assert await storage.get("a") is None

    async def test_one_of_many_writers_wins(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            for number in range(3):
                key = f"a:{number}"
                versions = await asyncio.gather(*(storage.set(key, one, if_absent=True) for one in range(20)))
                (winner,) = [one for one, version in enumerate(versions) if version is not None]
                assert await storage.get(key) == winner
                versions = await asyncio.gather(
                    *(storage.set(key, one, if_version=versions[winner]) for one in range(20))
                )
                (winner,) = [one for one, version in enumerate(versions) if version is not None]
                assert await storage.get(key) == winner

    async def test_increments_are_counted_each(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            assert await storage.increment("n") == 1
            assert await storage.increment("n", 41) == 42
            assert await storage.increment("n", -50) == -8
            assert await storage.get("n") == -8
            await storage.set("n", 10)
            sums = await asyncio.gather(*(storage.increment("n") for _ in range(50)))
            assert sorted(sums) == list(range(11, 61))
            assert await storage.get("n") == 60

    async def test_increment_has_64_bits(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            for most, step in ((MAX_COUNT, 1), (MIN_COUNT, -1)):
                await storage.set("n", most - step)
                assert await storage.increment("n", step) == most
                with pytest.raises(StorageError, match="whole number"):
                    await storage.increment("n", step)
                assert await storage.get("n") == most
            # More than a float holds.
            await storage.set("n", 2**53)
            assert await storage.increment("n") == 2**53 + 1
            assert await storage.get("n") == 2**53 + 1

    async def test_what_is_no_whole_number_is_not_incremented(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            for value in ("1", 1.5, None, True, [1], b"1", MAX_COUNT + 1, MIN_COUNT - 1, 10**40):
                await storage.set("n", value)
                with pytest.raises(StorageError, match="`n` cannot be incremented"):
                    await storage.increment("n")
                assert await storage.get("n") == value

    async def test_increment_keeps_the_time_of_what_is_there(self, make_driver: MakeDriver) -> None:
        clock = Clock()
        async with self.opened(make_driver, clock=clock) as storage:
            start = clock.now
            assert await storage.increment("n", ttl=1000) == 1
            clock.now = start + 900
            assert await storage.increment("n", ttl=1000) == 2
            entry = await storage.get_entry("n")
            assert entry is not None
            assert entry.expires_at == pytest.approx(start + 1000, abs=0.001)
            clock.now = start + 1001
            assert await storage.increment("n") == 1
            clock.now = start + 1_000_000
            assert await storage.increment("n") == 2

    async def test_keys_are_listed_by_whole_segments_in_order(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            await storage.set_many(dict.fromkeys(KEYS, 1))
            assert await list_keys(storage) == KEYS
            for prefix in ("a", "a:", "a:b", ":", "é/ü", "missing"):
                start = prefix if prefix.endswith(":") else f"{prefix}:"
                expected = [key for key in KEYS if key.startswith(start)]
                assert await list_keys(storage, prefix) == expected

    async def test_keys_are_listed_in_pages(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            names = [f"page:{number:04}" for number in range(60)]
            await storage.set_many({"other": 1, "page": 1, "pages:1": 1, **dict.fromkeys(names, 1)})
            listed: list[str] = []
            while page := [
                key async for key in storage.keys("page", after=listed[-1] if listed else "", limit=25)
            ]:
                assert len(page) <= 25
                listed += page
                # What is deleted meanwhile does not move the next page.
                await storage.delete(page[0])
            assert listed == names
            assert await storage.clear("page") == 57
            assert await list_keys(storage) == ["other", "page", "pages:1"]

    async def test_driver_follows_its_pages_to_the_end(self, make_driver: MakeDriver) -> None:
        driver = make_driver("app:default")
        try:
            await driver.write([write(f"a:{number}", b"1", number) for number in range(7)], 1.0)
            for limit in (1, 3, 7, 8):
                found: list[str] = []
                after: str | None = ""
                while after is not None:
                    page = await driver.list_keys("a:", after, limit, 1.0)
                    assert len(page.keys) <= limit
                    found += page.keys
                    after = page.next
                assert found == [f"a:{number}" for number in range(7)]
        finally:
            await driver.close()

    async def test_many_values_are_written_and_read(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as storage:
            values = {f"many:{number}": {"number": number} for number in range(120)}
            await storage.set_many(values)
            assert await storage.get_many(values) == values
            assert await storage.get_many([]) == {}
            await storage.set_many({})
            await storage.delete()
            await storage.delete(*values)
            assert await storage.get_many(values) == {}

    async def test_storages_with_other_namespaces_are_apart(self, make_driver: MakeDriver) -> None:
        async with (
            self.opened(make_driver, "app:a") as one,
            self.opened(make_driver, "app:a:b") as two,
            self.opened(make_driver, "other:a") as three,
        ):
            for number, storage in enumerate((one, two, three)):
                await storage.set("b:x", number)
                await storage.increment("n", number)
            await one.clear()
            assert [await storage.get("b:x") for storage in (one, two, three)] == [None, 1, 2]
            assert await list_keys(two) == ["b:x", "n"]


class SharedStorageConformance(StorageConformance):
    """The contract of a store that several processes share, as tests."""

    async def test_another_process_sees_a_write_at_once(self, make_driver: MakeDriver) -> None:
        async with self.opened(make_driver) as one, self.opened(make_driver) as two:
            for number in range(20):
                await one.set("a", number)
                assert await two.get("a") == number
                assert await two.increment("n") == 2 * number + 1
                assert await one.increment("n") == 2 * number + 2
            assert await list_keys(two) == ["a", "n"]
            await two.delete("a")
            assert not await one.has("a")


@pytest.mark.anyio
class StoreFaults:
    """The contract when the store fails or answers get lost, as tests."""

    async def test_repeated_write_is_applied_once(self, make_driver: MakeDriver) -> None:
        driver = make_driver("app:default")
        try:
            first, second = write("a", b"1", 1, if_absent=True), write("a", b"2", 2)
            assert await driver.write([first], 1.0) == [True]
            assert await driver.write([first], 1.0) == [True]
            assert await driver.write([second], 1.0) == [True]
            # The answer to the first one was lost for so long that another has written since.
            assert await driver.write([first], 1.0) == [True]
            assert (await driver.read(["a"], 1.0))["a"].data == b"2"
            third = write("a", b"3", 3, if_version=second.id)
            assert [await driver.write([third], 1.0) for _ in range(2)] == [[True], [True]]
            assert (await driver.read(["a"], 1.0))["a"] == (b"3", third.id, None)
        finally:
            await driver.close()

    async def test_repeated_increment_is_counted_once(self, make_driver: MakeDriver) -> None:
        driver = make_driver("app:default")
        try:
            ids = [f"{number:024x}" for number in range(20)]
            for number, id in enumerate(ids, start=1):
                assert await driver.increment("n", 1, id, None, 1.0) == number
                assert await driver.increment("n", 1, id, None, 1.0) == number
            # Answers that were lost for longer, in another order.
            for number, id in reversed([*enumerate(ids, start=1)]):
                assert await driver.increment("n", 1, id, None, 1.0) == number
            assert (await driver.read(["n"], 1.0))["n"].data == b"20"
        finally:
            await driver.close()

    async def test_repeated_delete_takes_nothing_newer(self, make_driver: MakeDriver) -> None:
        driver = make_driver("app:default")
        try:
            assert await driver.write([write("a", b"1", 1)], 1.0) == [True]
            await driver.delete(["a"], f"{2:024x}", 1.0)
            # A write whose answer was lost is not applied again to what was deleted since.
            assert await driver.write([write("a", b"1", 1)], 1.0) == [True]
            assert await driver.read(["a"], 1.0) == {}
            assert await driver.write([write("a", b"3", 3)], 1.0) == [True]
            await driver.delete(["a"], f"{2:024x}", 1.0)
            assert (await driver.read(["a"], 1.0))["a"].data == b"3"
        finally:
            await driver.close()

    async def test_store_that_is_gone_is_an_error_and_comes_back(
        self, make_driver: MakeDriver, store: Broker
    ) -> None:
        storage = Storage("default", make_driver("app:default"))
        try:
            await storage.set("a", 1)
            store.stop()
            for call in (storage.get("a"), storage.set("a", 2), storage.increment("n"), storage.delete("a")):
                with pytest.raises(StorageError):
                    await asyncio.wait_for(call, NOTICE)
            store.start()
            await storage.set("b", 2)
            assert await storage.get("b") == 2
        finally:
            await storage.close()

    async def test_store_that_falls_silent_is_an_error(self, make_driver: MakeDriver, store: Broker) -> None:
        storage = Storage("default", make_driver("app:default"))
        try:
            await storage.set("a", 1)
            store.freeze()
            try:
                with pytest.raises(StorageError):
                    await asyncio.wait_for(storage.get("a"), NOTICE)
            finally:
                store.thaw()
            assert await storage.get("a") == 1
        finally:
            await storage.close()
