"""A route that has no hooks at all."""

from __future__ import annotations

from nitro_py import define_websocket_handler

handler = define_websocket_handler()
