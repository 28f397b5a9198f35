"""The layers that a configuration is put together from, each with the places of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nitro_py.build.config.toml_lines import KeyPath


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value: in a file, an environment variable, or on the command line.

    Args:
        file: The file, relative to the project.
        line: The line in it, counted from 1.
        variable: The environment variable, which `file` sets if there is one.
        command_line: Whether it was given on the command line.
    """

    file: str | None = None
    line: int | None = None
    variable: str | None = None
    command_line: bool = False

    @property
    def source(self) -> str | None:
        """The place in words; `None` for a default."""
        if self.variable is not None:
            return f"`{self.variable}`"
        if self.command_line:
            return "the command line"
        return None if self.file is None else f"`{self.file}`"


@dataclass(frozen=True, slots=True)
class ConfigLayer:
    """The values of one source as nested tables, with the place of each.

    Args:
        values: Tables, lists and scalars, not yet checked.
        places: Where keys stand; a key that is missing stands where the table around it does.
    """

    values: Mapping[str, Any]
    places: Mapping[KeyPath, Place]

    def place(self, path: KeyPath) -> Place:
        """Find where a key stands, or else the table around it."""
        return find_place(self.places, path)

    def section(self, name: str) -> ConfigLayer:
        """Take one table as a layer of its own, empty if it is not there."""
        values = self.values.get(name) or {}
        places = {path[1:]: place for path, place in self.places.items() if path[:1] == (name,)}
        return ConfigLayer(values, places)

    def without(self, *names: str) -> ConfigLayer:
        """Leave tables out."""
        return ConfigLayer({key: value for key, value in self.values.items() if key not in names}, self.places)


def find_place(places: Mapping[KeyPath, Place], path: KeyPath) -> Place:
    """Find where a key stands, or else the nearest table around it.

    Args:
        places: Known places by path.
        path: The key looked for.

    Returns:
        The place; an empty one for a value that no layer sets.
    """
    for length in range(len(path), -1, -1):
        if path[:length] in places:
            return places[path[:length]]
    return Place()


def nest(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Wrap a value in the tables that its path names.

    Example:
        >>> nest(("dev", "port"), 1)
        {'dev': {'port': 1}}
    """
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def merge_tables(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another: tables are merged key by key, anything else is replaced.

    Example:
        >>> merge_tables({"dev": {"port": 1, "host": "::1"}}, {"dev": {"port": 2}})
        {'dev': {'port': 2, 'host': '::1'}}
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merge_tables(below, value)
        merged[key] = value
    return merged


def merge_layers(layers: list[ConfigLayer]) -> ConfigLayer:
    """Lay layers over each other, the last one on top.

    Args:
        layers: From the weakest to the strongest.

    Returns:
        One layer; each value has the place of the layer that it came from.
    """
    values: dict[str, Any] = {}
    places: dict[KeyPath, Place] = {}
    for layer in layers:
        values = merge_tables(values, layer.values)
        places |= {path: layer.place(path) for path in _walk(layer.values)}
    return ConfigLayer(values, places)


def _walk(values: Mapping[str, Any], parent: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _walk(value, (*parent, key))
        else:
            yield (*parent, key)
