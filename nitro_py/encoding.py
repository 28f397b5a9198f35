"""Encoding of values as JSON text and WebSocket frames, and the ids of peers and messages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from enum import Enum
from typing import Any

Frame = str | bytes


def to_json(value: object) -> str:
    """Return a value as compact JSON text (RFC 8259).

    Args:
        value: Any value that JSON can express, and dataclasses, pydantic models, dates, UUIDs, decimals, enums and
            sets.

    Raises:
        TypeError: The value has no JSON form.
        ValueError: The value contains a number that JSON cannot express (NaN, infinity), or contains itself.

    Example:
        >>> to_json({"user": "ada", "tags": {1}})
        '{"user":"ada","tags":[1]}'
    """
    return _encode(value)


def encode_frame(data: object) -> Frame:
    """Return the text or binary frame for a value that a handler sends.

    Text and bytes are not changed, `None` becomes empty text, every other value JSON text.

    Args:
        data: The value.

    Returns:
        `str` for a text frame, `bytes` for a binary one.

    Raises:
        TypeError: The value has no JSON form.
        ValueError: The value contains a number that JSON cannot express, or contains itself.

    Example:
        >>> encode_frame([1, True]), encode_frame(b"x"), encode_frame(None)
        ('[1,true]', b'x', '')
    """
    if isinstance(data, str):
        return data
    if isinstance(data, bytes):
        return data
    if data is None:
        return ""
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    return to_json(data)


def _simplify(value: Any) -> object:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if hasattr(type(value), "__dataclass_fields__"):
        import dataclasses  # Loaded already where there is such a type, and not needed elsewhere.

        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # Loaded with the first value that JSON cannot hold: most processes never see one.
    from datetime import date, time
    from decimal import Decimal
    from uuid import UUID

    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return list(value)
    forgotten = " Was an `await` forgotten?" if hasattr(value, "__await__") else ""
    raise TypeError(f"A `{type(value).__name__}` cannot be written as JSON.{forgotten}")


def _make_encoder() -> Callable[[object], str]:
    """Make the function that encodes JSON.

    For the row `http` of the benchmark: `JSONEncoder.encode` makes the same C encoder anew for each value.
    """
    plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_simplify)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    encode = make(
        None,
        plain.default,
        json.encoder.encode_basestring,
        None,
        plain.key_separator,
        plain.item_separator,
        plain.sort_keys,
        plain.skipkeys,
        plain.allow_nan,
    )

    def write(value: object) -> str:
        try:
            return "".join(encode(value, 0))
        except RecursionError:
            raise ValueError(
                "A value that is nested too deep, or contains itself, cannot be written as JSON."
            ) from None

    return write


_encode = _make_encoder()


def make_id() -> str:
    """Return a random UUID as text (RFC 9562, version 4).

    For the rows `lambda-cold-http` and `lambda-cold-websocket`: `uuid` looks at the platform when it is imported.

    Example:
        >>> len(make_id())
        36
    """
    value = int.from_bytes(os.urandom(16), "big")
    value = value & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 0x8000 << 48
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
