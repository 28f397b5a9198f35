"""A plugin that starts second and stops first."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nitro_py import define_plugin

from .._journal import note
from .._starts import STARTS


@define_plugin
async def inner() -> AsyncIterator[None]:
    STARTS.append("inner")
    note("plugins", "inner started")
    yield
    note("plugins", "inner stopped")
