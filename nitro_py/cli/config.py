"""`nitropy config show` and `nitropy config schema`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from nitro_py.build.config.env_files import EnvFiles, read_env_files
from nitro_py.build.config.load import Mode, find_models, load_config
from nitro_py.build.config.report import ReportedSetting, list_settings
from nitro_py.build.registry import find_preset
from nitro_py.cli.output import print_json, print_line, print_table, print_warning
from nitro_py.cli.project import JsonOption, PresetOption, find_root
from nitro_py.encoding import to_json

_HEADS: dict[Mode, str] = {
    "development": "The settings of `nitropy dev`; `--mode production` shows those of `nitropy build`.",
    "production": "The settings of `nitropy build`, which reads no `.env`.",
}


def show(
    preset: PresetOption = None,
    mode: Annotated[Mode, typer.Option("--mode", help="Mode of the settings.")] = "development",
    json: JsonOption = False,
) -> None:
    """Print each setting, its value, and where it comes from; secrets are masked."""
    root = find_root()
    # An unknown preset is refused, as by `nitropy build`.
    name = None if preset is None else find_preset(preset, root).name
    env_files = read_env_files(root, os.environ) if mode == "development" else EnvFiles()
    loaded = load_config(root, mode=mode, overrides={"preset": preset}, environ=os.environ, env_files=env_files)
    for warning in loaded.warnings:
        print_warning(warning)
    models = find_models(root, {**env_files.variables, **os.environ}, [] if preset is None else [preset])
    settings = list_settings(loaded, models, os.environ, name)
    if json:
        print_json([setting._asdict() for setting in settings])
        return
    print_line(_HEADS[mode])
    print_line()
    print_table(("setting", "value", "from"), [_describe(setting) for setting in settings])


def schema() -> None:
    """Print the JSON Schema of `nitro.toml` and of `[tool.nitropy]`, for editors."""
    print_json(find_models(find_root(), os.environ).json_schema)


def _describe(setting: ReportedSetting) -> tuple[str, str, str]:
    return setting.setting, "-" if setting.value is None else to_json(setting.value), setting.source
