"""The backplanes by their names: built-in ones and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple, cast

from nitro_py.backplane import Backplane, BackplaneFactory
from nitro_py.errors import UsageError
from nitro_py.runtime.settings import LOCAL, MEMORY, BackplaneSettings

GROUP = "nitro_py.backplanes"


class BuiltInBackplane(NamedTuple):
    """A backplane of our own.

    Args:
        factory: Where its factory is, as an entry point would name it.
        client: The top-level module of the client library that it imports, which a bundle needs, if there is one.
    """

    factory: str
    client: str | None = None


# Not entry points of ours: a bundle carries nitropy-kit without its metadata.
BUILT_IN: dict[str, BuiltInBackplane] = {
    LOCAL: BuiltInBackplane("nitro_py.brokers.local:LocalBackplane"),
    "nats": BuiltInBackplane("nitro_py.brokers.nats:NatsBackplane", client="nats"),
    "postgres": BuiltInBackplane("nitro_py.brokers.postgres:PostgresBackplane", client="psycopg"),
    "redis": BuiltInBackplane("nitro_py.brokers.redis:RedisBackplane", client="redis"),
}


def list_backplanes() -> dict[str, EntryPoint]:
    """Return the entry points of all backplanes but `memory`, by their names, sorted."""
    own = {name: EntryPoint(name, built_in.factory, GROUP) for name, built_in in BUILT_IN.items()}
    return dict(sorted(({entry.name: entry for entry in entry_points(group=GROUP)} | own).items()))


def find_backplane(name: str) -> EntryPoint:
    """Return the entry point of a backplane other than `memory`.

    Raises:
        UsageError: No backplane has that name.
    """
    found = list_backplanes()
    if name not in found:
        listed = ", ".join(f"`{item}`" for item in sorted([MEMORY, *found]))
        raise UsageError(
            f"Unknown backplane `{name}`: expected one of {listed}.",
            hint="Install the package that provides it, or correct the name.",
        )
    return found[name]


def find_client(name: str) -> str | None:
    """Return the module that a bundle needs for a backplane, or `None` if it needs none."""
    if name == MEMORY:
        return None
    if name in BUILT_IN:
        return BUILT_IN[name].client
    return find_backplane(name).module.partition(".")[0]


def load_backplane(settings: BackplaneSettings) -> Backplane | None:
    """Return the backplane that the settings name, which does not connect yet; `None` for `memory`.

    Raises:
        NitroError: No backplane has that name, or the settings do not fit it.
    """
    if settings.name == MEMORY:
        return None
    entry = find_backplane(settings.name)
    if settings.name == LOCAL and not settings.url:
        raise UsageError(
            "The backplane `local` has no broker here: expected workers of `--workers`, whose parent starts it.",
            hint="Start the bundle by itself, `python .output/server --workers 4`, or use another backplane.",
        )
    if not settings.url:
        raise UsageError(
            f"The backplane `{settings.name}` has no URL.",
            hint=f"Set `NITRO_BACKPLANE_URL`, such as `{settings.name}://HOST`, or `backplane_url` for the build.",
        )
    try:
        factory = cast(BackplaneFactory, entry.load())
    except (ImportError, AttributeError) as error:
        raise UsageError(f"The backplane `{settings.name}` cannot be imported: {error}.") from error
    return factory(settings.url, settings.prefix)
