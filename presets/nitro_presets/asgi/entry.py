"""The start of a bundle: `python .output/server`."""

from __future__ import annotations

from pathlib import Path

from nitro_py.server.launch import launch

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000


def main(folder: Path) -> None:
    """Serve the bundle in a folder until a signal stops it.

    Args:
        folder: The bundle's `server/`.
    """
    launch(folder, host=DEFAULT_HOST, port=DEFAULT_PORT)
