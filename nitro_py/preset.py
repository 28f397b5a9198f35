"""All that the author of a preset imports; it never ships in a bundle.

A preset implements `Preset`, and those of the other protocols here that it can keep. It is found through an entry
point of the group `nitro_py.presets`, or as `preset` in the `preset.py` of a folder of the project.
"""

from __future__ import annotations

from nitro_py.brokers.registry import find_client
from nitro_py.build.bundle.dependencies import build_python, linux_markers, pin_requirements
from nitro_py.build.bundle.installed import open_installed
from nitro_py.build.bundle.package import compile_modules
from nitro_py.build.bundle.runtime_files import SERVER_FOLDERS, collect_package, collect_runtime, merge_files
from nitro_py.build.bundle.server import (
    REQUIREMENTS,
    emit_server,
    pin_server,
    write_requirements,
)
from nitro_py.build.bundle.templates import fill_part, join_parts, quote, read_part
from nitro_py.build.bundle.tree import walk_files
from nitro_py.build.config.layers import Place
from nitro_py.build.config.masking import mask
from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.config.types import (
    HOST_PATTERN,
    Count,
    File,
    Folder,
    Globs,
    Name,
    Port,
    Seconds,
    SettingsTable,
    UrlPath,
)
from nitro_py.build.preset import (
    Alternative,
    BuildInput,
    Bundle,
    OtherTarget,
    PackagingStep,
    Preset,
    PresetWithFiles,
    PresetWithSettings,
    PresetWithStorage,
    ServerPreset,
    SizeLimit,
    VendoredDependencies,
)
from nitro_py.build.preset_commands import (
    Artifact,
    ArtifactPreset,
    Command,
    DeployablePreset,
    Deployment,
    Destruction,
    LogLine,
    LogsRequest,
    OperatingPreset,
    Option,
    OptionValues,
    OutputsRequest,
    PresetWithOptions,
    PublishingPreset,
    PublishRequest,
    StoragePreset,
    StorageRequest,
    WrittenBundle,
)
from nitro_py.build.storage import find_storage_imports, uses_storage
from nitro_py.build.write import format_size
from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.errors import BuildError, ConfigError, NitroError, UsageError
from nitro_py.runtime.manifest import MANIFEST_NAME, SERVER, VENDOR, Manifest, Route
from nitro_py.runtime.settings import LOCAL, MEMORY

__all__ = [
    "CAPABILITIES",
    "HOST_PATTERN",
    "LOCAL",
    "MANIFEST_NAME",
    "MEMORY",
    "REQUIREMENTS",
    "SERVER",
    "SERVER_FOLDERS",
    "VENDOR",
    "Alternative",
    "Artifact",
    "ArtifactPreset",
    "BuildError",
    "BuildInput",
    "Bundle",
    "Capability",
    "Command",
    "ConfigError",
    "Count",
    "DeployablePreset",
    "Deployment",
    "Destruction",
    "File",
    "Folder",
    "Globs",
    "LogLine",
    "LogsRequest",
    "Manifest",
    "Name",
    "NitroConfig",
    "NitroError",
    "OperatingPreset",
    "Option",
    "OptionValues",
    "OtherTarget",
    "OutputsRequest",
    "PackagingStep",
    "Place",
    "Port",
    "Preset",
    "PresetWithFiles",
    "PresetWithOptions",
    "PresetWithSettings",
    "PresetWithStorage",
    "PublishRequest",
    "PublishingPreset",
    "Route",
    "Seconds",
    "ServerPreset",
    "SettingsTable",
    "SizeLimit",
    "StoragePreset",
    "StorageRequest",
    "UrlPath",
    "UsageError",
    "VendoredDependencies",
    "WrittenBundle",
    "build_python",
    "collect_package",
    "collect_runtime",
    "compile_modules",
    "emit_server",
    "fill_part",
    "find_client",
    "find_storage_imports",
    "format_size",
    "join_parts",
    "linux_markers",
    "mask",
    "merge_files",
    "open_installed",
    "pin_requirements",
    "pin_server",
    "quote",
    "read_part",
    "uses_storage",
    "walk_files",
    "write_requirements",
]
