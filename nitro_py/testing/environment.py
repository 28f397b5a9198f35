"""The configuration and the variables that an app in a test runs with."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nitro_py.build.config.env_files import read_env_files
from nitro_py.build.config.load import LoadedConfig, load_config
from nitro_py.capabilities import Mode
from nitro_py.errors import UsageError

# How many clients need each variable with this value.
_needed: Counter[tuple[str, str]] = Counter()


def load_project_config(folder: Path, mode: Mode) -> LoadedConfig:
    """Return the configuration of the project in a folder, with its `.env` files."""
    root = folder.resolve()
    # What another client has set is no part of the environment.
    environ = {name: value for name, value in os.environ.items() if (name, value) not in _needed}
    env_files = read_env_files(root, environ)
    return load_config(root, mode=mode, overrides={}, environ=environ, env_files=env_files)


@contextmanager
def set_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment until the last of the clients that need them stops.

    Raises:
        UsageError: Another client, of another project, needs another value.
    """
    for name, value in variables.items():
        there = os.environ.get(name, value)
        if there != value and (name, there) in _needed:
            raise UsageError(
                f"`{name}` has another value in the `.env` of a project whose client runs in this process.",
                hint="Stop that client first: a process has one environment.",
            )
    needed = [item for item in variables.items() if os.environ.setdefault(*item) == item[1]]
    _needed.update(needed)
    try:
        yield
    finally:
        _needed.subtract(needed)
        for name, value in needed:
            if not _needed[name, value]:
                del _needed[name, value]
                if os.environ.get(name) == value:
                    del os.environ[name]
