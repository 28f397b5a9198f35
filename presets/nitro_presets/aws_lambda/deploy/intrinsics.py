"""Values of settings that CloudFormation computes, such as `!Ref Table`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nitro_py.preset import quote

# The functions that may stand for a value, by their name in a mapping.
FUNCTIONS = (
    "Fn::Base64",
    "Fn::Cidr",
    "Fn::FindInMap",
    "Fn::GetAZs",
    "Fn::GetAtt",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Fn::ToJsonString",
    "Fn::Transform",
    "Ref",
)
# Those that take a text, and so can be written as one.
SHORT_FORMS = ("GetAtt", "ImportValue", "Ref", "Sub")
_SHORT = re.compile(r"!(\w+)\s+(.*\S)\s*", re.DOTALL)
_NAME = re.compile(r"(AWS::)?[A-Za-z0-9]+")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9]+\.[A-Za-z0-9][A-Za-z0-9.]*")


def read_value(value: object) -> object:
    """Read a text or a computed value, and return the latter as a mapping in CloudFormation's long form.

    Raises:
        ValueError: It is none, with what is expected.

    Example:
        >>> read_value("!GetAtt Table.Arn")
        {'Fn::GetAtt': ['Table', 'Arn']}
    """
    if isinstance(value, str):
        short = _SHORT.fullmatch(value)
        return value if short is None else _read_short(short[1], short[2])
    if not isinstance(value, Mapping):
        raise ValueError(
            f"a text or a function of CloudFormation, such as {_list(f'!{n} …' for n in SHORT_FORMS)}"
        )
    if len(value) != 1 or next(iter(value)) not in FUNCTIONS:
        raise ValueError(f"a text, or a table with one of {_list(FUNCTIONS)}")
    ((function, argument),) = value.items()
    if function in ("Fn::GetAtt", "Ref") and isinstance(argument, str):
        return _read_short(function.removeprefix("Fn::"), argument)
    return {function: read_nested(argument)}


def write_value(value: object) -> str:
    """Write a value as YAML on one line, in CloudFormation's long form.

    Example:
        >>> write_value({"Fn::GetAtt": ["Table", "Arn"]})
        '{"Fn::GetAtt": ["Table", "Arn"]}'
    """
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quote(name)}: {write_value(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(write_value, value)) + "]"
    return json.dumps(value)


def show_value(value: object) -> str:
    """Write a value as a user would, in the short form where there is one.

    Example:
        >>> show_value({"Fn::GetAtt": ["Table", "Arn"]})
        '!GetAtt Table.Arn'
    """
    if isinstance(value, str) or not isinstance(value, Mapping):
        return str(value)
    ((function, argument),) = value.items()
    if function == "Fn::GetAtt":
        argument = ".".join(argument)
    name = function.removeprefix("Fn::")
    return f"!{name} {argument}" if isinstance(argument, str) else write_value(value)


def _read_short(name: str, argument: str) -> dict[str, Any]:
    if name == "Ref":
        if _NAME.fullmatch(argument) is None:
            raise ValueError("`!Ref` with the name of a resource or parameter, such as `!Ref Table`")
        return {"Ref": argument}
    if name == "GetAtt":
        if _ATTRIBUTE.fullmatch(argument) is None:
            raise ValueError("`!GetAtt` with a resource and an attribute, such as `!GetAtt Table.Arn`")
        return {"Fn::GetAtt": argument.split(".", 1)}
    if name not in SHORT_FORMS:
        raise ValueError(f"one of {_list(f'!{n} …' for n in SHORT_FORMS)}; others are written as a table")
    return {f"Fn::{name}": argument}


def read_nested(argument: Any) -> Any:
    """Read a value with computed values at any depth."""
    if isinstance(argument, str):
        return read_value(argument)
    if isinstance(argument, list):
        return [read_nested(one) for one in argument]
    if isinstance(argument, Mapping):
        if len(argument) == 1 and next(iter(argument)) in FUNCTIONS:
            return read_value(argument)
        return {name: read_nested(one) for name, one in argument.items()}
    return argument


def _list(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
