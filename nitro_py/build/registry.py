"""Finding presets: built-in ones, third-party ones and a project's own."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from nitro_py.build.config.load import LoadedConfig
from nitro_py.build.preset import Preset
from nitro_py.errors import BuildError

GROUP = "nitro_py.presets"
DEFAULT_PRESET = "asgi"


@dataclass(frozen=True, slots=True)
class Choice:
    """The preset that was chosen, and why."""

    preset: Preset
    reason: str


def choose_preset(loaded: LoadedConfig, environ: Mapping[str, str]) -> Choice:
    """Choose the preset: command line, `NITRO_PRESET`, configuration, detected platform, `asgi`.

    Raises:
        BuildError: The preset is unknown or broken.
    """
    name = loaded.config.preset
    if name is not None:
        place = loaded.place("preset")
        try:
            return Choice(find_preset(name, loaded.root), f"said by {place.source}")
        except BuildError as error:
            raise BuildError(error.message, file=place.file, line=place.line, hint=error.hint) from error
    for candidate in list_presets():
        preset = find_preset(candidate, loaded.root)
        variable = preset.detect(environ)
        if variable is not None:
            return Choice(preset, f"`{variable}` is set in the environment")
    return Choice(find_preset(DEFAULT_PRESET, loaded.root), "the default")


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
    near = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(f"`{item}`" for item in names)
    raise BuildError(
        f"Unknown preset `{name}`: expected one of {listed}, or a folder with a `preset.py`.",
        hint=f"Did you mean `{near[0]}`?" if near else None,
    )


def _load(load: Callable[[], object], name: str) -> object:
    try:
        return load()
    except Exception as error:  # a preset is somebody's code, and may raise whatever it likes
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
            hint="Its `preset.py` must have an object `preset` as `nitro_py.build.preset.Preset` says.",
        )
    return candidate
