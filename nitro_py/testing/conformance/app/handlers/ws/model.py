"""A route that takes validated messages."""

from __future__ import annotations

from nitro_py import define_websocket_handler

from ._moves import Move, error, message

handler = define_websocket_handler(message=message, error=error, message_model=Move)
