"""The contract of a storage driver, which keeps the values of `nitro_py.storage`.

A driver is found by the name in the setting `storage.NAME.driver`: some are built in, others come by the
entry-point group `nitro_py.storage_drivers`, whose entries name a `StorageDriverFactory`. The class `Storage` does
the rest: it encodes values, checks keys and sizes, computes when a value expires, and repeats a call whose answer
was lost.
`nitro_py.testing.stores` has the contract as tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from nitro_py.errors import StorageError

# The range of whole numbers that `increment` counts in: that of 64 bits.
MIN_COUNT, MAX_COUNT = -(2**63), 2**63 - 1


class StorageLimits(NamedTuple):
    """What a driver takes.

    Args:
        key: The longest key, in bytes of UTF-8; at least 512.
        value: The largest value, in bytes as it is kept; at least 256 KiB.
    """

    key: int = 512
    value: int = 64 * 1024 * 1024


class StoredValue(NamedTuple):
    """A value as a driver keeps it.

    Args:
        data: The bytes of `StorageWrite.data`, or a whole number in ASCII after `increment`.
        version: The id of the call that wrote it.
        expires_at: When it expires, in seconds since the epoch; `None` if it never does.
    """

    data: bytes
    version: str
    expires_at: float | None


class StorageWrite(NamedTuple):
    """A value to write.

    Args:
        key: The key.
        data: The bytes to keep, as they are.
        id: The id of this write, which becomes the version: 24 characters of `0-9a-f`, never used twice.
        expires_at: When the value expires, in seconds since the epoch; `None` if it never does.
        if_absent: Whether to write only if there is no value.
        if_version: Write only if the value has this version.
    """

    key: str
    data: bytes
    id: str
    expires_at: float | None = None
    if_absent: bool = False
    if_version: str | None = None


class KeyPage(NamedTuple):
    """A page of keys.

    Args:
        keys: The keys in the order of their UTF-8 bytes; a page may be empty though others follow.
        next: What the next page comes after; `None` after the last.
    """

    keys: tuple[str, ...]
    next: str | None


class StorageDriver(Protocol):
    """A place for values of one storage, from the first call until `close`.

    Each method MUST raise `StorageError` where the store cannot be reached or refuses, and nothing else. It MUST
    raise `StorageAnswerLostError` where a call may have been applied although it failed; the caller then makes the
    same call again, with the same ids. A driver that raises it MUST apply each id once only, for 60 seconds, and
    return again what the first call returned. Calls may come at the same time from several tasks and processes.

    `now` is the caller's clock, in seconds since the epoch. A value whose `expires_at` is not after `now` MUST be
    treated as if it were not there, by reads, conditions, counts and lists.
    """

    @property
    def limits(self) -> StorageLimits:
        """What the store takes; checked before each call."""

    async def read(self, keys: Sequence[str], now: float) -> dict[str, StoredValue]:
        """Read values; keys without one are left out. MUST see every write that was confirmed before."""

    async def write(self, writes: Sequence[StorageWrite], now: float) -> list[bool]:
        """Write values, each by itself; the keys differ.

        Returns:
            For each write whether it was done; false only where `if_absent` or `if_version` is not met. Of
            writers with the same condition at most one MUST be given true.
        """

    async def increment(self, key: str, by: int, id: str, expires_at: float | None, now: float) -> int:
        """Add to a whole number, and return the sum; MUST be atomic.

        A value that is not there counts as 0, and expires at `expires_at`; one that is there keeps its time. The
        number is kept as if its decimal digits had been written, and `id` becomes its version.

        Raises:
            StorageError: The value is no whole number, or the sum has more than 64 bits; nothing is changed.
        """

    async def delete(self, keys: Sequence[str], id: str, now: float) -> None:
        """Delete values; keys without one are no error."""

    async def list_keys(self, prefix: str, after: str, limit: int, now: float) -> KeyPage:
        """List keys in the order of their UTF-8 bytes.

        Args:
            prefix: What the keys begin with: empty, or text that ends with `:`.
            after: What the keys come after, in that order; empty text for the first page.
            limit: The most keys of a page.
            now: The time.
        """

    async def close(self) -> None:
        """Close all connections; MUST NOT raise. A driver that has made none does nothing."""


class StorageDriverFactory(Protocol):
    """The object that an entry point of the group `nitro_py.storage_drivers` names: usually a class."""

    def __call__(self, url: str, namespace: str) -> StorageDriver:
        """Make a driver; MUST NOT connect yet, and MUST NOT need an event loop.

        Args:
            url: The setting `storage.NAME.url`; empty if there is none. It may contain a password: errors and
                logs MUST NOT show it.
            namespace: `backplane_prefix`, `:` and the storage's name. Storages with different namespaces MUST NOT
                see each other's values.

        Raises:
            NitroError: The URL does not fit the store, or a package is missing.
        """


def add(key: str, data: bytes | None, by: int) -> int:
    """Return the sum of a stored whole number and another; for drivers that compute it themselves.

    Args:
        key: The key, for errors.
        data: The stored bytes; `None` counts as 0.
        by: What to add.

    Raises:
        StorageError: The bytes are no whole number, or the sum has more than 64 bits.

    Example:
        >>> add("hits", b"41", 1), add("hits", None, -1)
        (42, -1)
    """
    if data is None:
        return by
    digits = data.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19:
        raise no_count(key)
    total = int(data) + by
    if not MIN_COUNT <= int(data) <= MAX_COUNT or not MIN_COUNT <= total <= MAX_COUNT:
        raise no_count(key)
    return total


def no_count(key: str) -> StorageError:
    """Return the error of a value that cannot be incremented."""
    return StorageError(
        f"`{key}` cannot be incremented: expected a whole number of at most 64 bits, before and after.",
        hint="Use another key for the count, or set this one to a whole number.",
    )
