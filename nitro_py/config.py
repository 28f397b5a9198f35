"""The project's own settings, as the running app sees them."""

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
