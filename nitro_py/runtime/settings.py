"""The settings that ship, with their only defaults, read from the manifest and the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args

from nitro_py.errors import ConfigError

Choice = TypeVar("Choice", bound=str)
Default = TypeVar("Default")

_SWITCHES = {"true": True, "1": True, "false": False, "0": False}


def read_seconds(environ: Mapping[str, str], name: str, default: float, *, positive: bool = False) -> float:
    """Return a time in seconds from a variable of the environment.

    Args:
        environ: The variables.
        name: The variable's name.
        default: The value if the variable is not set.
        positive: Whether 0 is refused.

    Raises:
        ConfigError: The variable has another value.

    Example:
        >>> read_seconds({"NITRO_SERVER__GRACE": "25"}, "NITRO_SERVER__GRACE", 8.0)
        25.0
    """
    text = environ.get(name)
    if text is None:
        return default
    import math  # A shared library, not needed where no variable is set.

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise _wrong(name, "seconds above 0" if positive else "seconds, 0 or more", text)
    return value


def read_int(environ: Mapping[str, str], name: str, default: int) -> int:
    """Return a whole number, 0 or more, from a variable of the environment.

    Raises:
        ConfigError: The variable has another value.
    """
    text = environ.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise _wrong(name, "a whole number, 0 or more", text)
    return int(text)


def read_bool(environ: Mapping[str, str], name: str, default: bool) -> bool:
    """Return a boolean from a variable of the environment: `true` or `1`, `false` or `0`.

    Raises:
        ConfigError: The variable has another value.
    """
    text = environ.get(name)
    if text is None:
        return default
    if text.lower() not in _SWITCHES:
        raise _wrong(name, "`true` or `false`", text)
    return _SWITCHES[text.lower()]


def read_choice(
    environ: Mapping[str, str], name: str, choices: Sequence[Choice], default: Default
) -> Choice | Default:
    """Return one of several words from a variable of the environment.

    Raises:
        ConfigError: The variable has another value.
    """
    text = environ.get(name)
    if text is None:
        return default
    for choice in choices:
        if choice == text:
            return choice
    raise _wrong(name, "one of " + ", ".join(f"`{choice}`" for choice in sorted(choices)), text)


def _wrong(name: str, expected: str, text: str) -> ConfigError:
    message = f"Wrong value for `{name}` in the environment: expected {expected}, got `{text}`."
    return ConfigError(message, hint="Correct the variable, or unset it to keep what the bundle was built with.")


RUNTIME_CONFIG_PREFIX = "NITRO_RUNTIME_CONFIG__"
LogFormat = Literal["json", "text"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
LOG_LEVELS_PREFIX: Final = "NITRO_LOG__LEVELS__"


class WebSocketSettings(NamedTuple):
    """`websocket.*`; sizes in bytes, times in seconds."""

    allowed_origins: tuple[str, ...] = ()
    max_message: int = 1024 * 1024
    max_queue: int = 64
    idle_timeout: float = 30.0
    buffer_limit: int = 4 * 1024 * 1024
    compression: bool = False


class SseSettings(NamedTuple):
    """`sse.*`; times in seconds."""

    heartbeat: float = 15.0


class HttpSettings(NamedTuple):
    """`http.*`; sizes in bytes, times in seconds."""

    max_body: int = 10 * 1024 * 1024
    max_header: int = 64 * 1024
    header_timeout: float = 30.0
    body_timeout: float = 60.0
    keep_alive: int = 75


# The backplane of one process: its topics stay there.
MEMORY: Final = "memory"
# That of several workers of one parent, which starts their broker.
LOCAL: Final = "local"


class BackplaneSettings(NamedTuple):
    """`backplane`, `backplane_url` and `backplane_prefix`."""

    name: str = MEMORY
    url: str = ""
    prefix: str = "nitro"

    @classmethod
    def from_json(cls, data: Mapping[str, Any], environ: Mapping[str, str]) -> BackplaneSettings:
        """Make the settings from a manifest's; variables of the environment replace them."""
        names = {"name": "backplane", "url": "backplane_url", "prefix": "backplane_prefix"}
        given = {name: environ.get(f"NITRO_{key.upper()}") or data.get(key) for name, key in names.items()}
        return cls(**{name: value for name, value in given.items() if value})


# The variable of the folder in which a server keeps files, and that folder's name beside the project's others.
DATA_DIR: Final = "NITRO_DATA_DIR"
DATA_FOLDER: Final = ".data"
STORAGE_PREFIX: Final = "NITRO_STORAGE__"


class StoragePlace(NamedTuple):
    """`storage.NAME`: where one storage is kept."""

    driver: str = ""
    url: str = ""


class StorageSettings(NamedTuple):
    """`storage`, and what the target has for storages that it does not name.

    Args:
        default: The driver of storages that are not named; empty if the target has no place for them.
        named: Where the others are, by name.
        factories: The drivers that are not built in: name → `module:attribute`.
        at_broker: Whether the broker of the backplane comes before the default, if it keeps values.
    """

    default: str = ""
    named: Mapping[str, StoragePlace] = MappingProxyType({})
    factories: Mapping[str, str] = MappingProxyType({})
    at_broker: bool = True

    @classmethod
    def from_json(cls, data: Mapping[str, Any], environ: Mapping[str, str]) -> StorageSettings:
        """Make the settings from a manifest's; `NITRO_STORAGE__NAME__URL` and `…__DRIVER` replace them."""
        named = {name: StoragePlace(**place) for name, place in data.get("storage", {}).items()}
        for variable in environ:
            name, _, field = variable.removeprefix(STORAGE_PREFIX).lower().rpartition("__")
            if variable.startswith(STORAGE_PREFIX) and field in StoragePlace._fields and environ[variable]:
                named[name] = named.get(name, StoragePlace())._replace(**{field: environ[variable]})
        return cls(
            data.get("default_storage", ""),
            named,
            data.get("storage_drivers", {}),
            data.get("storage_at_broker", True),
        )

    def find(self, name: str, backplane: BackplaneSettings) -> StoragePlace:
        """Return where a storage is kept: as set, at the broker of the backplane, or where the target keeps it.

        Raises:
            ConfigError: None of them is there.
        """
        driver, url = self.named.get(name, StoragePlace())
        if not driver and self.at_broker and backplane.name in BROKER_STORAGES:
            return StoragePlace(backplane.name, url or backplane.url)
        if not (driver or self.default):
            raise ConfigError(
                f"The storage `{name}` has no place: expected a driver in `[storage.{name}]`, got none.",
                hint=f'Write `[storage.{name}]` with `driver = "redis"`, and set '
                f"`{STORAGE_PREFIX}{name.upper()}__URL` where the bundle runs: files that it writes are lost.",
            )
        return StoragePlace(driver or self.default, url)


# The backplanes whose brokers keep values, too: there is a storage driver of the same name.
BROKER_STORAGES: Final = frozenset({"postgres", "redis"})


def check_storage_name(name: str) -> str:
    """Return the name of a storage.

    Raises:
        ValueError: It is none; the message is the phrase that follows "expected" in an error.
    """
    if not (name.isascii() and name.replace("_", "a").isalnum() and name == name.lower()) or "__" in name:
        raise ValueError(f"the name of a storage: lower-case letters, digits and `_` (not `{name}`)")
    return name


class ServerSettings(NamedTuple):
    """`server.*`; times in seconds."""

    grace: float = 8.0
    drain_delay: float = 0.0
    max_connections: int = 0
    block_warning: float = 1.0
    stuck_timeout: float = 60.0
    allowed_hosts: tuple[str, ...] = ()


class LogSettings(NamedTuple):
    """`log.*`."""

    format: LogFormat = "text"
    level: LogLevel | None = None
    levels: Mapping[str, LogLevel] = MappingProxyType({})

    @classmethod
    def from_json(cls, data: Mapping[str, Any], environ: Mapping[str, str]) -> LogSettings:
        """Make the settings from a manifest's; variables of the environment replace them."""
        format, level, levels = cls(**data)
        format = read_choice(environ, "NITRO_LOG", LOG_FORMATS, format)
        format = read_choice(environ, "NITRO_LOG__FORMAT", LOG_FORMATS, format)
        level = read_choice(environ, "NITRO_LOG__LEVEL", LOG_LEVELS, level)
        for name in environ:
            if name.startswith(LOG_LEVELS_PREFIX):
                levels = {**levels, name_logger(name): read_choice(environ, name, LOG_LEVELS, "info")}
        return cls(format, level, levels)


def name_logger(variable: str) -> str:
    """Return the name of the logger whose level a variable sets.

    Example:
        >>> name_logger("NITRO_LOG__LEVELS__SHOP__PRICES")
        'shop.prices'
    """
    name = variable.removeprefix(LOG_LEVELS_PREFIX).replace("__", ".")
    return name.lower() if name.isupper() else name


class Settings(NamedTuple):
    """All settings that ship in a bundle."""

    websocket: WebSocketSettings = WebSocketSettings()
    sse: SseSettings = SseSettings()
    http: HttpSettings = HttpSettings()
    backplane: BackplaneSettings = BackplaneSettings()
    storage: StorageSettings = StorageSettings()
    server: ServerSettings = ServerSettings()
    metrics: bool = False
    log: LogSettings = LogSettings()
    runtime_config: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def from_json(cls, data: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
        """Make the settings from a manifest's.

        Variables of the environment replace those that depend on where the bundle runs: the backplane,
        `storage`, `runtime_config`, `server`, `metrics` and `log`.

        Raises:
            ConfigError: A variable has a value that its setting cannot have.
        """
        websocket = dict(data.get("websocket", {}))
        if "allowed_origins" in websocket:
            websocket["allowed_origins"] = tuple(websocket["allowed_origins"])
        defaults = cls()
        return cls(
            websocket=WebSocketSettings(**websocket),
            sse=SseSettings(**data.get("sse", {})),
            http=HttpSettings(**data.get("http", {})),
            backplane=BackplaneSettings.from_json(data, environ),
            storage=StorageSettings.from_json(data, environ),
            server=read_server(data.get("server", {}), environ),
            metrics=read_bool(environ, "NITRO_METRICS", data.get("metrics", defaults.metrics)),
            log=LogSettings.from_json(data.get("log", {}), environ),
            runtime_config=override(data.get("runtime_config", defaults.runtime_config), environ),
        )


def read_server(data: Mapping[str, Any], environ: Mapping[str, str]) -> ServerSettings:
    """Make `server.*` from a manifest's; a variable of the environment replaces each."""
    given = ServerSettings(**data)
    grace = read_seconds(environ, "NITRO_SERVER__GRACE", given.grace, positive=True)
    delay = read_seconds(environ, "NITRO_SERVER__DRAIN_DELAY", given.drain_delay)
    if delay >= grace:
        raise ConfigError(
            "`server.drain_delay` leaves no time to stop: "
            f"expected less than `server.grace`, {grace:g}, got {delay:g}.",
            hint="Shorten `NITRO_SERVER__DRAIN_DELAY`, or lengthen `NITRO_SERVER__GRACE`.",
        )
    most = read_int(environ, "NITRO_SERVER__MAX_CONNECTIONS", given.max_connections)
    return ServerSettings(
        grace=grace,
        drain_delay=delay,
        max_connections=most,
        block_warning=read_seconds(environ, "NITRO_SERVER__BLOCK_WARNING", given.block_warning),
        stuck_timeout=read_seconds(environ, "NITRO_SERVER__STUCK_TIMEOUT", given.stuck_timeout),
        allowed_hosts=read_hosts(environ, "NITRO_SERVER__ALLOWED_HOSTS", given.allowed_hosts),
    )


def read_hosts(environ: Mapping[str, str], name: str, default: Iterable[str]) -> tuple[str, ...]:
    """Return names of hosts from a variable of the environment: separated by commas, or as JSON.

    Raises:
        ConfigError: The variable has another value.

    Example:
        >>> read_hosts({"HOSTS": "A.test, *.b.test"}, "HOSTS", ())
        ('a.test', '*.b.test')
    """
    text = environ.get(name)
    if text is None:
        return tuple(default)
    # Not needed where no variable is set.
    from nitro_py.runtime.hosts import parse_allowed_host

    try:
        given = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
        return tuple(parse_allowed_host(entry.strip()) for entry in given if entry.strip())
    except (ValueError, AttributeError):
        raise _wrong(name, "hosts separated by commas, without scheme, port and path", text) from None


def override(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return values, replaced by the environment: `NITRO_RUNTIME_CONFIG__DATABASE__URL` for `database.url`.

    Only values that the config names can be replaced. Those that are not strings are read as JSON.
    """
    return {name: _overridden(name, value, RUNTIME_CONFIG_PREFIX, environ) for name, value in values.items()}


def _overridden(name: str, value: Any, prefix: str, environ: Mapping[str, str]) -> Any:
    key = prefix + name.upper()
    if isinstance(value, dict):
        return {inner: _overridden(inner, item, key + "__", environ) for inner, item in value.items()}
    if key not in environ:
        return value
    if isinstance(value, str):
        return environ[key]
    try:
        return json.loads(environ[key])
    except ValueError:
        return environ[key]
