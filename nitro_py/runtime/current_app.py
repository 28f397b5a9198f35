"""The app that runs in this process, for code that has neither event nor peer at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nitro_py.errors import NitroError

if TYPE_CHECKING:
    from nitro_py.runtime.app import App

_apps: list[App] = []


def enter_app(app: App) -> None:
    """Make an app the current one, until `leave_app`."""
    _apps.append(app)


def leave_app(app: App) -> None:
    """Take an app away; the one started before it, if any, is current again."""
    if app in _apps:
        _apps.remove(app)


def current_app() -> App:
    """Return the app that runs in this process.

    Raises:
        NitroError: None does.
    """
    if not _apps:
        raise NitroError(
            "No app runs in this process.",
            hint="Call this from a handler, hook, plugin or task; from outside use `nitropy publish`.",
        )
    return _apps[-1]
