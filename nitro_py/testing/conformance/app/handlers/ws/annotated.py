"""Takes messages that are validated as the hook annotates them."""

from __future__ import annotations

from nitro_py import define_websocket_handler

from ._moves import error, message

handler = define_websocket_handler(message=message, error=error)
