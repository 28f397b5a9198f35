"""One published frame on its way to many subscribers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from nitro_py.encoding import Frame

T = TypeVar("T")


class Broadcast:
    """Carries a frame, and each form in which transports send it, made once for all of them.

    Args:
        frame: What was published.

    Example:
        >>> broadcast = Broadcast("hello")
        >>> broadcast.encode(len), broadcast.encode(len)
        (5, 5)
    """

    __slots__ = ("_encoded", "frame")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._encoded: dict[Callable[[Frame], Any], Any] = {}

    def encode(self, encoder: Callable[[Frame], T]) -> T:
        """Return the frame as an encoder writes it; the encoder is called once for all subscribers.

        Args:
            encoder: A function that lives as long as the process; it stands for its form.
        """
        try:
            encoded: T = self._encoded[encoder]
        except KeyError:
            encoded = self._encoded[encoder] = encoder(self.frame)
        return encoded
