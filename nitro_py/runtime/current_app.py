"""The app that runs in this process, for code that has neither an event nor a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nitro_py.errors import NitroError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nitro_py.peer import Peer
    from nitro_py.runtime.contracts import Hub, OpenStream, Publish
    from nitro_py.runtime.settings import Settings


class OpenStorage(Protocol):
    """A storage that was used."""

    async def close(self) -> None:
        """Close its connections."""


class CurrentApp(Protocol):
    """A running app, as far as public functions use it."""

    @property
    def settings(self) -> Settings:
        """The settings that ship."""

    @property
    def hub(self) -> Hub[Peer]:
        """The peers and their topics."""

    @property
    def locate_socket(self) -> Callable[[str], str] | None:
        """The function that makes a URL of a socket's path, where sockets have a host of their own."""

    @property
    def publish(self) -> Publish:
        """The function that publishes, measured if the app is."""

    @property
    def storages(self) -> dict[str, OpenStorage]:
        """The storages that were used, by name; the stop closes them."""

    def add_stream(self, stream: OpenStream, topic: str | None = None, namespace: str | None = None) -> None:
        """Remember an event stream until it is closed, and send it a topic's messages if one is named."""


_apps: list[CurrentApp] = []


def enter_app(app: CurrentApp) -> None:
    """Make an app the current one, until `leave_app`."""
    _apps.append(app)


def leave_app(app: CurrentApp) -> None:
    """Remove an app; the one started before it, if any, is current again."""
    if app in _apps:
        _apps.remove(app)


def current_app() -> CurrentApp:
    """Return the app that runs in this process.

    Raises:
        NitroError: No app runs in this process.
    """
    if not _apps:
        raise NitroError(
            "No app runs in this process.",
            hint="Call this from a handler, hook, plugin or task; from outside use `nitropy publish`.",
        )
    return _apps[-1]
