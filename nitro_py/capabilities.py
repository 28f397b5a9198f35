"""The capabilities of a target: the closed set that presets declare and routes require."""

from __future__ import annotations

from typing import Literal, get_args

Capability = Literal[
    "http",
    "http.length",
    "peers.reach",
    "storage",
    "streaming",
    "streaming.disconnect",
    "topics",
    "topics.ordered",
    "topics.sse",
    "websocket",
    "websocket.binary",
    "websocket.buffering",
    "websocket.close-code",
    "websocket.mounted",
    "websocket.ordered",
    "websocket.ping",
    "websocket.refusal-body",
    "websocket.upgrade-headers",
]

CAPABILITIES: tuple[Capability, ...] = get_args(Capability)

Kind = Literal["http", "sse", "websocket"]
Mode = Literal["development", "production"]
RouteMode = Literal["all", "development", "production"]
