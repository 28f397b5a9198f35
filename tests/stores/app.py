"""A project whose routes use a storage."""

from __future__ import annotations

from pathlib import Path

from tests.bundles import write_files

COUNT = """
    from nitro_py import define_handler, storage

    @define_handler
    async def handler(event):
        return await storage(event.query.get("name", "default")).increment("hits")
"""
PLAIN = """
    import sys

    from nitro_py import define_handler

    @define_handler
    async def handler(event):
        return sorted(name for name in sys.modules if "stor" in name or "sqlite" in name)
"""


def write_project(root: Path, config: str = "", **files: str) -> Path:
    """Write a project with a route that counts, and one that tells what is loaded."""
    routes = {"handlers/count.py": COUNT, "handlers/plain.py": PLAIN}
    return write_files(root, {**routes, "nitro.toml": config, **files})
