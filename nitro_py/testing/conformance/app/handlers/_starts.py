"""A module that counts what starts in this process."""

from __future__ import annotations

STARTS: list[str] = []
