"""The loader of route files, middleware and plugins, by their paths."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from nitro_py.errors import NitroError
from nitro_py.handler import Handler

if TYPE_CHECKING:
    from nitro_py.mount import MountedApp
    from nitro_py.runtime.manifest import Route
    from nitro_py.runtime.routing.one_module import ProjectFinder
    from nitro_py.websocket import WebSocketHandler

    AnyHandler = Handler | MountedApp | WebSocketHandler

T = TypeVar("T")


def load_file(root: Path, file: str) -> ModuleType:
    """Import a file by its path, which may contain names such as `[id].get.py` and `(group)/`.

    The module belongs to the package of its folder: `from ._helpers import x` and
    `from handlers.api._helpers import x` give the same module.

    Args:
        root: The project's folder, or the bundle's.
        file: The file, relative to it, with slashes.

    Raises:
        NitroError: The file does not exist.
    """
    path = PurePosixPath(file)
    finder = add_project(root)
    package = _load_package(root, path.parent)
    beside = (root / path).with_suffix("")
    name = f"{package}.{_module_name(path.stem)}"
    if (beside / "__init__.py").is_file():
        # The name belongs to the package beside it, as everywhere in Python.
        name += " (file)"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(root / file):
        return loaded
    if finder is not None and (loaded := finder.find_loaded(str(root / file), name)) is not None:
        return loaded
    spec = importlib.util.spec_from_file_location(name, root / file)
    if spec is None or spec.loader is None or not (root / file).is_file():
        raise NitroError(f"The file `{file}` does not exist.", file=file, hint="Build the bundle again.")
    module = importlib.util.module_from_spec(spec)
    if beside.is_dir():
        # So that it is the package of the files in there too; its own imports stay relative to its folder.
        module.__path__ = [str(beside)]
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def add_project(root: Path) -> ProjectFinder | None:
    """Add a project to `sys.path`: its folder first, then its `src/`.

    Returns:
        What sees to it that a file in `src/` has one module; `None` where there is no such folder.
    """
    source = root / "src"
    nested = source.is_dir()
    folders = [str(root), str(source)] if nested else [str(root)]
    if sys.path[: len(folders)] != folders:
        sys.path[:] = [*folders, *(path for path in sys.path if path not in folders)]
    if not nested:
        return None
    from nitro_py.runtime.routing.one_module import join_names

    return join_names(root)


def _load_package(root: Path, folder: PurePosixPath) -> str:
    """Make the package of a folder, and return its name."""
    name = ""
    place = root
    for part in folder.parts:
        place = place / part
        name = f"{name}.{_module_name(part)}".removeprefix(".")
        beside = place.with_name(f"{part}.py")
        regular = (place / "__init__.py").is_file()
        loaded = sys.modules.get(name)
        if loaded is not None and not regular and loaded.__dict__.get("__file__") == str(beside):
            loaded.__path__ = [str(place)]
        elif loaded is not None and str(place) not in getattr(loaded, "__path__", ()):
            # Another project of this process has a folder of the same name.
            _forget(name)
            loaded = None
        if loaded is not None:
            continue
        if regular and "." not in part:
            importlib.import_module(name)
        elif not regular and beside.is_file():
            load_file(root, beside.relative_to(root).as_posix())
        else:
            package = ModuleType(name)
            package.__path__ = [str(place)]
            sys.modules[name] = package
    return name


def _module_name(part: str) -> str:
    # A dot in a module's name would separate packages, and names such as `[id].get` contain dots.
    return part.replace(".", "_")


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


def find_exports(module: ModuleType, kind: type[T]) -> dict[str, T]:
    """Find the objects of a type among a module's names, each once."""
    found: dict[str, T] = {}
    for name, value in vars(module).items():
        if isinstance(value, kind) and not any(value is other for other in found.values()):
            found[name] = value
    return found


def load_handler(root: Path, route: Route) -> AnyHandler:
    """Import a route's file, which the build has checked, and return its handler.

    Only the module of the handler's own type is loaded.
    """
    if route.mounted:
        from nitro_py.mount import MountedApp

        return load_export(root, route.file, MountedApp)
    if route.kind == "websocket":
        from nitro_py.runtime.hooks.message_model import add_model
        from nitro_py.websocket import WebSocketHandler

        return add_model(load_export(root, route.file, WebSocketHandler))
    return load_export(root, route.file, Handler)


def load_export(root: Path, file: str, kind: type[T]) -> T:
    """Import a file that the build has checked, and return its one object of a type."""
    found = find_exports(load_file(root, file), kind)
    if len(found) != 1:
        raise NitroError(
            f"`{file}` has changed since the build: expected one definition, got {len(found)}.",
            file=file,
            hint="Build the bundle again.",
        )
    return next(iter(found.values()))
