"""The files `.env` and `.env.local` of a project: variables for where it runs on this machine."""

from __future__ import annotations

import io
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import Variable, parse_variables

from nitro_py.build.config.errors import raise_problems
from nitro_py.build.config.layers import Place
from nitro_py.errors import ConfigError

# The first that sets a variable wins.
ENV_FILES = (".env.local", ".env")
_HINT = 'Write `NAME=value`, and put quotes around a value with spaces, `#` or several lines: `NAME="a b"`.'


@dataclass(frozen=True, slots=True)
class EnvFiles:
    """What the files of a project set.

    Args:
        variables: The variables that the environment does not set.
        places: Where each variable of the files stands, also those that the environment sets.
        warnings: What the files say and has no effect.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_env_files(root: Path, environ: Mapping[str, str]) -> EnvFiles:
    """Read the files of a project, by the rules of python-dotenv.

    Args:
        root: The project's folder.
        environ: The environment; a file replaces nothing of it.

    Returns:
        What they set; nothing if there are none.

    Raises:
        ConfigError: A file cannot be read, or a line of it; a `ConfigErrors` for several lines.
    """
    variables: dict[str, str] = {}
    places: dict[str, Place] = {}
    warnings: list[str] = []
    for name in ENV_FILES:
        text = _read_text(root, name)
        of_file: dict[str, str] = {}
        lines: dict[str, Place] = {}
        # What is stronger than this file, then what stands above in it.
        known = ChainMap(dict(environ), variables, of_file)
        for key, value, line in _parse(text, name):
            warnings += _find_unset(value, known, f"{name}:{line}")
            of_file[key] = "".join(atom.resolve(known) for atom in parse_variables(value))
            lines[key] = Place(file=name, line=line, variable=key)
        variables = {**of_file, **variables}
        places = {**lines, **places}
    unset = {key: value for key, value in variables.items() if key not in environ}
    return EnvFiles(unset, places, tuple(warnings))


def _read_text(root: Path, name: str) -> str:
    path = root / name
    # A virtual environment may have this name.
    if not path.exists() or path.is_dir():
        return ""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        hint = f"Make `{name}` a file that you may read."
        raise ConfigError(f"`{name}` cannot be read: {error.strerror}.", file=name, hint=hint) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = f"`{name}` is not UTF-8: got the byte `0x{error.object[error.start]:02x}`."
        raise ConfigError(message, file=name, line=line, hint="Save the file as UTF-8.") from error


def _parse(text: str, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield each variable that has a value, with its line; without one, `NAME` leaves the environment as it is."""
    bindings = list(parse_stream(io.StringIO(text)))
    raise_problems([_problem(binding, name) for binding in bindings if _is_wrong(binding)])
    for binding in bindings:
        if binding.key is not None and binding.value is not None:
            yield binding.key, binding.value, _line_of(binding)


def _is_wrong(binding: Binding) -> bool:
    # The system takes no such variable.
    return binding.error or "\0" in f"{binding.key}{binding.value}"


def _problem(binding: Binding, name: str) -> ConfigError:
    # The value is left out: error messages end up in logs.
    key, found, _ = binding.original.string.strip().partition("=")
    got = f"{key.strip()}=…" if found else "no `=`"
    message = (
        f"`{name}` has a line that cannot be read: expected `NAME=value`, got {f'`{got}`' if found else got}."
    )
    return ConfigError(message, file=name, line=_line_of(binding), hint=_HINT)


def _line_of(binding: Binding) -> int:
    text = binding.original.string
    # It begins with the blank lines above.
    above = text[: len(text) - len(text.lstrip())]
    return binding.original.line + above.replace("\r\n", "\n").replace("\r", "\n").count("\n")


def _find_unset(value: str, known: Mapping[str, str], place: str) -> Iterator[str]:
    for atom in parse_variables(value):
        if isinstance(atom, Variable) and atom.default is None and atom.name not in known:
            yield f"{place} names `${{{atom.name}}}`, which nothing above it sets: replaced by nothing."
