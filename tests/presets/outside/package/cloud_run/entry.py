"""The start of a bundle: `python server`."""

from __future__ import annotations

from pathlib import Path

from nitro_py.server.launch import launch


def main(folder: Path) -> None:
    """Serve the bundle in a folder until a signal stops it."""
    launch(folder, host="0.0.0.0", port=8080)
