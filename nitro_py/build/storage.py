"""The storages of a bundle: which drivers ship, and where storages are that the configuration does not name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nitro_py.build.bundle.imports import find_imports
from nitro_py.build.config.load import LoadedConfig
from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.preset import BuildInput, Preset, PresetWithStorage
from nitro_py.errors import ConfigError, NitroError
from nitro_py.runtime.manifest import Manifest
from nitro_py.stores.registry import BUILT_IN, find_driver, list_driver_clients

# The driver of storages in development that the configuration does not name.
DEVELOPMENT_STORAGE = "sqlite"


def add_storages(manifest: Manifest, loaded: LoadedConfig, preset: Preset) -> Manifest:
    """Add to a manifest what the target has for storages.

    Args:
        manifest: The manifest.
        loaded: The configuration.
        preset: The target.

    Raises:
        ConfigError: A storage has a driver that there is not.
    """
    return manifest._replace(settings={**manifest.settings, **find_storage_settings(loaded, preset)})


def find_storage_settings(loaded: LoadedConfig, preset: Preset) -> dict[str, Any]:
    """Return what the target has for storages, as settings that ship.

    Args:
        loaded: The configuration.
        preset: The target.

    Raises:
        ConfigError: A storage has a driver that there is not.
    """
    offered: Mapping[str, str] = {}
    default = ""
    if loaded.mode == "development":
        default = DEVELOPMENT_STORAGE
    elif isinstance(preset, PresetWithStorage):
        offered, default = preset.storage_drivers, preset.default_storage
    factories = {default: offered[default]} if default in offered else {}
    for name, table in loaded.config.storage.items():
        if table.driver in offered:
            factories[table.driver] = offered[table.driver]
        elif table.driver and table.driver not in BUILT_IN:
            try:
                factories[table.driver] = find_driver(table.driver).value
            except NitroError as error:
                place = loaded.place(f"storage.{name}.driver")
                raise ConfigError(error.message, file=place.file, line=place.line, hint=error.hint) from None
    return {
        "default_storage": default,
        "storage_drivers": factories,
        # Development needs no broker, also where the bundle has one.
        "storage_at_broker": loaded.mode == "production" and default not in offered,
    }


def uses_storage(build: BuildInput) -> bool:
    """Return whether a file of the project imports `storage`, or the configuration names one."""
    return bool(build.config.storage) or any(
        _imports_storage(source, file) for file, source in build.sources.items() if file.endswith(".py")
    )


def _imports_storage(source: bytes, file: str) -> bool:
    if b"storage" not in source or b"nitro_py" not in source:
        return False
    # `import nitro_py` is followed by `nitro_py.storage`, or by another word that costs a table without rows.
    return any(
        found.module in ("nitro_py", "nitro_py.storages")
        and (not found.names or {"storage", "*"} & {*found.names})
        for found in find_imports(source, file)
    )


def find_storage_imports(config: NitroConfig, offered: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the modules that the drivers of a configuration need.

    Args:
        config: The configuration.
        offered: The drivers of the preset itself, which need none beside it.
    """
    drivers = {table.driver for table in config.storage.values()} - {"", *(offered or {})}
    return frozenset(client for driver in drivers for client in list_driver_clients(driver))
