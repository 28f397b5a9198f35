"""What the running app knows of itself: the project's own settings, and where its sockets are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nitro_py.runtime.current_app import current_app


def runtime_config() -> Mapping[str, Any]:
    """Return the config's `runtime_config`, with what `NITRO_RUNTIME_CONFIG__…` sets in the environment.

    Returns:
        The settings by name; tables are mappings. It MUST NOT be changed.

    Raises:
        NitroError: No app runs in this process.

    Example:
        url = runtime_config()["database_url"]
    """
    return current_app().settings.runtime_config


def websocket_url(path: str) -> str:
    """Return the URL that a page of the app connects a socket to.

    Args:
        path: The path of the socket's route, and a query if there is one, such as `/api/chat?room=1`.

    Returns:
        The path itself, for the host of the page; where sockets have a host of their own, the whole URL.

    Raises:
        NitroError: No app runs in this process.
        ValueError: The path does not begin with a slash.

    Example:
        @define_handler
        async def handler(event: Event) -> dict[str, str]:
            return {"url": websocket_url("/api/chat")}
    """
    if not path.startswith("/"):
        raise ValueError(f"The path of a socket begins with a slash, got `{path}`.")
    locate = current_app().locate_socket
    return path if locate is None else locate(path)
