"""The storage drivers by their names: built-in ones and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple, cast

from nitro_py.brokers.connection import name_variable
from nitro_py.errors import UsageError
from nitro_py.storage_driver import StorageDriver, StorageDriverFactory

GROUP = "nitro_py.storage_drivers"


class BuiltInDriver(NamedTuple):
    """A driver of our own.

    Args:
        factory: Where its factory is, as an entry point would name it.
        clients: The top-level modules of the client library that it imports, which a bundle needs.
        needs_url: Whether it works only with a URL.
    """

    factory: str
    clients: tuple[str, ...] = ()
    needs_url: bool = False


# Not entry points of ours: a bundle carries nitropy-kit without its metadata.
BUILT_IN: dict[str, BuiltInDriver] = {
    "memory": BuiltInDriver("nitro_py.stores.memory:MemoryDriver"),
    "postgres": BuiltInDriver(
        "nitro_py.stores.postgres:PostgresDriver", clients=("psycopg", "psycopg_binary"), needs_url=True
    ),
    "redis": BuiltInDriver("nitro_py.stores.redis:RedisDriver", clients=("redis",), needs_url=True),
    "sqlite": BuiltInDriver("nitro_py.stores.sqlite:SqliteDriver"),
}


def list_drivers() -> dict[str, EntryPoint]:
    """Return the entry points of all drivers by their names, sorted."""
    own = {name: EntryPoint(name, built_in.factory, GROUP) for name, built_in in BUILT_IN.items()}
    return dict(sorted(({entry.name: entry for entry in entry_points(group=GROUP)} | own).items()))


def find_driver(name: str) -> EntryPoint:
    """Return the entry point of a driver.

    Raises:
        UsageError: No driver has that name.
    """
    found = list_drivers()
    if name not in found:
        listed = ", ".join(f"`{item}`" for item in found)
        raise UsageError(
            f"Unknown storage driver `{name}`: expected one of {listed}.",
            hint="Install the package that provides it, or correct the name.",
        )
    return found[name]


def list_driver_clients(name: str) -> tuple[str, ...]:
    """Return the top-level modules that a bundle needs for a driver."""
    if name in BUILT_IN:
        return BUILT_IN[name].clients
    return (find_driver(name).module.partition(".")[0],)


def load_driver(name: str, url: str, namespace: str, *, setting: str) -> StorageDriver:
    """Make the driver of a storage, which does not connect yet.

    Args:
        name: The driver's name.
        url: Where the values are kept.
        namespace: What keeps the storages of a store apart.
        setting: The setting of the URL, for errors.

    Raises:
        NitroError: No driver has that name, or the URL does not fit it.
    """
    entry = find_driver(name)
    if not url and name in BUILT_IN and BUILT_IN[name].needs_url:
        raise UsageError(
            f"The storage driver `{name}` has no URL: expected `{setting}`, got nothing.",
            hint=f"Set `{name_variable(setting)}`, such as `{name}://HOST`, or `{setting}` for the build.",
        )
    try:
        factory = cast(StorageDriverFactory, entry.load())
    except (ImportError, AttributeError) as error:
        raise UsageError(f"The storage driver `{name}` cannot be imported: {error}.") from error
    return factory(url, namespace)
