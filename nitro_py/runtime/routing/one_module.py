"""One module for each file of a project, by whatever name it is imported: `shop.prices` or `src.shop.prices`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class ProjectFinder:
    """A finder that passes a file's module on under every other name.

    It stands in the place of the usual finder, so nothing is looked for twice.

    Args:
        root: The project's folder, or the bundle's.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = f"{root}{os.sep}"
        self._names: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module as the usual finder does, and the module of its file if there is one (PEP 451)."""
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not spec.has_location or not (spec.origin or "").startswith(self._prefix):
            return spec
        module = self.find_loaded(spec.origin or "", fullname)
        return spec if module is None else ModuleSpec(fullname, _Alias(module), origin=spec.origin)

    def find_loaded(self, file: str, name: str) -> ModuleType | None:
        """Return the module of a file under another name; if there is none, the file is the name's from now on."""
        known = self._names.setdefault(file, name)
        module = sys.modules.get(known)
        if known == name or module is None:
            self._names[file] = name
            return None
        return module


class _Alias(Loader):
    """A loader that returns a module which is there."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the other name's in its place, which relative imports go by.
        module.__spec__ = self._spec


def join_names(root: Path) -> ProjectFinder:
    """Return the finder of a project, which is put in its place by the first call."""
    for finder in sys.meta_path:
        if isinstance(finder, ProjectFinder) and finder.root == root:
            return finder
    made = ProjectFinder(root)
    place = next((index for index, finder in enumerate(sys.meta_path) if finder is PathFinder), len(sys.meta_path))
    sys.meta_path.insert(place, made)
    return made
