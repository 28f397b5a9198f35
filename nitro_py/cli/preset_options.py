"""The options of commands that only some presets know."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer

from nitro_py.build.config.load import list_named_presets
from nitro_py.build.preset import Preset
from nitro_py.build.preset_commands import Option, OptionValues, PresetWithOptions
from nitro_py.build.registry import load_presets
from nitro_py.cli.project import find_root
from nitro_py.errors import BuildError, UsageError

# The parameter of a command that takes the values.
PARAMETER = "options"


def add_options(command: Callable[..., None], name: str, arguments: Sequence[str]) -> Callable[..., None]:
    """Add the options of presets to a command.

    Presets are imported only if the arguments have an option that the command does not have, or ask for help.

    Args:
        command: A command with the parameter `options`, which takes an `OptionValues`.
        name: The command's name.
        arguments: What follows the command's name.

    Returns:
        The command with a parameter for each option.

    Raises:
        BuildError: Two presets read the same option differently.
    """
    signature = inspect.signature(command, eval_str=True)
    own = {key: value for key, value in signature.parameters.items() if key != PARAMETER}
    known = {text for value in own.values() for text in _list_names(value)}
    asked = any(text.startswith("-") and text.partition("=")[0] not in known for text in arguments)
    declared = _collect(name, _list_presets(arguments)) if asked else {}
    parameters = {option.name: _make_parameter(option, presets) for option, presets in declared.values()}

    def run(**values: Any) -> None:
        given = {text: values.pop(made.name) for text, made in parameters.items()}
        chosen = {text: value for text, value in given.items() if value is not None}
        command(**values, **{PARAMETER: OptionValues(chosen)})

    shown = [*own.values(), *parameters.values()]
    run.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def check_options(options: OptionValues, preset: Preset, name: str) -> None:
    """Refuse options that the preset does not have.

    Args:
        options: What is given.
        preset: The preset that the command works with.
        name: The command's name.

    Raises:
        UsageError: Only other presets have one of them.
    """
    has = {option.name for option in _options_of(preset, name)}
    for text in sorted(options.given.keys() - has):
        _, presets = _collect(name, _list_presets(()))[text]
        raise UsageError(
            f"`{text}` is an option of {_name_presets(presets)}, not of the preset `{preset.name}`.",
            hint=f"Leave it out, or use `--preset {presets[0]}`.",
        )


def refuse_options(case: str, options: Mapping[str, object], name: str) -> None:
    """Refuse options that mean nothing beside another one, or without it.

    Args:
        case: When they mean nothing, such as "without `--preset`".
        options: The options and their values; `None` where one is not given.
        name: The command's name.

    Raises:
        UsageError: One of them is given.
    """
    for option, value in options.items():
        if value is not None:
            hint = f"Leave it out, or see `nitropy {name} --help`."
            raise UsageError(f"`{option}` means nothing {case}.", hint=hint)


def _list_presets(arguments: Sequence[str]) -> list[Preset]:
    root = find_root()
    named = [value for text, value in pairwise(arguments) if text == "--preset"]
    named += [text.partition("=")[2] for text in arguments if text.startswith("--preset=")]
    return load_presets(root, list_named_presets(root, os.environ, named))


def _collect(name: str, presets: Sequence[Preset]) -> dict[str, tuple[Option[Any], list[str]]]:
    found: dict[str, tuple[Option[Any], list[str]]] = {}
    for preset in presets:
        for option in _options_of(preset, name):
            first, names = found.setdefault(option.name, (option, []))
            if first.type is not option.type:
                raise BuildError(
                    f"The presets `{names[0]}` and `{preset.name}` read the option `{option.name}` differently: "
                    f"as `{first.type.__name__}` and as `{option.type.__name__}`.",
                    hint="Uninstall one of them.",
                )
            if preset.name not in names:
                names.append(preset.name)
    return found


def _options_of(preset: Preset, name: str) -> tuple[Option[Any], ...]:
    if not isinstance(preset, PresetWithOptions):
        return ()
    return next((options for command, options in preset.options.items() if command == name), ())


def _name_presets(presets: Sequence[str]) -> str:
    return f"the preset{'s' if len(presets) > 1 else ''} " + ", ".join(f"`{name}`" for name in sorted(presets))


def _make_parameter(option: Option[Any], presets: Sequence[str]) -> inspect.Parameter:
    made = typer.Option(
        option.name, metavar=option.metavar, help=f"{option.help.rstrip('.')} ({_name_presets(presets)})."
    )
    name = "preset_option_" + option.name.strip("-").replace("-", "_")
    # Nothing stands for what is not given: the default belongs to the preset.
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[option.type | None, made]
    )


def _list_names(parameter: inspect.Parameter) -> Sequence[str]:
    metadata: Sequence[Any] = getattr(parameter.annotation, "__metadata__", ())
    return [text for item in metadata for text in getattr(item, "param_decls", None) or ()]
