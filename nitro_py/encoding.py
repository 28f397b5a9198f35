"""Encoding of values as JSON text and WebSocket frames, and the ids of peers and messages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

Frame = str | bytes


def to_json(value: object) -> str:
    """Write a value as compact JSON text, which any UTF-8 encoder takes.

    Half a surrogate pair, which a client may send as an escape, is written as an escape.

    Args:
        value: Anything JSON can hold, and dataclasses, pydantic models, mappings, sets, dates, times, UUIDs,
            decimals, paths, enums and URLs, as values and (where they are one text or number) as keys. A
            `timedelta` is written as ISO 8601 has it.

    Raises:
        TypeError: The value has no JSON form.
        ValueError: The value contains a number that JSON cannot express (NaN, infinity), or contains itself.

    Example:
        >>> to_json({"user": "ada", "tags": {1}})
        '{"user":"ada","tags":[1]}'
    """
    text = _encode(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def to_json_bytes(value: object) -> bytes:
    """Write a value as compact JSON in UTF-8; see `to_json`."""
    # What UTF-8 cannot hold stands inside of strings, where JSON has the same escape as Python.
    return _encode(value).encode("utf-8", "backslashreplace")


def read_json(data: str | bytes) -> Any:
    """Read JSON as RFC 8259 has it.

    Raises:
        ValueError: The text is not JSON, not UTF-8, or nested too deeply.

    Example:
        >>> read_json('{"a": 1}')
        {'a': 1}
    """
    try:
        if isinstance(data, str):
            return _decoder.decode(data)
        return _decoder.decode(data.decode(json.detect_encoding(data), "surrogatepass"))
    except RecursionError:
        raise ValueError("It is nested too deeply") from None


def encode_text(text: str) -> bytes:
    r"""Encode text as UTF-8; half a surrogate pair becomes U+FFFD, as in browsers.

    Example:
        >>> encode_text("é"), encode_text(chr(0xD83D))
        (b'\xc3\xa9', b'\xef\xbf\xbd')
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _join_surrogates(text).encode()


def encode_frame(data: object) -> Frame:
    """Return the text or binary frame for a value that a handler sends.

    Text and bytes are not changed, `None` becomes empty text, every other value JSON text. Half a surrogate pair
    in text becomes U+FFFD.

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
        if data.isascii():
            return data
        try:
            data.encode()
        except UnicodeEncodeError:
            return _join_surrogates(data)
        return data
    if isinstance(data, bytes):
        return data
    if data is None:
        return ""
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    return to_json(data)


def _join_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no `{name}`")


# Not `math.isinf`: functions that answer with JSON do not load `math`.
_INFINITE = (float("inf"), float("-inf"))


def _read_float(digits: str) -> float:
    value = float(digits)
    if value in _INFINITE:
        raise ValueError("A number is too large")
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_read_float)

# The classes of URLs by which packages that handlers use are known; none of them is loaded for it.
_URL_CLASSES = frozenset({"MultiHostUrl", "URL", "Url", "_BaseMultiHostUrl", "_BaseUrl"})
_URL_PACKAGES = frozenset({"httpx", "pydantic", "pydantic_core", "starlette", "yarl"})


def _simplify(value: Any) -> object:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if hasattr(type(value), "__dataclass_fields__"):
        import dataclasses  # Loaded already where there is such a type, and not needed elsewhere.

        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # Loaded with the first value that JSON cannot hold: most processes never see one.
    from collections import deque
    from datetime import date, time, timedelta
    from decimal import Decimal
    from uuid import UUID

    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _format_duration(value)
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, set | frozenset | deque):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        return path if isinstance(path, str) else os.fsdecode(path)
    if _is_url(type(value)):
        return str(value)
    forgotten = " Was an `await` forgotten?" if hasattr(value, "__await__") else ""
    raise TypeError(f"A `{type(value).__name__}` cannot be written as JSON.{forgotten}")


def _is_url(kind: type) -> bool:
    return any(
        base.__name__ in _URL_CLASSES and base.__module__.partition(".")[0] in _URL_PACKAGES
        for base in kind.__mro__
    )


def _format_duration(value: Any) -> str:
    """Write a `timedelta` as pydantic does (ISO 8601, a year of 365 days)."""
    sign = "-" if value.days < 0 else ""
    value = abs(value)
    years, days = divmod(value.days, 365)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    date = (f"{years}Y" if years else "") + (f"{days}D" if days else "")
    fraction = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    time = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if seconds or fraction:
        time += f"{seconds}{fraction}S"
    if not date and not time:
        time = "0S"
    return f"{sign}P{date}" + (f"T{time}" if time else "")


def _simplify_keys(value: Any) -> Any:
    """Return a value whose mappings have keys that JSON can hold."""
    if isinstance(value, dict):
        return {_simplify_key(key): _simplify_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_simplify_keys(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return _simplify_keys(_simplify(value))


def _simplify_key(key: Any) -> str | int | float | None:
    # An enum that is a text or number, too, is written as what it holds.
    simple = key.value if isinstance(key, Enum) else key
    if not (simple is None or isinstance(simple, str | int | float)):
        simple = _simplify(simple)
    if simple is None or isinstance(simple, str | int | float):
        return simple
    raise TypeError(f"A `{type(key).__name__}` cannot be a key of a JSON object.")


def _make_encoder() -> Callable[[object], str]:
    """Make the function that encodes JSON.

    For the row `http` of the benchmark: `JSONEncoder.encode` makes the same C encoder anew for each value.
    """
    plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_simplify)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    encode: Any = (
        plain.iterencode
        if make is None
        else make(
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
    )

    def write(value: object) -> str:
        try:
            try:
                return "".join(encode(value, 0))
            except TypeError:
                # A key, perhaps: the encoder asks for values only. What it cannot be is an error here, too.
                return "".join(encode(_simplify_keys(value), 0))
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
