"""Reading settings from the environment of a running bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nitro_py.errors import ConfigError

_SWITCHES = {"true": True, "1": True, "false": False, "0": False}


def read_seconds(environ: Mapping[str, str], name: str, default: float, *, positive: bool = False) -> float:
    """Reads a time.

    Args:
        environ: The variables.
        name: The variable.
        default: What holds where it is not set.
        positive: Whether it must not be 0.

    Raises:
        ConfigError: The variable holds something else.

    Example:
        >>> read_seconds({"NITRO_SERVER__GRACE": "25"}, "NITRO_SERVER__GRACE", 8.0)
        25.0
    """
    text = environ.get(name)
    if text is None:
        return default
    import math  # A shared library, which a bundle without the variables need not load.

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise _wrong(name, "seconds above 0" if positive else "seconds, 0 or more", text)
    return value


def read_count(environ: Mapping[str, str], name: str, default: int) -> int:
    """Reads a whole number from 0 on.

    Raises:
        ConfigError: The variable holds something else.
    """
    text = environ.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise _wrong(name, "a whole number from 0 on", text)
    return int(text)


def read_switch(environ: Mapping[str, str], name: str, default: bool) -> bool:
    """Reads `true` or `1`, `false` or `0`.

    Raises:
        ConfigError: The variable holds something else.
    """
    text = environ.get(name)
    if text is None:
        return default
    if text.lower() not in _SWITCHES:
        raise _wrong(name, "`true` or `false`", text)
    return _SWITCHES[text.lower()]


def read_choice(environ: Mapping[str, str], name: str, choices: Sequence[str], default: str) -> str:
    """Reads one of some words.

    Raises:
        ConfigError: The variable holds something else.
    """
    text = environ.get(name, default)
    if text not in choices:
        raise _wrong(name, "one of " + ", ".join(f"`{choice}`" for choice in sorted(choices)), text)
    return text


def _wrong(name: str, expected: str, text: str) -> ConfigError:
    message = f"Wrong value for `{name}` in the environment: expected {expected}, got `{text}`."
    return ConfigError(message, hint="Correct the variable, or unset it to keep what the bundle was built with.")
