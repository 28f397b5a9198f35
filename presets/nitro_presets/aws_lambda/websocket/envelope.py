"""Binary messages in a JSON envelope, because API Gateway carries text only."""

from __future__ import annotations

import base64
import binascii
import json

from nitro_py.encoding import Frame
from nitro_py.errors import UnsupportedError

KEY = "base64"
START = '{"base64":'


def wrap_frame(frame: Frame, binary: str) -> str:
    """Return the text that is posted for a frame.

    Args:
        frame: The frame.
        binary: The setting `aws.binary`.

    Raises:
        UnsupportedError: The frame is binary, and no envelope is configured.

    Example:
        >>> wrap_frame(b"hi", "base64")
        '{"base64":"aGk="}'
    """
    if isinstance(frame, str):
        return frame
    if binary != "base64":
        raise UnsupportedError(
            "API Gateway carries no binary messages.",
            hint='Set `aws.binary = "base64"` to send them as {"base64": …}, or send text.',
        )
    return json.dumps({KEY: base64.b64encode(frame).decode()}, separators=(",", ":"))


def unwrap_text(text: str, binary: str) -> Frame:
    """Return the frame that a client's message means; text without an envelope is returned as it is.

    Example:
        >>> unwrap_text('{"base64":"aGk="}', "base64"), unwrap_text("hi", "base64")
        (b'hi', 'hi')
    """
    # Most messages have no envelope, and are not parsed to find out.
    if binary != "base64" or not text.replace(" ", "", 1).startswith(START):
        return text
    try:
        value = json.loads(text)
        if isinstance(value, dict) and value.keys() == {KEY}:
            return base64.b64decode(value[KEY], validate=True)
    except (ValueError, TypeError, binascii.Error):
        pass
    return text
