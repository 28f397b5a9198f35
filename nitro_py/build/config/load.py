"""Loading a project's configuration: file, mode section, `.env` files, environment, command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from nitro_py.build.config.checks import check_served, check_settings, describe_possible_secrets
from nitro_py.build.config.env_files import EnvFiles
from nitro_py.build.config.environment import (
    describe_ignored,
    is_misspelt,
    list_sections,
    read_environment,
    unknown_variable_error,
)
from nitro_py.build.config.errors import raise_problems, to_config_errors, value_problem
from nitro_py.build.config.layers import ConfigLayer, Place, find_place, merge_layers, nest
from nitro_py.build.config.schema import MODES, ConfigModels, PresetTable, make_models
from nitro_py.build.config.settings import SHORTHANDS, NitroConfig
from nitro_py.build.config.toml_lines import KeyPath, find_lines
from nitro_py.build.registry import find_table, list_tables
from nitro_py.errors import ConfigError, NitroError

Mode = Literal["production", "development"]

_OWN_FILE = "nitro.toml"
_SHARED_FILE = "pyproject.toml"
_TABLE = "nitropy"
# How others could take the two names to be.
_WRONG_TABLES = ("nitro", "nitropy-kit", "nitropykit")
_WRONG_FILE = "nitropy.toml"
# How like the table's name another must be; there is a tool named `nitpick`.
_MISSPELT = 0.85


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A project's settings and where they came from.

    Args:
        config: The settings of the mode.
        source: The file they came from, relative to the root; None if there is none.
        root: The project's folder.
        mode: What the settings are for.
        places: Where each setting stands that is not a default.
        env_files: What the files `.env` and `.env.local` set; nothing where they do not count.
        warnings: What was read and has no effect.
    """

    config: NitroConfig
    source: str | None
    root: Path
    mode: Mode
    places: Mapping[KeyPath, Place]
    env_files: EnvFiles
    warnings: tuple[str, ...] = ()

    def place(self, key: str) -> Place:
        """Find where a setting stands.

        Args:
            key: The setting, such as `dev.port`, or an item of a list, such as `ignore.0`.

        Returns:
            The place; an empty one for a default.
        """
        path = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
        return find_place(self.places, path)


def load_config(
    root: Path,
    *,
    mode: Mode,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    env_files: EnvFiles | None = None,
) -> LoadedConfig:
    """Load and check the configuration of a project.

    Args:
        root: The project's folder.
        mode: Which of the sections `[production]` and `[development]` holds; both are checked.
        overrides: What the command line says, by dotted key; None for what it leaves unsaid.
        environ: The environment, whose `NITRO_*` variables count.
        env_files: What the project's `.env` files set, if they count: not for a build, which would ship it.

    Returns:
        The settings, defaults if the project has no file.

    Raises:
        ConfigError: Something is wrong; a `ConfigErrors` if more than one thing is.

    Example:
        >>> from tempfile import mkdtemp
        >>> load_config(Path(mkdtemp()), mode="production", overrides={}, environ={}).config.preset is None
        True
    """
    source, file = _read_file(root)
    flags = _read_overrides(overrides)
    env_files = env_files or EnvFiles()
    variables = {**env_files.variables, **environ}
    folders = _list_folders(root, file, variables, [overrides.get("preset")])
    tables = _find_tables(root, file, flags, variables, folders)
    models = make_models(tables)
    places = {name: place for name, place in env_files.places.items() if name not in environ}
    environment, unknown = read_environment(variables, models, places)
    layers = ((file, models.file), (environment, models.settings), (flags, models.settings))
    errors = [_check_layer(layer, model) for layer, model in layers]
    if unknown or any(error is not None for error in errors):
        known = make_models(_merge_tables(tables, list_tables(root, folders)))
        of_file, of_environment, of_flags = (
            [] if error is None else to_config_errors(error, layer, known)
            for (layer, _), error in zip(layers, errors, strict=True)
        )
        misspelt = [name for name in unknown if is_misspelt(name, known)]
        of_names = [unknown_variable_error(name, known, places.get(name)) for name in misspelt]
        raise_problems([*of_file, *of_names, *of_environment, *of_flags])
        unknown = [name for name in unknown if name not in misspelt]
    merged = merge_layers([file.without(*MODES), file.section(mode), environment, flags])
    config = models.settings.model_validate(merged.values)
    raise_problems(check_settings(config, merged.places, root))
    warnings = (
        *env_files.warnings,
        *describe_ignored(unknown, places),
        *describe_possible_secrets(config, merged.places),
    )
    return LoadedConfig(config, source, root, mode, merged.places, env_files, warnings)


def find_models(root: Path, environ: Mapping[str, str], said: Iterable[str] = ()) -> ConfigModels:
    """Return all that could be configured: by the installed presets, and by those that the project names.

    Args:
        root: The project's folder.
        environ: The environment, which may name a preset.
        said: What else may be the path of one, such as what the command line says.
    """
    return make_models(list_tables(root, list_named_presets(root, environ, said)))


def list_named_presets(root: Path, environ: Mapping[str, str], said: Iterable[str] = ()) -> tuple[str, ...]:
    """List the presets that are folders of the project, and that its configuration names.

    Args:
        root: The project's folder.
        environ: The environment, which may name one.
        said: What else may be the path of one, such as what the command line says.
    """
    try:
        _, file = _read_file(root)
    except ConfigError:
        # What there could be is asked for to correct such a file.
        file = ConfigLayer({}, {})
    return _list_folders(root, file, environ, said)


def _list_folders(
    root: Path, file: ConfigLayer, environ: Mapping[str, str], said: Iterable[object]
) -> tuple[str, ...]:
    in_file = [part.values.get("preset") for part in _list_parts(file)]
    named = [*said, environ.get("NITRO_PRESET"), *in_file]
    return tuple(
        dict.fromkeys(name for name in named if isinstance(name, str) and (root / name / "preset.py").is_file())
    )


def _find_tables(
    root: Path, file: ConfigLayer, flags: ConfigLayer, environ: Mapping[str, str], folders: tuple[str, ...]
) -> tuple[PresetTable, ...]:
    """Find the presets' tables among those that are named, and import no other presets."""
    layers = (*_list_parts(file), flags)
    own = {*NitroConfig.model_fields, *MODES}
    names = {name for layer in layers for name in layer.values} | list_sections(environ)
    found = []
    for name in sorted(names - own):
        try:
            table = find_table(name, root, folders)
        except NitroError as error:
            place = next((layer.place((name,)) for layer in layers if name in layer.values), Place())
            raise ConfigError(error.message, file=place.file, line=place.line, hint=error.hint) from error
        if table is not None:
            found.append(table)
    return tuple(found)


def _list_parts(file: ConfigLayer) -> list[ConfigLayer]:
    """List the file itself and its sections for the modes, as far as they are tables."""
    return [file, *(file.section(mode) for mode in MODES if isinstance(file.values.get(mode), Mapping))]


def _merge_tables(first: tuple[PresetTable, ...], others: tuple[PresetTable, ...]) -> tuple[PresetTable, ...]:
    tables = {table.name: table for table in (*others, *first)}
    return tuple(tables[name] for name in sorted(tables))


def check_config(loaded: LoadedConfig, serves: Callable[[str], str | None]) -> None:
    """Check that live reload stays clear of the app's routes.

    Args:
        loaded: The configuration; `load_config` has checked everything that needs no routes.
        serves: Returns the file of the route that answers a URL path, `None` if none does.

    Raises:
        ConfigError: Live reload shares the app's port, and a route serves its path.
    """
    raise_problems(check_served(loaded.config, loaded.places, serves))


def check_included(loaded: LoadedConfig, unmatched: Sequence[int]) -> None:
    """Refuse globs of files that are not there, or that no bundle may have.

    Args:
        loaded: The configuration.
        unmatched: The places in `include` of the globs that no file fits.

    Raises:
        ConfigError: There is such a glob.
    """
    raise_problems(
        [
            value_problem(
                f"include[{index}]",
                find_place(loaded.places, ("include", index)),
                expected="a glob that fits files of the project",
                got=loaded.config.include[index],
                hint="Secrets, and what is in the folders of output and public files, stay at home.",
            )
            for index in unmatched
        ]
    )


def _check_layer(layer: ConfigLayer, model: type[NitroConfig]) -> ValidationError | None:
    try:
        model.model_validate(layer.values)
    except ValidationError as error:
        return error
    return None


def _read_overrides(overrides: Mapping[str, object]) -> ConfigLayer:
    given = {tuple(key.split(".")): value for key, value in overrides.items() if value is not None}
    place: dict[KeyPath, Place] = {(): Place(command_line=True)}
    return merge_layers([ConfigLayer(nest(path, value), place) for path, value in given.items()])


def _read_file(root: Path) -> tuple[str | None, ConfigLayer]:
    own = _read_toml(root, _OWN_FILE)
    shared = _read_toml(root, _SHARED_FILE)
    tool = shared.values.get("tool", {}) if shared is not None else {}
    if shared is not None and isinstance(tool, dict):
        _check_table_name(tool, shared)
    if (root / _WRONG_FILE).is_file():
        raise ConfigError(
            f"`{_WRONG_FILE}` is read by nothing.", file=_WRONG_FILE, hint=f"Rename it to `{_OWN_FILE}`."
        )
    if shared is None or not isinstance(tool, dict) or "nitropy" not in tool:
        return (None, ConfigLayer({}, {})) if own is None else (_OWN_FILE, _expand_shorthands(own))
    place = shared.place(("tool", "nitropy"))
    if own is not None:
        raise ConfigError(
            f"`{_OWN_FILE}` and `[tool.nitropy]` in `{_SHARED_FILE}` both exist: expected one, got two.",
            file=place.file,
            line=place.line,
            hint=f"Move the settings of one into the other, and delete `{_OWN_FILE}` or `[tool.nitropy]`.",
        )
    if not isinstance(tool["nitropy"], dict):
        hint = "Write the settings below a line `[tool.nitropy]`."
        raise value_problem("tool.nitropy", place, expected="a table", got=tool["nitropy"], hint=hint)
    return _SHARED_FILE, _expand_shorthands(shared.section("tool").section("nitropy"))


def _expand_shorthands(file: ConfigLayer) -> ConfigLayer:
    """Write `log = "json"` as the table that it is short for, in the sections of the modes, too."""
    values = _expand(file.values)
    sections = {mode: _expand(values[mode]) for mode in MODES if isinstance(values.get(mode), Mapping)}
    return ConfigLayer({**values, **sections}, file.places)


def _expand(values: Mapping[str, Any]) -> dict[str, Any]:
    expanded = dict(values)
    for table, (name, choices) in SHORTHANDS.items():
        if isinstance(values.get(table), str) and values[table] in choices:
            expanded[table] = {name: values[table]}
    return expanded


def _check_table_name(tool: Mapping[str, object], shared: ConfigLayer) -> None:
    """Refuse a table that is meant for us and that nothing reads."""
    for name in tool:
        if name != _TABLE and (name in _WRONG_TABLES or get_close_matches(name, [_TABLE], cutoff=_MISSPELT)):
            place = shared.place(("tool", name))
            raise ConfigError(
                f"`[tool.{name}]` is read by nothing: expected `[tool.{_TABLE}]`.",
                file=place.file,
                line=place.line,
                hint=f"Rename it to `[tool.{_TABLE}]`.",
            )


def _read_toml(root: Path, name: str) -> ConfigLayer | None:
    """Read a file, None if it is not there."""
    try:
        text = (root / name).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = f"Make `{name}` a file that you may read."
        raise ConfigError(f"`{name}` cannot be read: {error.strerror}.", file=name, hint=hint) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        message = f"`{name}` is not valid TOML: expected UTF-8, got the byte `0x{byte:02x}`."
        raise ConfigError(message, file=name, line=line, hint="Save the file as UTF-8.") from error
    values = _parse_toml(text, name)
    lines = find_lines(text)
    places = {path: Place(file=name, line=line) for path, line in lines.items()}
    return ConfigLayer(values, {(): Place(file=name), **places})


def _parse_toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        message = f"`{name}` cannot be read: its lists and tables are nested too deeply."
        raise ConfigError(message, file=name, hint="Write fewer of them inside each other.") from error
    except tomllib.TOMLDecodeError as error:
        lines = text.rstrip().splitlines()
        reason, _, position = str(error).rpartition(" (at ")
        found = re.match(r"line (\d+), column (\d+)", position)
        # tomllib gives no line for what is missing at the very end.
        line = min(int(found[1]), len(lines)) if found else len(lines)
        column = f"column {found[2]}" if found else "the end"
        message = f"`{name}` is not valid TOML: {reason} at {column}, got `{lines[line - 1].strip()}`."
        hint = _hint_at_yaml(lines[line - 1])
        hint = hint or "Text needs quotes, each key its own line, and a table a line such as `[dev]`."
        raise ConfigError(message, file=name, line=line, hint=hint) from error


def _hint_at_yaml(line: str) -> str | None:
    """Return how TOML writes a line of YAML."""
    pair = re.fullmatch(r"\s*([\w.-]+)\s*:\s*(.*?)\s*", line)
    if pair is None:
        return None
    return f"Write `{pair[1]} = {pair[2]}`, with quotes around text." if pair[2] else f"Write `[{pair[1]}]`."
