"""A plugin that starts first and stops last."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nitro_py import define_plugin

from .._journal import note
from .._starts import STARTS


@define_plugin
async def outer() -> AsyncIterator[None]:
    STARTS.append("outer")
    note("plugins", "outer started")
    yield
    note("plugins", "outer stopped")
