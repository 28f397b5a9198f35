"""The project that a command works on: the one in the current folder."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import AfterValidator, BaseModel, ValidationError

from nitro_py.build.config.load import LoadedConfig, Mode, load_config
from nitro_py.build.registry import find_preset
from nitro_py.cli.output import print_warning
from nitro_py.errors import UsageError
from nitro_py.runtime.manifest import INFO_NAME

PresetOption = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="Name of a preset, or a folder with one.")
]
OutputOption = Annotated[
    str | None, typer.Option("--output-dir", metavar="DIR", help="Folder of the bundle, in the project.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@dataclass(frozen=True, slots=True)
class BuiltBundle:
    """What `nitro.json` says about a bundle.

    Args:
        preset: The name of its preset.
        preview: The command that runs it, relative to the project.
        deploy: The command that deploys it, where there is one.
    """

    preset: str
    preview: str
    deploy: str | None


def _check_command(text: str) -> str:
    if not shlex.split(text) or "\0" in text:
        raise ValueError("not a command")
    return text


class _Commands(BaseModel):
    preview: Annotated[str, AfterValidator(_check_command)]
    deploy: str | None


class _Info(BaseModel):
    preset: str
    commands: _Commands


def find_root() -> Path:
    """Return the project's folder: the current one.

    Raises:
        UsageError: It was deleted.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("The current folder is gone.", hint="Change into the project's folder.") from None


def load_project(mode: Mode = "production", **overrides: object) -> LoadedConfig:
    """Load the configuration of the project in the current folder.

    Args:
        mode: What it is loaded for.
        overrides: What the command line says, with `__` in place of dots; None where it says nothing.

    Raises:
        ConfigError: Something is wrong with it.
        UsageError: The current folder is gone.

    Example:
        loaded = load_project(preset="asgi", dev__port=4000)
    """
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    loaded = load_config(find_root(), mode=mode, overrides=given, environ=os.environ)
    for warning in loaded.warnings:
        print_warning(warning)
    return loaded


def check_preset(loaded: LoadedConfig, built: BuiltBundle, preset: str | None) -> None:
    """Check that the bundle was built with the preset that the command names, if it names one.

    Raises:
        BuildError: There is no such preset.
        UsageError: The bundle is another preset's.
    """
    if preset is None:
        return
    wanted = find_preset(preset, loaded.root).name
    if wanted != built.preset:
        raise UsageError(
            f"The bundle in `{loaded.config.output_dir}` is built with the preset `{built.preset}`, "
            f"not `{wanted}`.",
            hint=f"Build it first: `nitropy build --preset {preset}`.",
        )


def read_bundle(loaded: LoadedConfig) -> BuiltBundle:
    """Read what was built last.

    Raises:
        UsageError: Nothing was built, or what describes the bundle is broken.
    """
    name = f"{loaded.config.output_dir}/{INFO_NAME}"
    hint = "Build one first: `nitropy build`."
    try:
        info = _Info.model_validate_json((loaded.root / name).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"There is no bundle in `{loaded.config.output_dir}`.", hint=hint) from None
    except OSError as error:
        raise UsageError(f"`{name}` cannot be read: {error.strerror}.", file=name, hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"`{place}`: {first['msg']}" if place else first["msg"]
        raise UsageError(f"`{name}` cannot be read: {reason}.", file=name, hint=hint) from error
    return BuiltBundle(info.preset, info.commands.preview, info.commands.deploy)
