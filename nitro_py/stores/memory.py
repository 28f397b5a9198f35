"""The storage driver that keeps values in this process, for tests and for what may be lost."""

from __future__ import annotations

from collections.abc import Sequence

from nitro_py.errors import UsageError
from nitro_py.storage_driver import KeyPage, StorageLimits, StorageWrite, StoredValue, add

# After how many writes what has expired is dropped.
WRITES_PER_SWEEP = 1000


class MemoryDriver:
    """A driver that keeps values in this process, and loses them with it.

    Args:
        url: It has none.
        namespace: What keeps storages apart; here each driver does.

    Raises:
        UsageError: There is a URL.

    Example:
        MemoryDriver("", "shop:default")
    """

    limits = StorageLimits()

    def __init__(self, url: str, namespace: str) -> None:
        if url:
            raise UsageError("The storage driver `memory` takes no URL.", hint="Leave the URL out.")
        self._values: dict[str, StoredValue] = {}
        self._writes = 0

    async def read(self, keys: Sequence[str], now: float) -> dict[str, StoredValue]:
        """Read values."""
        found = ((key, self._find(key, now)) for key in keys)
        return {key: value for key, value in found if value is not None}

    async def write(self, writes: Sequence[StorageWrite], now: float) -> list[bool]:
        """Write values."""
        return [self._write(write, now) for write in writes]

    async def increment(self, key: str, by: int, id: str, expires_at: float | None, now: float) -> int:
        """Add to a whole number."""
        found = self._find(key, now)
        total = add(key, found and found.data, by)
        self._put(key, StoredValue(b"%d" % total, id, found.expires_at if found else expires_at), now)
        return total

    async def delete(self, keys: Sequence[str], id: str, now: float) -> None:
        """Delete values."""
        for key in keys:
            self._values.pop(key, None)

    async def list_keys(self, prefix: str, after: str, limit: int, now: float) -> KeyPage:
        """List keys."""
        # The order of code points is that of UTF-8.
        keys = sorted(
            key for key in self._values if key.startswith(prefix) and key > after and self._find(key, now)
        )
        return KeyPage(tuple(keys[:limit]), keys[limit - 1] if len(keys) > limit else None)

    async def close(self) -> None:
        """Forget everything."""
        self._values.clear()

    def _find(self, key: str, now: float) -> StoredValue | None:
        value = self._values.get(key)
        return None if value is None or is_expired(value.expires_at, now) else value

    def _write(self, write: StorageWrite, now: float) -> bool:
        found = self._find(write.key, now)
        if not meets_condition(write, found and found.version):
            return False
        self._put(write.key, StoredValue(write.data, write.id, write.expires_at), now)
        return True

    def _put(self, key: str, value: StoredValue, now: float) -> None:
        self._values[key] = value
        self._writes += 1
        if self._writes % WRITES_PER_SWEEP == 0:
            self._values = {
                key: value for key, value in self._values.items() if not is_expired(value.expires_at, now)
            }


def is_expired(expires_at: float | None, now: float) -> bool:
    """Return whether a value is no longer there."""
    return expires_at is not None and expires_at <= now


def meets_condition(write: StorageWrite, version: str | None) -> bool:
    """Return whether a value may be written.

    Args:
        write: The write.
        version: The version of the value that is there; `None` if there is none.
    """
    if write.if_absent:
        return version is None
    return write.if_version is None or write.if_version == version
