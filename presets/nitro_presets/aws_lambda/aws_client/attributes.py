"""DynamoDB's attribute values, from and to Python's."""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any


def marshal(value: object) -> dict[str, Any]:
    """Write a value in DynamoDB's JSON.

    Args:
        value: A str, int, float, bool, bytes, `None`, list, tuple, mapping with str keys, or non-empty set of str.

    Raises:
        TypeError: DynamoDB has no type for the value.
        ValueError: The set is empty, or the number is not finite.

    Example:
        >>> marshal({"a": [1, "b"]})
        {'M': {'a': {'L': [{'N': '1'}, {'S': 'b'}]}}}
    """
    match value:
        case str():
            return {"S": value}
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case float() if math.isfinite(value):
            return {"N": repr(value)}
        case float():
            raise ValueError(f"DynamoDB holds finite numbers only, got `{value}`.")
        case bytes() | bytearray():
            return {"B": b64encode(value).decode("ascii")}
        case set() | frozenset():
            return {"SS": _list_names(value)}
        case list() | tuple():
            return {"L": [marshal(inner) for inner in value]}
        case Mapping():
            return {"M": marshal_item(value)}
    raise TypeError(f"DynamoDB holds no `{type(value).__name__}`.")


def marshal_item(values: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Write an item, or the attribute values of an expression.

    Example:
        >>> marshal_item({":now": 5})
        {':now': {'N': '5'}}
    """
    return {name: marshal(value) for name, value in values.items()}


def unmarshal_value(attribute: Mapping[str, Any]) -> Any:
    """Read one attribute value.

    Args:
        attribute: The value in DynamoDB's JSON.

    Returns:
        The value. Tuples become lists, sets frozensets, and floats without a fraction ints, because DynamoDB
        does not tell them apart.

    Example:
        >>> unmarshal_value({"L": [{"N": "1.5"}, {"SS": ["a"]}]})
        [1.5, frozenset({'a'})]
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return _read_number(value)
        case "NULL":
            return None
        case "M":
            return unmarshal(value)
        case "L":
            return [unmarshal_value(inner) for inner in value]
        case "B":
            return b64decode(value)
        case "SS":
            return frozenset(value)
        case "NS":
            return frozenset(_read_number(number) for number in value)
        case "BS":
            return frozenset(b64decode(data) for data in value)
    raise ValueError(f"DynamoDB has no type `{kind}`.")


def unmarshal(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Read an item.

    Example:
        >>> unmarshal({"pk": {"S": "a"}, "ttl": {"N": "5"}})
        {'pk': 'a', 'ttl': 5}
    """
    return {name: unmarshal_value(attribute) for name, attribute in item.items()}


def _read_number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _list_names(names: set[Any] | frozenset[Any]) -> list[str]:
    if not names:
        raise ValueError("DynamoDB holds no empty set: leave the attribute out.")
    if not all(isinstance(name, str) for name in names):
        raise TypeError("Expected a set of str.")
    return sorted(names)
