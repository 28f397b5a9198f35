"""A module that lives beside a route and is none."""

from __future__ import annotations

from nitro_py import Event


def describe(event: Event) -> str:
    return f"neighbour of {event.params['id']}"
