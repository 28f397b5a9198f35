"""An import hook that tells when code begins to use asyncio."""

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
# Libraries ask it which kind of event loop runs. It finds none while asyncio is not imported.
SNIFFIO = "sniffio"


class AsyncioImportHook:
    """A finder on `sys.meta_path` that calls a function once asyncio has been imported.

    Args:
        on_import: Called within the import, once the module is executed.

    Example:
        hook = AsyncioImportHook(lambda: print("asyncio"))
        hook.install()
    """

    def __init__(self, on_import: Callable[[], object]) -> None:
        self._on_import = on_import
        self._thread = get_ident()

    @staticmethod
    def is_too_late() -> bool:
        """Return whether asyncio has been imported already."""
        return ASYNCIO in sys.modules or SNIFFIO in sys.modules

    def install(self) -> None:
        """Add the hook, for the imports of this thread."""
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return `None`, so that the next finder finds the module; for asyncio, a spec that calls the function."""
        if name not in (ASYNCIO, SNIFFIO) or get_ident() != self._thread:
            return None
        self.remove()
        if name == SNIFFIO:
            self._on_import()
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _NotifyingLoader(spec.loader, self._on_import))
        return spec


class _NotifyingLoader:
    """A loader that calls a function once another loader has loaded the module."""

    def __init__(self, loader: Any, on_load: Callable[[], object]) -> None:
        self._loader = loader
        self._on_load = on_load

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        # The module must show its own loader.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._on_load()
