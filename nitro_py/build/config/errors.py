"""Turning what pydantic and TOML refuse into errors that say what to write instead."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from nitro_py.build.bundle.names import CLOSE
from nitro_py.build.config.layers import ConfigLayer, Place
from nitro_py.build.config.masking import mask
from nitro_py.build.config.schema import MODES, ConfigModels
from nitro_py.build.config.secret_names import names_secret
from nitro_py.build.config.toml_lines import KeyPath
from nitro_py.errors import ConfigError

_MAX_VALUE = 80
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
    """Make the error about a wrong value.

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
    # A table of secrets hides all that it has; elsewhere the value tells what is one.
    table = next((name for name in key.split(".")[:-1] if names_secret(name)), "")
    shown = mask(got, table)  # type: ignore[arg-type]
    message = f"`{key}`{origin}: expected {expected}, got `{show_value(shown)}`."
    return ConfigError(message, file=place.file, line=place.line, hint=hint)


def to_config_errors(error: ValidationError, layer: ConfigLayer, models: ConfigModels) -> list[ConfigError]:
    """Return what is wrong with a layer.

    Args:
        error: What pydantic found in the layer's values.
        layer: The layer, which knows where its values stand.
        models: What could be configured.

    Returns:
        One error for each thing that is wrong, in the order of their lines.
    """
    problems = []
    for details in error.errors():
        path = _follow(layer.values, details["loc"])
        place = layer.place(path)
        if details["type"] == "extra_forbidden":
            problems.append(_unknown_key(path, place, models, details["input"]))
            continue
        schema = models.describe(path)
        expected = str(details["ctx"]["error"]) if details["type"] == "value_error" else _describe(schema)
        hint = _suggest(path, place, models, details["input"])
        problem = value_problem(dotted(path), place, expected=expected, got=details["input"], hint=hint)
        problems.append(problem)
    return sorted(problems, key=lambda problem: problem.line or 0)


def dotted(path: KeyPath) -> str:
    """Write a path as it is read aloud.

    Example:
        >>> dotted(("websocket", "allowed_origins", 0))
        'websocket.allowed_origins[0]'
    """
    return "".join(map(_write_part, path)).removeprefix(".")


def _write_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f'."{part}"' if "." in part else f".{part}"


def show_value(value: object) -> str:
    """Write a value the way TOML does, shortened where it is long."""
    if isinstance(value, float) and not math.isfinite(value):
        text = str(value)
    elif value is None or isinstance(value, str | int | float | list | tuple | dict):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"


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


def _suggest(path: KeyPath, place: Place, models: ConfigModels, got: object) -> str:
    names = tuple(part for part in path if isinstance(part, str))
    schema = models.describe(names)
    if schema.get("type") == "object" and "examples" not in schema and place.file in _SECTION_OF:
        section = dotted((*_SECTION_OF[place.file], *names))
        switch = next((key for key in models.leaves if isinstance(got, bool) and key[-1:] == names), None)
        also = "" if switch is None else f" The switch is `{dotted(switch)} = {show_value(got)}`."
        return f"Write its keys below a line `[{section}]`.{also}"
    example = True if schema.get("type") == "boolean" else schema.get("examples", [schema.get("default")])[0]
    if example is None:
        return "Use text, numbers, `true`, `false`, lists and tables only."
    if place.variable is not None:
        written = ",".join(example) if isinstance(example, list) else example
        written = written if isinstance(written, str) else show_value(written)
        return f"Set `{place.variable}={written}`, for example."
    if place.command_line:
        return f"Give it a value such as `{show_value(example)}`."
    return f"Write `{dotted(names[-1:])} = {show_value(example)}`, for example."


def _unknown_key(path: KeyPath, place: Place, models: ConfigModels, value: object) -> ConfigError:
    parent, name = path[:-1], str(path[-1])
    choices = sorted(models.describe(parent)["properties"])
    listed = ", ".join(f"`{choice}`" for choice in choices)
    where = f"on {place.source}" if place.command_line else f"in {place.source}"
    message = f"Unknown key `{dotted(path)}` {where}: expected one of {listed}, got `{name}`."
    nearest = _nearest_key(parent, name, choices, models)
    if nearest:
        hint = f"Did you mean `{nearest}`?"
    elif isinstance(value, Mapping) and (parent == () or parent in {(mode,) for mode in MODES}):
        hint = _list_tables(models)
    else:
        hint = "`nitropy config schema` describes every key."
    return ConfigError(message, file=place.file, line=place.line, hint=hint)


def _list_tables(models: ConfigModels) -> str:
    tables = sorted(models.tables, key=lambda table: table.preset)
    listed = ", ".join(f"`{table.preset}` has `[{table.name}]`" for table in tables)
    return f"Install the preset that has this table. Of those that are installed, {listed}."


def _nearest_key(parent: KeyPath, name: str, siblings: Sequence[str], models: ConfigModels) -> str | None:
    elsewhere = {path[-1]: dotted(path) for path in reversed(models.leaves)}
    # The right key in the wrong table is nearer than a like one in this table.
    if name in elsewhere:
        return elsewhere[name]
    for choices in ({sibling: dotted((*parent, sibling)) for sibling in siblings}, elsewhere):
        close = get_close_matches(name, list(choices), n=1, cutoff=CLOSE)
        if close:
            return choices[close[0]]
    return None
