"""The layer of settings that `NITRO_*` environment variables make."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final

from nitro_py.build.config.layers import ConfigLayer, Place, merge_layers, nest
from nitro_py.build.config.schema import ConfigModels
from nitro_py.build.config.settings import SHORTHANDS
from nitro_py.errors import ConfigError
from nitro_py.runtime.settings import LOG_LEVELS_PREFIX, name_logger

PREFIX = "NITRO_"
# Read elsewhere, never by the build: by a running bundle, its backplane, `nitropy dev`, and `nitropy publish`.
RESERVED = (
    "NITRO_BACKPLANE",
    "NITRO_BACKPLANE_PREFIX",
    "NITRO_BACKPLANE_URL",
    "NITRO_DATA_DIR",
    "NITRO_EDITOR",
    "NITRO_ENV",
    "NITRO_ENV_FILE_NAMES",
    "NITRO_LOCAL_HOST",
    "NITRO_METRICS_TOKEN",
    "NITRO_PUBLISH_*",
    "NITRO_RUNTIME_CONFIG__*",
    "NITRO_STORAGE__*",
    "NITRO_WORKERS",
)
# How like a setting's variable another must be: platforms set some for a service that is named `nitro`.
_MISSPELT = 0.8
_LOG_LEVELS: Final = ("log", "levels")
_LEVEL: Final = {"type": "string"}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_environment(
    environ: Mapping[str, str], models: ConfigModels, places: Mapping[str, Place] | None = None
) -> tuple[ConfigLayer, list[str]]:
    """Read the settings that the environment holds.

    Args:
        environ: The variables; only names that start with `NITRO_` count.
        models: What can be configured.
        places: Where variables stand that are a file's.

    Returns:
        A layer of values, each read as its setting's type where that is possible, and the variables that name
        no setting.

    Example:
        >>> read_environment({"NITRO_DEV__HMR__PORT": "4000"}, ConfigModels())[0].values
        {'dev': {'hmr': {'port': 4000}}}
    """
    settings = _list_variables(models)
    places = places or {}
    layers = []
    unknown = []
    for name in _list_names(environ):
        path: tuple[str, ...]
        if name.startswith(LOG_LEVELS_PREFIX):
            path, schema = (*_LOG_LEVELS, name_logger(name)), _LEVEL
        elif name in settings:
            path, schema = settings[name]
        else:
            unknown.append(name)
            continue
        value = _parse(environ[name], schema)
        layers.append(ConfigLayer(nest(path, value), {path: places.get(name) or Place(variable=name)}))
    return merge_layers(layers), unknown


def list_sections(environ: Mapping[str, str]) -> set[str]:
    """Name the tables that the environment has settings for.

    Example:
        >>> list_sections({"NITRO_DEV__PORT": "4000", "NITRO_PRESET": "asgi"})
        {'dev'}
    """
    parts = [name.removeprefix(PREFIX).partition("__") for name in _list_names(environ)]
    return {section.lower() for section, found, _ in parts if found}


def _list_names(environ: Mapping[str, str]) -> list[str]:
    return sorted(
        name
        for name in environ
        if name.startswith(PREFIX) and not any(fnmatchcase(name, reserved) for reserved in RESERVED)
    )


def _list_variables(models: ConfigModels) -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
    variables = {
        PREFIX + "__".join(path).upper(): (path, schema)
        for path, schema in models.leaves.items()
        if path not in {("runtime_config",), ("storage",), _LOG_LEVELS}
    }
    for table, (name, _) in SHORTHANDS.items():
        variables[PREFIX + table.upper()] = (table, name), models.leaves[table, name]
    return variables


def _parse(text: str, schema: Mapping[str, Any]) -> object:
    """Read a value as its type; what cannot be read stays text, for the models to refuse."""
    if text == "" and "anyOf" in schema:
        return None
    kind = schema["type"]
    if kind == "boolean":
        return _BOOLEANS.get(text.lower(), text)
    if kind == "integer":
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else text
    if kind == "number":
        return _parse_number(text)
    if kind == "array":
        return _parse_list(text)
    return text


def _parse_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _parse_list(text: str) -> object:
    if not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def is_misspelt(name: str, models: ConfigModels) -> bool:
    """Return whether a variable that names no setting is of a known table, or named almost like a setting.

    Args:
        name: The variable.
        models: What could be configured.
    """
    settings = list(_list_variables(models))
    table, dots, _ = name.partition("__")
    known = dots != "" and any(setting.startswith(table + dots) for setting in settings)
    return known or _find_meant(name, settings) is not None


def describe_ignored(names: Sequence[str], places: Mapping[str, Place] | None = None) -> tuple[str, ...]:
    """Describe variables that name no setting, all of them in one warning.

    Args:
        names: The variables.
        places: Where variables stand that are a file's.

    Example:
        >>> describe_ignored(["NITRO_B", "NITRO_A"])
        ('No setting has the name of `NITRO_A`, `NITRO_B` in the environment: ignored.',)
    """
    if not names:
        return ()
    lines = {name: f" ({place.file}:{place.line})" for name, place in (places or {}).items()}
    listed = ", ".join(f"`{name}`{lines.get(name, '')}" for name in sorted(names))
    return (f"No setting has the name of {listed} in the environment: ignored.",)


def unknown_variable_error(name: str, models: ConfigModels, place: Place | None = None) -> ConfigError:
    """Return what is wrong with a variable that names no setting.

    Args:
        name: The variable.
        models: What could be configured.
        place: Where it stands, if a file sets it.
    """
    place = place or Place()
    settings = list(_list_variables(models))
    section = name.removeprefix(PREFIX).partition("__")[0]
    choices = [choice for choice in settings if choice.startswith(f"{PREFIX}{section}__")] or settings
    listed = ", ".join(f"`{choice}`" for choice in sorted(choices))
    message = f"Unknown key `{name}` in the environment: expected one of {listed}, got `{name}`."
    meant = _find_meant(name, settings)
    hint = f"Did you mean `{meant}`?" if meant else "Correct the name, or unset it."
    return ConfigError(message, file=place.file, line=place.line, hint=hint)


def _find_meant(name: str, settings: list[str]) -> str | None:
    """Return the variable that a name misspells."""
    # Every name starts alike, so only the rest tells how near two names are.
    rests = [choice.removeprefix(PREFIX) for choice in (*settings, *RESERVED)]
    close = get_close_matches(name.removeprefix(PREFIX), rests, n=1, cutoff=_MISSPELT)
    return PREFIX + close[0].replace("*", "NAME") if close else None
