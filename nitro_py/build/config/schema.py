"""The models of a whole configuration: the settings of nitropy-kit, and the tables of presets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, cast

from pydantic import Field, create_model

from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.config.toml_lines import KeyPath
from nitro_py.build.config.types import SettingsTable

MODES = ("development", "production")


@dataclass(frozen=True, slots=True)
class PresetTable:
    """A table of settings that a preset has for itself.

    Args:
        name: The table's name.
        preset: The preset's name.
        model: The settings in it.
    """

    name: str
    preset: str
    model: type[SettingsTable]


class ConfigModels:
    """The models of a configuration, and what their JSON Schema says about each setting.

    Args:
        tables: The tables of presets beside the settings that every project has.
    """

    def __init__(self, tables: Iterable[PresetTable] = ()) -> None:
        self.tables = tuple(tables)
        self.settings = _add_tables(self.tables)
        self.file = _add_modes(self.settings)

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of `nitro.toml` and of `[tool.nitropy]`, draft 2020-12."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **self.file.model_json_schema()}

    @cached_property
    def leaves(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """The schema of every single setting by path, without the sections of the modes.

        `runtime_config` is one setting.
        """
        properties = self.json_schema["properties"]
        return dict(self._walk({name: properties[name] for name in properties if name not in MODES}, ()))

    def describe(self, path: KeyPath) -> dict[str, Any]:
        """Return the schema of a setting, a table or a list's item; an empty one for what there is not."""
        schema = self.json_schema
        for part in path:
            below = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
            # The names of a table's keys may have a pattern.
            named = next(iter(schema.get("patternProperties", {}).values()), None)
            schema = self._resolve(below or named or schema.get("additionalProperties") or {})
        return schema

    def _walk(
        self, properties: Mapping[str, Any], parent: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
        for name, schema in properties.items():
            resolved = self._resolve(schema)
            if "properties" in resolved:
                yield from self._walk(resolved["properties"], (*parent, name))
            else:
                yield (*parent, name), resolved

    def _resolve(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
        resolved = {**schema, **kinds[0]} if kinds else dict(schema)
        reference = resolved.get("$ref")
        if reference is not None:
            resolved |= self.json_schema["$defs"][reference.removeprefix("#/$defs/")]
        return resolved


@lru_cache(maxsize=8)
def make_models(tables: tuple[PresetTable, ...]) -> ConfigModels:
    """Make the models, once for the same tables.

    Example:
        >>> make_models(()).json_schema["properties"]["handlers_dir"]["default"]
        'handlers'
    """
    return ConfigModels(tables)


def _add_tables(tables: Iterable[PresetTable]) -> type[NitroConfig]:
    fields = {
        table.name: (table.model, Field(default=table.model(), description=f"The preset `{table.preset}`."))
        for table in tables
    }
    if not fields:
        return NitroConfig
    made = create_model(
        NitroConfig.__name__, __base__=NitroConfig, __doc__=NitroConfig.__doc__, **cast("dict[str, Any]", fields)
    )
    return made


def _add_modes(settings: type[NitroConfig]) -> type[NitroConfig]:
    commands = {"production": "build", "development": "dev"}
    sections = {
        mode: (
            settings | None,
            Field(default=None, description=f"Settings that hold for `nitropy {command}` only."),
        )
        for mode, command in commands.items()
    }
    return create_model(
        "ConfigFile",
        __base__=settings,
        __doc__="What a configuration file may say: the settings, and what each mode changes.",
        **cast("dict[str, Any]", sections),
    )
