"""`nitropy storage get`, `set`, `list` and `clear`."""

from __future__ import annotations

import asyncio
import base64 as base64_codec
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from nitro_py.build.config.env_files import read_env_files
from nitro_py.build.config.load import LoadedConfig, load_config
from nitro_py.build.config.settings import runtime_settings
from nitro_py.build.pipeline import choose_preset
from nitro_py.build.preset import Preset, PresetWithStorage
from nitro_py.build.preset_commands import OptionValues, StoragePreset, StorageRequest
from nitro_py.build.registry import find_preset
from nitro_py.build.storage import find_storage_settings
from nitro_py.cli.output import messages, print_json, print_line, print_note, print_warning, replace_controls
from nitro_py.cli.preset_options import check_options, refuse_options
from nitro_py.cli.project import JsonOption, find_root, load_project, read_bundle
from nitro_py.dev.run_file import read_run_file
from nitro_py.encoding import read_json, to_json
from nitro_py.errors import UsageError
from nitro_py.runtime.manifest import SERVER, read_manifest
from nitro_py.runtime.settings import MEMORY, Settings, check_storage_name
from nitro_py.storages import Storage, StorageEntry, open_storage

Answer = TypeVar("Answer")

NameOption = Annotated[str, typer.Option("--storage", metavar="NAME", help="Name of the storage.")]
DeployedOption = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help="Reach what this preset has deployed, not `dev` or `preview`."),
]


class OpenedStorage(NamedTuple):
    """A storage of the app.

    Args:
        storage: The storage, which has not connected yet.
        title: What it is called in what is printed.
    """

    storage: Storage
    title: str


def get_value(
    key: Annotated[str, typer.Argument(help="The key.")],
    storage: NameOption = "default",
    preset: DeployedOption = None,
    json: JsonOption = False,
    *,
    options: OptionValues,
) -> None:
    """Print a value as JSON, and bytes in base64."""
    opened = open_app_storage(storage, preset, options)
    entry = run(opened, lambda place: place.get_entry(key))
    if entry is None:
        raise UsageError(f"The {opened.title} has no value of `{replace_controls(key)}`.")
    if json:
        print_json({"key": key, **show_value(entry)})
    elif isinstance(entry.value, bytes):
        print_line(base64_codec.b64encode(entry.value).decode())
        print_note("The value is bytes, shown in base64.")
    else:
        print_line(to_json(entry.value))


def set_value(
    key: Annotated[str, typer.Argument(help="The key.")],
    value: Annotated[str, typer.Argument(help="Value, as JSON: text has quotes.")],
    text: Annotated[bool, typer.Option("--text", help="Take the value as text, without quotes.")] = False,
    base64: Annotated[bool, typer.Option("--base64", help="Take the value as bytes in base64.")] = False,
    ttl: Annotated[
        float | None, typer.Option("--ttl", metavar="SECONDS", help="Seconds after which the value is gone.")
    ] = None,
    storage: NameOption = "default",
    preset: DeployedOption = None,
    json: JsonOption = False,
    *,
    options: OptionValues,
) -> None:
    """Write a value."""
    data = read_value(value, text=text, base64=base64)
    opened = open_app_storage(storage, preset, options)
    version = run(opened, lambda place: place.set(key, data, ttl=ttl))
    if json:
        print_json({"key": key, "version": version})
    else:
        print_line(f"Set `{replace_controls(key)}` in the {opened.title}.")


def list_keys(
    prefix: Annotated[str, typer.Argument(help="Whole segments that the keys begin with.")] = "",
    after: Annotated[str, typer.Option("--after", metavar="KEY", help="Key to go on after.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most keys.")] = 100,
    storage: NameOption = "default",
    preset: DeployedOption = None,
    json: JsonOption = False,
    *,
    options: OptionValues,
) -> None:
    """List keys, a page at a time."""

    async def read(place: Storage) -> list[str]:
        return [key async for key in place.keys(prefix, after=after, limit=limit + 1)]

    found = run(open_app_storage(storage, preset, options), read)
    keys, more = found[:limit], len(found) > limit
    if json:
        print_json({"keys": keys, "next": keys[-1] if more else None})
        return
    for key in keys:
        print_line(replace_controls(key))
    if more:
        print_note(f"More follow: `--after {replace_controls(keys[-1])}`.")


def clear_keys(
    prefix: Annotated[str, typer.Argument(help="Whole segments that the keys begin with; by default all.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    storage: NameOption = "default",
    preset: DeployedOption = None,
    json: JsonOption = False,
    *,
    options: OptionValues,
) -> None:
    """Delete keys."""
    opened = open_app_storage(storage, preset, options)
    which = f"all keys below `{replace_controls(prefix)}`" if prefix else "all keys"
    if not yes and not typer.confirm(f"Delete {which} of the {opened.title}?", err=True):
        print_line("Nothing was deleted.", to=messages)
        return
    count = run(opened, lambda place: place.clear(prefix))
    if json:
        print_json({"deleted": count})
    else:
        print_line(f"Deleted {'1 key' if count == 1 else f'{count} keys'}.")


def open_app_storage(name: str, preset: str | None, options: OptionValues) -> OpenedStorage:
    """Open a storage where the app has it: in `dev`, in the running preview, or where it is deployed.

    Args:
        name: Its name.
        preset: The preset that has deployed the app; `None` for a server on this machine.
        options: The preset's own options.

    Raises:
        NitroError: It is not known where the storage is, or it cannot be reached from here.
    """
    try:
        check_storage_name(name)
    except ValueError as error:
        raise UsageError(f"Wrong value for `--storage`: expected {error}.") from None
    if preset is not None:
        loaded = load_project()
        target = find_preset(preset, loaded.root)
        check_options(options, target, "storage")
        settings = read_settings(loaded, target)
        place = f"that `{target.name}` has deployed"
        return _open(name, settings, target, StorageRequest(loaded.config, options, None), place)
    refuse_options("without `--preset`", options.given, "storage get")
    root = find_root()
    env_files = read_env_files(root, os.environ)
    # As the server gets them.
    os.environ.update(env_files.variables)
    running = read_run_file(root)
    if running is not None and running.bundle is not None:
        loaded = load_project(output_dir=running.bundle)
        target = find_preset(read_bundle(loaded).preset, loaded.root)
        settings = Settings.from_json(read_manifest(root / running.bundle / SERVER).settings)
        request = StorageRequest(loaded.config, options, running.url)
        return _open(name, settings, target, request, "of the preview")
    loaded = load_config(root, mode="development", overrides={}, environ=os.environ, env_files=env_files)
    for warning in loaded.warnings:
        print_warning(warning)
    target = choose_preset(loaded, os.environ).preset
    request = StorageRequest(loaded.config, options, None)
    return _open(name, read_settings(loaded, target), target, request, "of `nitropy dev`")


def read_settings(loaded: LoadedConfig, preset: Preset) -> Settings:
    """Return the settings that a bundle would ship with, as this environment replaces them."""
    shipped = {**runtime_settings(loaded.config, loaded.mode), **find_storage_settings(loaded, preset)}
    return Settings.from_json(shipped)


def run(opened: OpenedStorage, call: Callable[[Storage], Awaitable[Answer]]) -> Answer:
    """Make a call of a storage, and close it.

    Raises:
        NitroError: The storage does not take what it is given, or fails.
    """

    async def make_call() -> Answer:
        try:
            return await call(opened.storage)
        finally:
            await opened.storage.close()

    try:
        return asyncio.run(make_call())
    except ValueError as error:
        raise UsageError(str(error)) from None


def read_value(value: str, *, text: bool = False, base64: bool = False) -> object:
    r"""Read a value of the command line.

    Args:
        value: What is given.
        text: Whether it is the value itself.
        base64: Whether it is bytes in base64.

    Raises:
        UsageError: It is not what it should be.

    Example:
        >>> read_value("[1]"), read_value("[1]", text=True), read_value("AAE=", base64=True)
        ([1], '[1]', b'\x00\x01')
    """
    if text and base64:
        raise UsageError("`--text` and `--base64` exclude each other.", hint="Leave one of them out.")
    if text:
        return value
    try:
        return base64_codec.b64decode(value, validate=True) if base64 else read_json(value)
    except ValueError as error:
        kind = "base64" if base64 else "JSON"
        hint = None if base64 else "Write text as `'\"text\"'`, or add `--text`."
        raise UsageError(f"The value is not {kind}: {str(error).rstrip('.')}.", hint=hint) from None


def show_value(entry: StorageEntry) -> dict[str, Any]:
    """Return an entry as JSON has it."""
    bytes_given = isinstance(entry.value, bytes)
    shown = {"base64": base64_codec.b64encode(entry.value).decode()} if bytes_given else {"value": entry.value}
    return {**shown, "version": entry.version, "expires_at": entry.expires_at}


def _open(name: str, settings: Settings, target: Preset, request: StorageRequest, place: str) -> OpenedStorage:
    driver = settings.storage.find(name, settings.backplane).driver
    title = f"storage `{name}` {place} (`{driver}`)"
    if driver == MEMORY:
        raise UsageError(
            f"The storage `{name}` is in the memory of the process that serves the app: "
            f"`storage.{name}.driver` is `{MEMORY}`.",
            hint=f'Set `driver = "sqlite"` in `[storage.{name}]`, or another one that several processes reach.',
        )
    own = target.storage_drivers if isinstance(target, PresetWithStorage) else {}
    if driver in settings.storage.factories and driver in own:
        if not isinstance(target, StoragePreset):
            raise UsageError(f"The preset `{target.name}` does not reach its storages from outside.")
        os.environ.update(target.find_storage(request))
    return OpenedStorage(open_storage(name, settings), title)
