"""A WebSocket message, as it was received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nitro_py.encoding import Frame, encode_text, make_id, read_json
from nitro_py.errors import MessageValidationError

if TYPE_CHECKING:
    from nitro_py.peer import Peer


class Message:
    """A message from a peer, text or binary.

    Args:
        data: The data as it was received: `str` for a text message, `bytes` for a binary one.
        peer: The sender.
        id: The message's id; `None` makes one on first use.

    Example:
        >>> Message('{"a": 1}').json()
        {'a': 1}
    """

    __slots__ = ("_id", "data", "peer")

    def __init__(self, data: Frame, peer: Peer | None = None, id: str | None = None) -> None:
        self.data = data
        self.peer = peer
        self._id = id

    @property
    def id(self) -> str:
        """The message's unique id."""
        if self._id is None:
            self._id = make_id()
        return self._id

    def text(self) -> str:
        """Return the message as text; bytes are decoded as UTF-8.

        Raises:
            MessageValidationError: The bytes are not UTF-8.
        """
        if isinstance(self.data, str):
            return self.data
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise MessageValidationError(f"The message is not UTF-8 text: {error.reason}.") from None

    def bytes(self) -> bytes:
        """Return the message as bytes; text is encoded as UTF-8."""
        return encode_text(self.data) if isinstance(self.data, str) else self.data

    def json(self) -> Any:
        """Return the value of the message's JSON (RFC 8259).

        Raises:
            MessageValidationError: The message is not JSON; the connection stays open.
        """
        try:
            return read_json(self.data)
        except ValueError as error:
            raise MessageValidationError(f"The message is not JSON: {error}.") from None

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Message({self.data!r})"
