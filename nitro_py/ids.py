"""Ids that are unique everywhere."""

from __future__ import annotations

import os


def make_id() -> str:
    """Makes a random id (RFC 9562, version 4); `uuid` would look at the platform when it is imported.

    Example:
        >>> len(make_id())
        36
    """
    value = int.from_bytes(os.urandom(16), "big")
    value = value & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 0x8000 << 48
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
