"""Write HTTP, WebSocket and event-stream handlers once; build them for where they run.

The public names are listed in `__init__.pyi`, for type checkers and for this module. Each is loaded when it is
first used (PEP 562): a small function must not wait for the modules of names that it does not use.
"""

from __future__ import annotations

__version__ = "0.1.0"

# Public name → module, read from the table on first use.
_modules: dict[str, str] = {}


def _read_table() -> dict[str, str]:
    if not _modules:
        # By the loader, as `pkgutil.get_data` does: the package may be in an archive.
        table = __loader__.get_data(f"{__path__[0]}/__init__.pyi").decode()
        for line in table.splitlines():
            match line.split():
                case ["from", module, "import", name, "as", _]:
                    _modules[name] = module
    return _modules


def __getattr__(name: str) -> object:
    modules = _read_table()
    if name == "__all__":
        return sorted(modules)
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    # Kept, so that it is found without this function from now on.
    value = globals()[name] = getattr(import_module(modules[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_read_table()})
