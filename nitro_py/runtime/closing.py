"""How sockets are closed, whichever server has them: how long that may take, and what a slow peer gets."""

from __future__ import annotations

import logging
from typing import Final

from nitro_py.runtime.counters import Counters
from nitro_py.websocket import CloseDetails

logger = logging.getLogger("nitro_py.websocket")

# The time that a client has to answer a close frame before its connection is dropped, in seconds.
CLOSE_TIMEOUT: Final = 10.0
# The close frame of a peer whose unsent bytes pass `websocket.buffer_limit`.
TOO_SLOW: Final = CloseDetails(1013, "Too slow")


def note_slow_peer(counters: Counters, limit: int) -> None:
    """Log and count a peer that is closed because it is too slow.

    Args:
        counters: The app's counters.
        limit: The bytes that more than waited for it.
    """
    logger.warning("Closed a slow peer: more than %d bytes waited for it.", limit)
    counters.peers_too_slow += 1
