"""The start of a bundle in a container: `python3 /app/server`."""

from __future__ import annotations

from pathlib import Path

from nitro_py.server.launch import launch

# What is sent to a container comes from outside it.
DEFAULT_HOST = "0.0.0.0"
# The default of Cloud Run, Fly and App Runner; Render, and Cloud Run, set `PORT`.
DEFAULT_PORT = 8080


def main(folder: Path) -> None:
    """Serve the bundle in a folder until a signal stops it.

    Args:
        folder: The bundle's `server/`.
    """
    launch(folder, host=DEFAULT_HOST, port=DEFAULT_PORT)
