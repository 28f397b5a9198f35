"""The report of a configuration: each setting with its value and its place, secrets masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import JsonValue

from nitro_py.build.config.environment import PREFIX
from nitro_py.build.config.errors import dotted
from nitro_py.build.config.layers import Place, find_place
from nitro_py.build.config.load import LoadedConfig
from nitro_py.build.config.masking import mask
from nitro_py.build.config.schema import ConfigModels
from nitro_py.build.config.secret_names import MASK
from nitro_py.build.config.settings import add_mode_defaults
from nitro_py.build.config.toml_lines import KeyPath
from nitro_py.runtime.settings import BackplaneSettings, StorageSettings, override

# The two names of one table of switches: the second is listed where it is used.
_ALIAS = "features"


class ReportedSetting(NamedTuple):
    """A setting, for people and scripts.

    Args:
        setting: Its name, with dots.
        value: Its value, without secrets.
        source: Where it comes from, in words.
        file: The file, relative to the project, if it comes from one.
        line: The line there.
        variable: The variable of the environment or of a `.env` file.
    """

    setting: str
    value: JsonValue
    source: str
    file: str | None
    line: int | None
    variable: str | None


def list_settings(
    loaded: LoadedConfig, models: ConfigModels, environ: Mapping[str, str], preset: str | None = None
) -> list[ReportedSetting]:
    """List every setting of a project.

    Args:
        loaded: The configuration.
        models: What can be configured.
        environ: The environment, of which a running app reads more than a build; its `.env` files come below.
        preset: The preset whose table is listed; by default those of all presets are, and those that are used.
    """
    hidden = {table.name for table in models.tables if preset not in (None, table.preset)}
    defaults = models.settings().model_dump(mode="json")
    values = {**defaults, **add_mode_defaults(loaded.config, loaded.mode).model_dump(mode="json")}
    places = dict(loaded.places)
    if loaded.mode == "development":
        _add_run_time(values, places, loaded, environ)
    used = {path[0] for path in places}
    return [
        _report(path, _follow(values, path), find_place(places, path))
        for path in _list_paths(models, values)
        if path[0] in used or path[0] not in {*hidden, _ALIAS}
    ]


def _add_run_time(
    values: dict[str, JsonValue], places: dict[KeyPath, Place], loaded: LoadedConfig, environ: Mapping[str, str]
) -> None:
    """Add what only a running app reads from its environment."""
    variables = {**loaded.env_files.variables, **environ}

    def note(path: KeyPath) -> None:
        name = PREFIX + "__".join(map(str, path)).upper()
        if variables.get(name):
            of_file = loaded.env_files.places.get(name) if name not in environ else None
            places[path] = of_file or Place(variable=name)

    backplane = BackplaneSettings.from_json(values, variables)
    for field, value in backplane._asdict().items():
        key = "backplane" if field == "name" else f"backplane_{field}"
        values[key] = value
        note((key,))
    storages = StorageSettings.from_json(values, variables).named
    named: dict[str, JsonValue] = {name: dict(place._asdict()) for name, place in storages.items()}
    values["storage"] = named
    for path in _walk(named, ("storage",)):
        note(path)
    config = override(loaded.config.runtime_config, variables)
    values["runtime_config"] = config
    for path in _walk(config, ("runtime_config",)):
        note(path)


def _list_paths(models: ConfigModels, values: Mapping[str, JsonValue]) -> Iterator[KeyPath]:
    for path in models.leaves:
        value = _follow(values, path)
        if isinstance(value, dict) and value:
            yield from _walk(value, path)
        else:
            yield path


def _walk(table: Mapping[str, JsonValue], parent: KeyPath) -> Iterator[KeyPath]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _walk(value, (*parent, key))
        else:
            yield (*parent, key)


def _follow(values: JsonValue | Mapping[str, JsonValue], path: KeyPath) -> JsonValue:
    for part in path:
        assert isinstance(values, Mapping)
        values = values[str(part)]
    return values  # type: ignore[return-value]


def _report(path: KeyPath, value: JsonValue, place: Place) -> ReportedSetting:
    # Whatever its name: what does not stand in the configuration may be there for its being a secret.
    hidden = path[0] == "runtime_config" and place.variable is not None and value not in (None, "")
    shown = MASK if hidden else mask(value, str(path[-1]))
    return ReportedSetting(dotted(path), shown, _describe(place), place.file, place.line, place.variable)


def _describe(place: Place) -> str:
    if place.command_line:
        return "command line"
    if place.file is not None:
        return f"{place.file}:{place.line}" if place.line else place.file
    return "default" if place.variable is None else f"environment {place.variable}"
