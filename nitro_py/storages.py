"""Storages: values by key that outlive requests, and that all processes of an app share."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from nitro_py.encoding import read_json, to_json_bytes
from nitro_py.errors import StorageAnswerLostError, StorageError
from nitro_py.runtime.current_app import current_app
from nitro_py.runtime.settings import check_storage_name
from nitro_py.storage_driver import MAX_COUNT, MIN_COUNT, StorageDriver, StorageWrite, StoredValue

if TYPE_CHECKING:
    from nitro_py.runtime.settings import Settings

Answer = TypeVar("Answer")

SEPARATOR = ":"
# Begins the bytes of a value that was given as bytes; no JSON text begins so.
_BYTES = b"\0"
# How many keys are asked for at once.
KEYS_PER_PAGE = 1000
# The longest time of a value, in seconds, about 300 years: stores count in milliseconds and with few digits.
MAX_TTL = 10**10
# What `_make_version` returns; no value has another version.
_VERSION = re.compile("[0-9a-f]{24}")
# How long to wait before a call is made again whose answer was lost, in seconds.
PAUSES = (0.05, 0.25, 1.0)
# How long a call may have taken in all before it is no longer made again, in seconds.
PATIENCE = 4.0


class StorageEntry(NamedTuple):
    """A value with what is known about it.

    Args:
        value: The value.
        version: Changes with every write; for `Storage.set(if_version=…)`.
        expires_at: When it expires, in seconds since the epoch; `None` if it never does.
    """

    value: Any
    version: str
    expires_at: float | None


class Storage:
    """A place for values by key; made by `storage`.

    A key is text, usually of segments with `:` between them. A value is what JSON can hold, or bytes.

    Args:
        name: The storage's name.
        driver: Where the values are kept, or a function that makes it on first use.
        kind: The name of the driver, for errors.
        clock: Returns the time in seconds since the epoch.

    Example:
        carts = storage("carts")
        await carts.set("user:7", {"items": 2}, ttl=3600)
        assert await carts.get("user:7") == {"items": 2}
    """

    def __init__(
        self, name: str, driver: StorageDriver, *, kind: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self._driver = driver
        self._kind = kind or type(driver).__name__
        self._clock = clock

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or `default` if there is none.

        Raises:
            StorageError: The store cannot be reached or refuses.
        """
        entry = await self.get_entry(key)
        return default if entry is None else entry.value

    async def get_entry(self, key: str) -> StorageEntry | None:
        """Return the value of a key with its version and the time when it expires; `None` if there is none."""
        return (await self._read([key])).get(key)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of several keys; those without one are left out.

        Raises:
            TypeError: `keys` is one text, whose characters would be taken for keys, or one of them is no text.
        """
        if isinstance(keys, str):
            raise TypeError("`get_many` takes several keys: expected such as a `list`, got `str`.")
        wanted = list(dict.fromkeys(keys))
        found = await self._read(wanted)
        return {key: found[key].value for key in wanted if key in found}

    async def has(self, key: str) -> bool:
        """Return whether a key has a value."""
        return key in await self._read([key])

    async def set(
        self,
        key: str,
        value: object,
        *,
        ttl: float | None = None,
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str | None:
        """Write a value.

        Args:
            key: The key.
            value: What JSON can hold, or bytes.
            ttl: How long the value is there, in seconds; `None` means until it is deleted.
            if_absent: Whether to write only if the key has no value.
            if_version: Write only if the value has this version, as `get_entry` and `set` return it.

        Returns:
            The new version; `None` if the condition is not met, and nothing was written.

        Raises:
            TypeError: The key is no text, or the value has no JSON form, or `ttl` is no number, or `if_version` is
                no text.
            ValueError: The key is empty, or holds what no key may, or `ttl` is outside of 0 to `MAX_TTL`.
            StorageError: The key or the value is too large, or the store cannot be reached or refuses.
        """
        if if_absent and if_version is not None:
            raise ValueError("`if_absent` and `if_version` exclude each other: expected one of them.")
        if if_version is not None and not isinstance(if_version, str):
            raise TypeError(f"`if_version` is a version: expected `str`, got `{type(if_version).__name__}`.")
        now = self._clock()
        write = self._make_write(key, value, _compute_expiry(ttl, now))
        if if_version is not None and not _VERSION.fullmatch(if_version):
            return None
        write = write._replace(if_absent=if_absent, if_version=if_version)
        (done,) = await self._repeat(lambda: self._driver.write([write], now))
        return write.id if done else None

    async def set_many(self, values: Mapping[str, object], *, ttl: float | None = None) -> None:
        """Write several values, each by itself: where it fails, some may have been written.

        Args:
            values: The values by key.
            ttl: How long the values are there, in seconds.
        """
        now = self._clock()
        expires_at = _compute_expiry(ttl, now)
        writes = [self._make_write(key, value, expires_at) for key, value in values.items()]
        if writes:
            await self._repeat(lambda: self._driver.write(writes, now))

    async def increment(self, key: str, by: int = 1, *, ttl: float | None = None) -> int:
        """Add to a whole number, and return the sum; of many callers each gets another one.

        Args:
            key: The key; without a value it counts as 0.
            by: What to add; it may be negative.
            ttl: How long a number that begins here is there, in seconds; one that was there keeps its time.

        Raises:
            TypeError: `by` is no whole number.
            StorageError: The value is no whole number, or the sum has more than 64 bits.

        Example:
            if await storage("limits").increment(f"ip:{address}", ttl=60) > 100:
                raise HTTPError(429)
        """
        self._check_key(key)
        if type(by) is not int:
            raise TypeError(f"`increment` adds whole numbers: expected an `int`, got `{type(by).__name__}`.")
        if not MIN_COUNT <= by <= MAX_COUNT:
            raise ValueError("`increment` adds a number with more than 64 bits.")
        now, id = self._clock(), _make_version()
        expires_at = _compute_expiry(ttl, now)
        return await self._repeat(lambda: self._driver.increment(key, by, id, expires_at, now))

    async def delete(self, *keys: str) -> None:
        """Delete keys; those without a value are no error."""
        for key in keys:
            self._check_key(key)
        if keys:
            now, id = self._clock(), _make_version()
            await self._repeat(lambda: self._driver.delete(list(dict.fromkeys(keys)), id, now))

    async def keys(self, prefix: str = "", *, after: str = "", limit: int | None = None) -> AsyncIterator[str]:
        """Walk the keys below a prefix in the order of their UTF-8 bytes.

        Args:
            prefix: Whole segments: `user` and `user:` list `user:7`, neither `users:7` nor `user` itself.
                Without it all keys are listed.
            after: A key to go on after, such as the last one of the page before.
            limit: The most keys.

        Raises:
            TypeError: `prefix` or `after` is no text, or `limit` is no whole number.
            ValueError: They hold what no key may, or `limit` is below 0.

        Example:
            page = [key async for key in storage().keys("user", after=last, limit=50)]
        """
        for text in (prefix, after):
            if not isinstance(text, str):
                raise TypeError(f"`prefix` and `after` are text: expected `str`, got `{type(text).__name__}`.")
        if limit is not None and type(limit) is not int:
            raise TypeError(f"`limit` is a whole number: expected an `int`, got `{type(limit).__name__}`.")
        if limit is not None and limit < 0:
            raise ValueError(f"`limit` is {limit}: expected 0 or more, or `None`.")
        start = prefix if not prefix or prefix.endswith(SEPARATOR) else prefix + SEPARATOR
        # A prefix is shorter than the keys, and may hold what they may.
        if start:
            self._check_key(start)
        if after:
            self._check_key(after)
        left = limit
        following: str | None = after
        while following is not None and (left is None or left > 0):
            most = KEYS_PER_PAGE if left is None else min(left, KEYS_PER_PAGE)
            last = following
            page = await self._repeat(lambda: self._driver.list_keys(start, last, most, self._clock()))  # noqa: B023
            for key in page.keys:
                yield key
            following = page.next
            left = None if left is None else left - len(page.keys)

    async def clear(self, prefix: str = "") -> int:
        """Delete all keys below a prefix, and return how many there were.

        Args:
            prefix: Whole segments, as `keys` takes them; without it everything is deleted.
        """
        count = 0
        while found := [key async for key in self.keys(prefix, limit=KEYS_PER_PAGE)]:
            await self.delete(*found)
            count += len(found)
        return count

    async def close(self) -> None:
        """Close the connections to the store; the end of the app does it."""
        await self._driver.close()

    async def _read(self, keys: list[str]) -> dict[str, StorageEntry]:
        for key in keys:
            self._check_key(key)
        if not keys:
            return {}
        found = await self._repeat(lambda: self._driver.read(keys, self._clock()))
        return {key: _decode(self.name, key, stored) for key, stored in found.items()}

    def _make_write(self, key: str, value: object, expires_at: float | None) -> StorageWrite:
        self._check_key(key)
        data = _encode(value)
        most = self._driver.limits.value
        if len(data) > most:
            raise StorageError(
                f"The value of `{key}` has {len(data)} bytes: the driver `{self._kind}` takes at most {most}.",
                hint="Keep large values elsewhere, such as in a bucket, and their address here.",
            )
        return StorageWrite(key, data, _make_version(), expires_at)

    def _check_key(self, key: str) -> None:
        if not isinstance(key, str):
            raise TypeError(f"A key is text: expected `str`, got `{type(key).__name__}`.")
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            raise ValueError("A key holds half a surrogate pair, which UTF-8 cannot express.") from None
        if not key or "\0" in key:
            raise ValueError("A key is empty or holds the character NUL: expected other text.")
        most = self._driver.limits.key
        if size > most:
            raise StorageError(
                f"The key `{key[:40]}…` has {size} bytes: the driver `{self._kind}` takes at most {most}.",
                hint="Hash the long part of the key.",
            )

    async def _repeat(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a call, and make it again where its answer was lost: its ids let the driver apply it once."""
        clock = asyncio.get_running_loop().time
        start = clock()
        for pause in PAUSES:
            try:
                return await call()
            except StorageAnswerLostError:
                if clock() - start > PATIENCE:
                    raise
                await asyncio.sleep(pause)
        return await call()


def storage(name: str = "default") -> Storage:
    """Return a storage of the app.

    Args:
        name: Its name: lower-case letters, digits and `_`. `[storage.NAME]` of the settings says where it is kept;
            without that it is where the target keeps storages.

    Raises:
        TypeError: The name is no text.
        ValueError: The name has other characters.
        NitroError: No app runs in this process, or it is not known where the values shall be kept.

    Example:
        visits = await storage().increment("visits")
    """
    app = current_app()
    found = app.storages.get(name)
    if not isinstance(found, Storage):
        if not isinstance(name, str):
            raise TypeError(f"The name of a storage is text: expected `str`, got `{type(name).__name__}`.")
        check_storage_name(name)
        found = app.storages[name] = open_storage(name, app.settings)
    return found


def open_storage(name: str, settings: Settings) -> Storage:
    """Make a storage, which does not connect yet.

    Args:
        name: Its name.
        settings: The settings that ship.

    Raises:
        NitroError: It is not known where it is kept, or what is set does not fit.
    """
    kind, url = settings.storage.find(name, settings.backplane)
    namespace = f"{settings.backplane.prefix}:{name}"
    factory = settings.storage.factories.get(kind)
    if factory is None:
        # Targets with a store of their own have no module for it.
        from nitro_py.stores.registry import load_driver

        return Storage(name, load_driver(kind, url, namespace, setting=f"storage.{name}.url"), kind=kind)
    module, _, attribute = factory.partition(":")
    return Storage(name, getattr(import_module(module), attribute)(url, namespace), kind=kind)


def _encode(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return _BYTES + bytes(value)
    return to_json_bytes(value)


def _decode(name: str, key: str, stored: StoredValue) -> StorageEntry:
    if stored.data.startswith(_BYTES):
        return StorageEntry(stored.data[len(_BYTES) :], stored.version, stored.expires_at)
    try:
        return StorageEntry(read_json(stored.data), stored.version, stored.expires_at)
    except ValueError:
        message = f"`{key}` in the storage `{name}` was not written by this version of nitropy-kit."
        raise StorageError(message, hint="Delete the key.") from None


def _compute_expiry(ttl: float | None, now: float) -> float | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"`ttl` is in seconds: expected a number, got `{type(ttl).__name__}`.")
    if not 0 < ttl <= MAX_TTL:
        raise ValueError(f"`ttl` is {ttl!r:.20}: expected seconds above 0 and at most {MAX_TTL}, or `None`.")
    return now + ttl


def _make_version() -> str:
    return os.urandom(12).hex()
