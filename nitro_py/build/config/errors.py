"""Turns what pydantic and TOML find wrong into errors that say what to write instead."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from nitro_py.build.config.layers import Layer, Place
from nitro_py.build.config.settings import config_schema
from nitro_py.build.config.toml_lines import KeyPath
from nitro_py.errors import ConfigError

_LONGEST_VALUE = 80
# How alike two names are before one is offered for the other, from 0 to 1.
CLOSE = 0.65
_SECTION_OF = {"nitro.toml": (), "pyproject.toml": ("tool", "nitropy")}


class ConfigErrors(ConfigError):
    """Every problem of a configuration; its own message, file, line and hint are those of the first.

    Args:
        problems: At least one, in the order they are shown.
    """

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        first = problems[0]
        super().__init__(first.message, file=first.file, line=first.line, hint=first.hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def raise_problems(problems: Sequence[ConfigError]) -> None:
    """Raise what was found, if anything was.

    Args:
        problems: The problems, most telling first.

    Raises:
        ConfigError: The problem, or a `ConfigErrors` of all of them.
    """
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigErrors(problems)


def value_problem(key: str, place: Place, *, expected: str, got: object, hint: str) -> ConfigError:
    """Say that a setting has the wrong value.

    Args:
        key: The setting, with dots.
        place: Where its value stands.
        expected: What it should be.
        got: The value, as it stands there.
        hint: What to do about it.

    Returns:
        The error, for the caller to raise.
    """
    origin = f" from {place.source}" if place.variable or place.command_line else ""
    message = f"`{key}`{origin}: expected {expected}, got `{show_value(got)}`."
    return ConfigError(message, file=place.file, line=place.line, hint=hint)


def explain(error: ValidationError, layer: Layer) -> list[ConfigError]:
    """Return what is wrong with a layer.

    Args:
        error: What pydantic found in the layer's values.
        layer: The layer, which knows where its values stand.

    Returns:
        One error for each thing that is wrong, in the order of their lines.
    """
    problems = []
    for details in error.errors():
        path = _follow(layer.values, details["loc"])
        place = layer.place(path)
        if details["type"] == "extra_forbidden":
            problems.append(_unknown_key(path, place))
            continue
        schema = _schema_at(path)
        expected = str(details["ctx"]["error"]) if details["type"] == "value_error" else _describe(schema)
        hint = _suggest(path, place)
        problem = value_problem(dotted(path), place, expected=expected, got=details["input"], hint=hint)
        problems.append(problem)
    return sorted(problems, key=lambda problem: problem.line or 0)


def dotted(path: KeyPath) -> str:
    """Write a path as it is read aloud.

    Example:
        >>> dotted(("websocket", "allowed_origins", 0))
        'websocket.allowed_origins[0]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def show_value(value: object) -> str:
    """Write a value the way TOML does, shortened where it is long."""
    if isinstance(value, float) and not math.isfinite(value):
        text = str(value)
    elif value is None or isinstance(value, str | int | float | list | tuple | dict):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def list_settings() -> dict[tuple[str, ...], dict[str, Any]]:
    """List every single setting with its JSON Schema, without the sections of the modes.

    Returns:
        The schema of each setting by path; `runtime_config` is one setting.
    """
    properties = _schema()["properties"]
    base = {name: properties[name] for name in properties if name not in {"development", "production"}}
    return dict(_walk_settings(base, ()))


def _walk_settings(
    properties: Mapping[str, Any], parent: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for name, schema in properties.items():
        resolved = _resolve(schema)
        if "properties" in resolved:
            yield from _walk_settings(resolved["properties"], (*parent, name))
        else:
            yield (*parent, name), resolved


def _follow(values: Any, location: tuple[str | int, ...]) -> KeyPath:
    """Drop the parts of a pydantic location that are tags of a union and not keys."""
    path: KeyPath = ()
    for part in location:
        if isinstance(values, Mapping) and part in values:
            values = values[str(part)]
        elif isinstance(values, list | tuple) and isinstance(part, int):
            values = values[part]
        else:
            continue
        path = (*path, part)
    return path


@cache
def _schema() -> dict[str, Any]:
    return config_schema()


def _resolve(schema: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    resolved = {**schema, **kinds[0]} if kinds else dict(schema)
    reference = resolved.get("$ref")
    if reference is not None:
        resolved |= _schema()["$defs"][reference.removeprefix("#/$defs/")]
    return resolved


def _schema_at(path: KeyPath) -> dict[str, Any]:
    schema = _schema()
    for part in path:
        below = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
        schema = _resolve(below or schema.get("additionalProperties") or {})
    return schema


def _describe(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if kind == "boolean":
        return "`true` or `false`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{show_value(choice)}`" for choice in sorted(schema["enum"]))
    if "pattern" in schema:
        return f"a string that matches `{schema['pattern']}`"
    if kind == "string":
        return "a non-empty string" if schema.get("minLength") else "a string"
    if kind == "array":
        return "a list of strings"
    if kind == "object":
        return "a table"
    if kind not in {"integer", "number"}:
        return "a value that JSON can hold"
    noun = "an integer" if kind == "integer" else "a number"
    if "exclusiveMinimum" in schema:
        most = f" and at most {schema['maximum']}" if "maximum" in schema else ""
        return f"{noun} of more than {schema['exclusiveMinimum']}{most}"
    if "maximum" in schema:
        return f"{noun} from {schema['minimum']} to {schema['maximum']}"
    return f"{noun} of at least {schema['minimum']}"


def _suggest(path: KeyPath, place: Place) -> str:
    names = tuple(part for part in path if isinstance(part, str))
    schema = _schema_at(names)
    if schema.get("type") == "object" and place.file is not None:
        section = dotted((*_SECTION_OF[place.file], *names))
        return f"Write its keys below a line `[{section}]`."
    example = True if schema.get("type") == "boolean" else schema.get("examples", [schema.get("default")])[0]
    if example is None:
        return "Use text, numbers, `true`, `false`, lists and tables only."
    if place.variable is not None:
        written = ",".join(example) if isinstance(example, list) else example
        written = written if isinstance(written, str) else show_value(written)
        return f"Set `{place.variable}={written}`, for example."
    if place.command_line:
        return f"Give it a value such as `{show_value(example)}`."
    return f"Write `{names[-1]} = {show_value(example)}`, for example."


def _unknown_key(path: KeyPath, place: Place) -> ConfigError:
    parent, name = path[:-1], str(path[-1])
    choices = sorted(_schema_at(parent)["properties"])
    listed = ", ".join(f"`{choice}`" for choice in choices)
    where = f"on {place.source}" if place.command_line else f"in {place.source}"
    message = f"Unknown key `{dotted(path)}` {where}: expected one of {listed}, got `{name}`."
    nearest = _nearest_key(parent, name, choices)
    hint = f"Did you mean `{nearest}`?" if nearest else "`nitropy config schema` describes every key."
    return ConfigError(message, file=place.file, line=place.line, hint=hint)


def _nearest_key(parent: KeyPath, name: str, siblings: Sequence[str]) -> str | None:
    elsewhere = {path[-1]: dotted(path) for path in reversed(list_settings())}
    # The right key in the wrong table is nearer than a like one in this table.
    if name in elsewhere:
        return elsewhere[name]
    for choices in ({sibling: dotted((*parent, sibling)) for sibling in siblings}, elsewhere):
        close = get_close_matches(name, list(choices), n=1, cutoff=CLOSE)
        if close:
            return choices[close[0]]
    return None
