"""The rules that one setting sets for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from pathlib import Path

from pydantic import JsonValue

from nitro_py.brokers.connection import holds_secret
from nitro_py.brokers.registry import find_backplane, load_backplane
from nitro_py.build.config.environment import PREFIX
from nitro_py.build.config.errors import dotted, value_problem
from nitro_py.build.config.layers import Place, find_place
from nitro_py.build.config.secret_names import names_secret, surely_names_secret
from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.config.toml_lines import KeyPath
from nitro_py.build.config.types import MAX_PORT
from nitro_py.errors import ConfigError, NitroError
from nitro_py.runtime.settings import MEMORY, BackplaneSettings
from nitro_py.stores.registry import BUILT_IN, load_driver

_FOLDERS = ("handlers_dir", "output_dir", "public_dir")

Places = Mapping[KeyPath, Place]


def check_settings(config: NitroConfig, places: Places, root: Path) -> list[ConfigError]:
    """Find settings that don't go together, or don't fit the project.

    Args:
        config: The settings, each valid by itself.
        places: Where they stand.
        root: The project's folder.

    Returns:
        The problems, none if all is well.
    """
    return [
        *_check_folders(config, places, root),
        *_check_ports(config, places),
        *_check_stop(config, places),
        *_check_secrets(config.runtime_config, places),
        *_check_backplane(config, places),
        *_check_storages(config, places),
    ]


def check_served(config: NitroConfig, places: Places, serves: Callable[[str], str | None]) -> list[ConfigError]:
    """Find a route that the live-reload socket would hide.

    Args:
        config: The settings.
        places: Where they stand.
        serves: Returns the file of the route that answers a URL path, `None` if none does.

    Returns:
        The problem, or nothing.
    """
    path = config.dev.hmr.path
    if path is None or not _shares_port(config):
        return []
    file = serves(path)
    if file is None:
        return []
    return [
        value_problem(
            "dev.hmr.path",
            find_place(places, ("dev", "hmr", "path")),
            expected=f"a path that no route serves, since `dev.hmr.port` is `dev.port` ({config.dev.port}) "
            f"and `{file}` serves this one",
            got=path,
            hint="Choose another `dev.hmr.path`, or another `dev.hmr.port`.",
        )
    ]


def _check_folders(config: NitroConfig, places: Places, root: Path) -> Iterator[ConfigError]:
    root = root.resolve()
    folders: dict[str, str] = {name: getattr(config, name) for name in _FOLDERS}
    for name, folder in folders.items():
        resolved = (root / folder).resolve()
        if root not in resolved.parents:
            yield value_problem(
                name,
                find_place(places, (name,)),
                expected="a folder inside the project, symbolic links followed",
                got=folder,
                hint=f"It leads to `{resolved}`: replace the link by a folder.",
            )
    for (one, first), (two, second) in combinations(folders.items(), 2):
        as_written = _nested(root / first, root / second)
        if not as_written and not _nested((root / first).resolve(), (root / second).resolve()):
            continue
        # One that is not a default is the one to change.
        name, other = (two, one) if find_place(places, (two,)).source else (one, two)
        yield value_problem(
            name,
            find_place(places, (name,)),
            expected=f"a folder apart from `{other}` (`{folders[other]}`)",
            got=folders[name],
            hint=f"Choose a folder that is neither inside `{folders[other]}` nor around it.",
        )


def _nested(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def _shares_port(config: NitroConfig) -> bool:
    return config.dev.port != 0 and config.dev.hmr_port == config.dev.port


def _check_ports(config: NitroConfig, places: Places) -> Iterator[ConfigError]:
    if config.dev.hmr_port > MAX_PORT:
        yield value_problem(
            "dev.port",
            find_place(places, ("dev", "port")),
            expected=f"at most {MAX_PORT - 2}, so that live reload can use `dev.port` + 2",
            got=config.dev.port,
            hint="Choose a lower `dev.port`, or set `dev.hmr.port`.",
        )
    if _shares_port(config) and config.dev.hmr.path is None:
        yield value_problem(
            "dev.hmr.port",
            find_place(places, ("dev", "hmr", "port")),
            expected="another port than `dev.port`, as long as `dev.hmr.path` is not set",
            got=config.dev.hmr_port,
            hint='Leave `dev.hmr.port` out, or set `dev.hmr.path = "/_nitro/hmr"`.',
        )


def _check_stop(config: NitroConfig, places: Places) -> Iterator[ConfigError]:
    grace, delay = config.server.grace, config.server.drain_delay
    if delay >= grace:
        yield value_problem(
            "server.drain_delay",
            find_place(places, ("server", "drain_delay" if delay else "grace")),
            expected=f"less than `server.grace` ({grace:g}), of which it is a part",
            got=delay,
            hint="Choose a shorter `server.drain_delay`, or a longer `server.grace`.",
        )


def _check_backplane(config: NitroConfig, places: Places) -> Iterator[ConfigError]:
    if holds_secret(config.backplane_url):
        # The URL itself is left out: error messages end up in logs.
        place = find_place(places, ("backplane_url",))
        message = "`backplane_url` names a user, password or token, and bundles hold none: expected only the host."
        hint = "Leave it out here, and set `NITRO_BACKPLANE_URL=...` where the bundle runs."
        yield ConfigError(message, file=place.file, line=place.line, hint=hint)
    elif config.backplane != MEMORY:
        key = "backplane"
        try:
            find_backplane(config.backplane)
            if config.backplane_url:
                key = "backplane_url"
                load_backplane(BackplaneSettings(config.backplane, config.backplane_url, config.backplane_prefix))
        except NitroError as error:
            place = find_place(places, (key,))
            yield ConfigError(error.message, file=place.file, line=place.line, hint=error.hint)


def _check_storages(config: NitroConfig, places: Places) -> Iterator[ConfigError]:
    for name, table in config.storage.items():
        setting = f"storage.{name}.url"
        place = find_place(places, ("storage", name, "url"))
        if holds_secret(table.url):
            # The URL itself is left out: error messages end up in logs.
            message = f"`{setting}` names a user, password or token, and bundles hold none: expected the host."
            variable = _name_variable(("storage", name, "url"))
            hint = f"Leave it out here, and set `{variable}=...` where the bundle runs."
            yield ConfigError(message, file=place.file, line=place.line, hint=hint)
        elif table.url and table.driver in BUILT_IN:
            try:
                load_driver(table.driver, table.url, f"{config.backplane_prefix}:{name}", setting=setting)
            except NitroError as error:
                yield ConfigError(error.message, file=place.file, line=place.line, hint=error.hint)


def _check_secrets(values: Mapping[str, JsonValue], places: Places) -> Iterator[ConfigError]:
    for path in _list_secrets(values, ("runtime_config",), surely_names_secret):
        # The value itself is left out: error messages end up in logs.
        message = f'`{dotted(path)}` looks like a secret, and bundles hold none: expected `""`, got a value.'
        hint = f'Leave it `""`, and set `{_name_variable(path)}=...` where the bundle runs.'
        place = find_place(places, path)
        yield ConfigError(message, file=place.file, line=place.line, hint=hint)


def describe_possible_secrets(config: NitroConfig, places: Places) -> tuple[str, ...]:
    """Describe values that a bundle would hold and whose names may be those of secrets, each in a warning.

    Args:
        config: The settings.
        places: Where they stand.
    """
    warnings = []
    for path in _list_secrets(config.runtime_config, ("runtime_config",), names_secret):
        place = find_place(places, path)
        stands = f" ({place.file}:{place.line})" if place.file is not None else ""
        warnings.append(
            f"`{dotted(path)}`{stands} may be a secret, and its value travels in the bundle. "
            f'If it is one, leave it `""`, and set `{_name_variable(path)}` in `.env` and where the bundle runs.'
        )
    return tuple(warnings)


def _list_secrets(
    values: Mapping[str, JsonValue], parent: KeyPath, is_named: Callable[[str], bool]
) -> Iterator[KeyPath]:
    for name, value in values.items():
        path = (*parent, name)
        if isinstance(value, dict):
            yield from _list_secrets(value, path, is_named)
        elif isinstance(value, str) and value and is_named(name):
            yield path


def _name_variable(path: KeyPath) -> str:
    return PREFIX + "__".join(map(str, path)).upper()
