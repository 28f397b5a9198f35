"""Finding presets and their tables of settings: built-in ones, third-party ones and a project's own."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import ValidationError

from nitro_py.build.config.schema import MODES, PresetTable
from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.config.types import SettingsTable
from nitro_py.build.preset import Preset, PresetWithSettings
from nitro_py.errors import BuildError, NitroError

GROUP = "nitro_py.presets"


def list_presets() -> list[str]:
    """Name the installed presets, sorted."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def find_preset(name: str, root: Path) -> Preset:
    """Find a preset by its name, or by the path of a folder of the project.

    Args:
        name: An installed preset's name, or a folder with a `preset.py`, relative to the project.
        root: The project's folder.

    Raises:
        BuildError: There is none, or it is no preset.
    """
    if (root / name / "preset.py").is_file():
        return _check(_load(lambda: _load_local(root / name), name), name)
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return _check(_load(entry.load, name), name)
    names = list_presets()
    # A part of a name is nearer than one that is spelt alike.
    near = [item for item in names if name and name in item.split("-")]
    near = near or difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(f"`{item}`" for item in names)
    raise BuildError(
        f"Unknown preset `{name}`: expected one of {listed}, or a folder with a `preset.py`.",
        hint=f"Did you mean `{near[0]}`?" if near else None,
    )


def allowed_table_names(preset: str) -> tuple[str, ...]:
    """Name the tables that a preset may have, so that no other preset is imported to find whose a table is.

    Args:
        preset: The preset's name, or the path of its folder.

    Example:
        >>> allowed_table_names("cloud-run")
        ('cloud_run', 'cloud')
    """
    words = re.findall(r"[a-z0-9]+", Path(preset).name.lower())
    return tuple(dict.fromkeys(("_".join(words), *words[:1])))


def find_table(name: str, root: Path, folders: Iterable[str]) -> PresetTable | None:
    """Find the preset that a table of settings belongs to.

    Args:
        name: The table's name.
        root: The project's folder.
        folders: The presets of the project that it names, relative to it.

    Raises:
        BuildError: A preset that may have the table is broken, or several have it.
    """
    own = [*folders, *([name] if (root / name / "preset.py").is_file() else [])]
    for presets in (own, list_presets()):
        candidates = [preset for preset in presets if name in allowed_table_names(preset)]
        found = {table for table in (_read_table(find_preset(preset, root)) for preset in candidates) if table}
        matching = sorted((table for table in found if table.name == name), key=lambda table: table.preset)
        if len(matching) > 1:
            listed = ", ".join(f"`{table.preset}`" for table in matching)
            raise BuildError(
                f"The table `{name}` belongs to more than one preset: {listed}.", hint="Uninstall one."
            )
        if matching:
            return matching[0]
    return None


def list_tables(root: Path, folders: Iterable[str]) -> tuple[PresetTable, ...]:
    """List the tables of all presets that are installed, and of those of the project that it names.

    Args:
        root: The project's folder.
        folders: The presets of the project that it names, relative to it.

    Returns:
        The tables, sorted by name; a preset that cannot be imported has none.
    """
    tables: dict[str, PresetTable] = {}
    for preset in load_presets(root, folders):
        table = _read_table(preset)
        if table is not None:
            tables.setdefault(table.name, table)
    return tuple(tables[name] for name in sorted(tables))


def load_presets(root: Path, folders: Iterable[str]) -> list[Preset]:
    """Load some presets of the project, and all that are installed; those that are broken are left out."""
    found = []
    for name in (*folders, *list_presets()):
        try:
            found.append(find_preset(name, root))
        except NitroError:
            # One that is never built is no reason to refuse what has nothing to do with it.
            continue
    return found


def _read_table(preset: Preset) -> PresetTable | None:
    if not isinstance(preset, PresetWithSettings):
        return None
    return PresetTable(preset.settings_table, preset.name, preset.settings)


def _load(load: Callable[[], object], name: str) -> object:
    try:
        return load()
    except Exception as error:  # what a third party's module raises is not known here
        raise BuildError(f"The preset `{name}` cannot be imported: {error}.") from error


def _load_local(folder: Path) -> object:
    folder = folder.resolve()
    # The folder is imported as a package, so that its modules can import each other and ship.
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    module = importlib.import_module(f"{folder.name}.preset")
    return getattr(module, "preset", None)


def _check(candidate: object, name: str) -> Preset:
    if not isinstance(candidate, Preset):
        lacking = [
            item
            for item in ("name", "summary", "capabilities", "advise", "detect", "emit")
            if not hasattr(candidate, item)
        ]
        raise BuildError(
            f"`{name}` is no preset: it lacks {', '.join(f'`{item}`' for item in lacking)}.",
            hint="Its `preset.py` must have an object `preset` as the protocol `nitro_py.preset.Preset` asks.",
        )
    if isinstance(candidate, PresetWithSettings):
        _check_settings(candidate, name)
    return candidate


def _check_settings(preset: PresetWithSettings, name: str) -> None:
    table = preset.settings_table
    model: object = preset.settings
    allowed = sorted(set(allowed_table_names(name)) - {*NitroConfig.model_fields, *MODES})
    if table not in allowed:
        listed = ", ".join(f"`{choice}`" for choice in allowed) or "another name of the preset"
        raise BuildError(
            f"The preset `{name}` names its table of settings `{table}`: expected {listed}.",
            hint="A table is named as its preset is, or by the first word of that name.",
        )
    if not (isinstance(model, type) and issubclass(model, SettingsTable)):
        raise BuildError(
            f"The settings of the preset `{name}` are `{model!r}`, which is no table of settings.",
            hint="Derive it from `nitro_py.preset.SettingsTable`.",
        )
    try:
        model()
    except ValidationError as error:
        first = ".".join(map(str, error.errors()[0]["loc"]))
        raise BuildError(
            f"The setting `{table}.{first}` of the preset `{name}` has no default that is valid.",
            hint="Give every setting a default: projects without the table use it.",
        ) from None
