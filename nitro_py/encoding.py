"""How values become JSON text and WebSocket frames."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from enum import Enum
from typing import Any

Frame = str | bytes


def to_json(value: object) -> str:
    """Write a value as compact JSON text.

    Args:
        value: Anything JSON can hold, and dataclasses, pydantic models, dates, UUIDs, decimals, enums and sets.

    Raises:
        TypeError: The value has no JSON form.
        ValueError: The value holds a number that JSON cannot hold (NaN, infinity), or itself.

    Example:
        >>> to_json({"user": "ada", "tags": {1}})
        '{"user":"ada","tags":[1]}'
    """
    return _encode(value)


def encode_frame(data: object) -> Frame:
    """Turn what a handler sends into a text or binary frame.

    Text and bytes go as they are, `None` as empty text, everything else as JSON text.

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
        import dataclasses  # Whoever has made the type has loaded it, and others need it not.

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
    """Make what writes JSON, once: `JSONEncoder.encode` makes the same C encoder anew for each value."""
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
            raise ValueError("A value that is too deep, or holds itself, cannot be written as JSON.") from None

    return write


_encode = _make_encoder()


def make_id() -> str:
    """Make a random id (RFC 9562, version 4); `uuid` would look at the platform when it is imported.

    Example:
        >>> len(make_id())
        36
    """
    value = int.from_bytes(os.urandom(16), "big")
    value = value & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 0x8000 << 48
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
