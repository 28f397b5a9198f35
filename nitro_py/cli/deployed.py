"""The preset that looks after what is deployed, for commands that need no bundle."""

from __future__ import annotations

import os

from nitro_py.build.config.load import LoadedConfig
from nitro_py.build.pipeline import choose_preset
from nitro_py.build.preset import Preset
from nitro_py.build.preset_commands import Command, OperatingPreset, OptionValues
from nitro_py.build.registry import find_preset
from nitro_py.cli.preset_options import check_options
from nitro_py.cli.project import read_bundle
from nitro_py.errors import UsageError
from nitro_py.runtime.manifest import INFO_NAME


def find_deployed(
    loaded: LoadedConfig, preset: str | None, options: OptionValues, command: Command
) -> OperatingPreset:
    """Find the preset of what is deployed: the named one, else that of the bundle, else the project's.

    Args:
        loaded: The configuration.
        preset: The name of a preset, if the command line has one.
        options: The preset's options, which are checked.
        command: The command.

    Raises:
        UsageError: The preset deploys nothing, or does not have one of the options.
    """
    target = _find_preset(loaded, preset)
    check_options(options, target, command)
    if not isinstance(target, OperatingPreset):
        raise UsageError(
            f"The preset `{target.name}` deploys nothing that could be looked after.",
            hint="Name the one that has deployed the app by `--preset`.",
        )
    return target


def _find_preset(loaded: LoadedConfig, preset: str | None) -> Preset:
    if preset is not None:
        return find_preset(preset, loaded.root)
    if (loaded.root / loaded.config.output_dir / INFO_NAME).exists():
        return find_preset(read_bundle(loaded).preset, loaded.root)
    return choose_preset(loaded, os.environ).preset
