"""Noticing that code asks for an event loop, by what it imports."""

from __future__ import annotations

import importlib.util
import sys
from _thread import get_ident
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

ASYNCIO = "asyncio"
# By this libraries ask which kind of loop runs, and it says "none" while asyncio is not loaded.
SNIFFIO = "sniffio"


class AsyncioImportHook:
    """A finder on `sys.meta_path` that finds nothing, and calls a function once asyncio has been imported.

    Args:
        on_import: Called in the middle of the import, once the module is complete.

    Example:
        watch = AsyncioImportHook(lambda: print("asyncio"))
        watch.begin()
    """

    def __init__(self, on_import: Callable[[], object]) -> None:
        self._on_import = on_import
        self._thread = get_ident()

    @staticmethod
    def is_late() -> bool:
        """Return whether there is nothing to watch any more."""
        return ASYNCIO in sys.modules or SNIFFIO in sys.modules

    def begin(self) -> None:
        """Watch this thread's imports from now on."""
        sys.meta_path.insert(0, self)

    def end(self) -> None:
        """Watch no longer; a second call does nothing."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Is what the import of a module asks first; `None` leaves it to the next finder."""
        if name not in (ASYNCIO, SNIFFIO) or get_ident() != self._thread:
            return None
        self.end()
        if name == SNIFFIO:
            self._on_import()
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _NotifyingLoader(spec.loader, self._on_import))
        return spec


class _NotifyingLoader:
    """Loads a module as another loader does, and then calls a function."""

    def __init__(self, loader: Any, on_load: Callable[[], object]) -> None:
        self._loader = loader
        self._on_load = on_load

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        # Nobody shall find anything but the module's own loader in it.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._on_load()
