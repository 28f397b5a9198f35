"""The settings of a project, as pydantic models; their descriptions are what editors show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

from pydantic import BeforeValidator, Field, JsonValue

from nitro_py.build.config.types import (
    Count,
    Folder,
    Globs,
    Hosts,
    LoggerLevel,
    LoggerName,
    Name,
    Names,
    Origins,
    Port,
    Seconds,
    SettingsTable,
    StorageName,
    UrlPath,
)
from nitro_py.capabilities import Mode
from nitro_py.runtime.settings import LOG_FORMATS, LogFormat, LogLevel, Settings

# The limit of `server.block_warning` in development, where a person waits, unless it is set.
DEVELOPMENT_BLOCK_WARNING = 0.2
# The default of `log.level` in development, where a person looks for what the app says.
DEVELOPMENT_LOG_LEVEL: LogLevel = "info"
# What ships has its defaults in the runtime, which reads a manifest without this module.
_SHIPPED_DEFAULTS = Settings()

Table = TypeVar("Table", bound=SettingsTable)
Config = TypeVar("Config", bound="NitroConfig")


class HttpTable(SettingsTable):
    """Limits for HTTP clients."""

    max_body: Count = Field(default=_SHIPPED_DEFAULTS.http.max_body, description="Largest request body, in bytes.")
    max_header: Count = Field(
        default=_SHIPPED_DEFAULTS.http.max_header,
        description="Largest header of a request, its first line included, in bytes.",
    )
    header_timeout: Seconds = Field(
        default=_SHIPPED_DEFAULTS.http.header_timeout,
        description="Seconds for the header of a request to come; 0 = any number.",
    )
    body_timeout: Seconds = Field(
        default=_SHIPPED_DEFAULTS.http.body_timeout,
        description="Seconds without progress while a body is received or sent; 0 = any number.",
    )
    keep_alive: Count = Field(
        default=_SHIPPED_DEFAULTS.http.keep_alive,
        description="Seconds that a connection is kept between two requests; more than a load balancer keeps it "
        "(often 60), or it would send requests into closed connections.",
    )


class BuildTable(SettingsTable):
    """The build: what it waits for, and what ships beside what is imported."""

    import_timeout: Seconds = Field(
        default=10.0, description="Seconds that importing a route file may take; 0 = any number."
    )
    groups: Names = Field(
        default=(),
        description="Dependency groups that ship, beside `default`, `main`, `prod` and `production`.",
        examples=[["web"]],
    )


class ServerTable(SettingsTable):
    """The bundle's own server: how it stops, and how many clients it serves."""

    grace: Annotated[float, Field(gt=0)] = Field(
        default=_SHIPPED_DEFAULTS.server.grace,
        description="Most seconds from SIGTERM to the end; less than what the platform waits before it kills "
        "(often 10 or 30).",
    )
    drain_delay: Seconds = Field(
        default=_SHIPPED_DEFAULTS.server.drain_delay,
        description="Seconds of the grace period in which the server still accepts, for load balancers to notice.",
    )
    max_connections: Annotated[int, Field(ge=0)] = Field(
        default=_SHIPPED_DEFAULTS.server.max_connections,
        description="Most open connections of a process; 0 = as many as it may open files.",
    )
    block_warning: Seconds = Field(
        default=_SHIPPED_DEFAULTS.server.block_warning,
        description="Seconds that code may block all clients before a warning names its route; 0.2 in development "
        "unless it is set; 0 = no warning.",
    )
    stuck_timeout: Seconds = Field(
        default=_SHIPPED_DEFAULTS.server.stuck_timeout,
        description="Seconds without an answer after which one of several workers is replaced; 0 = never.",
    )
    allowed_hosts: Hosts = Field(
        default=_SHIPPED_DEFAULTS.server.allowed_hosts,
        description="Hosts that requests may name: `example.com`, `*.example.com` for every subdomain, or `*` for "
        "all. By default all; `nitropy dev` and `preview` answer to these and to names of this machine only.",
        examples=[["example.com", "*.example.com"]],
    )


class LogTable(SettingsTable):
    """What is logged, and how."""

    format: LogFormat = Field(
        default=_SHIPPED_DEFAULTS.log.format,
        description='Lines of text, or a JSON object a line; `log = "json"` is short for it. A platform that runs '
        "functions decides itself.",
    )
    level: LogLevel | None = Field(
        default=_SHIPPED_DEFAULTS.log.level,
        description="Lowest level that is logged, of all loggers but those of the server and of nitropy-kit; by "
        "default `info` in `nitropy dev` and with JSON, `warning` with text.",
        examples=["info"],
    )
    levels: dict[LoggerName, LoggerLevel] = Field(
        default={},
        description="Levels of single loggers and those below them, by name; `NITRO_LOG__LEVELS__SHOP__PRICES` is "
        "that of `shop.prices`.",
    )


# Tables that may be written as the value of one of their settings.
SHORTHANDS: Final = {"log": ("format", LOG_FORMATS)}


def _check_log(value: object) -> object:
    if not isinstance(value, Mapping | LogTable):
        choices = ", ".join(f'`"{choice}"`' for choice in sorted(LOG_FORMATS))
        raise ValueError(f"one of {choices}, or a table")
    return value


# What a running bundle reads too.
_SHIPPED = (
    "backplane",
    "backplane_prefix",
    "backplane_url",
    "http",
    "log",
    "metrics",
    "runtime_config",
    "server",
    "sse",
    "storage",
    "websocket",
)


class FeatureTable(SettingsTable):
    """Switches for parts of nitropy-kit."""

    websocket: bool = Field(default=False, description="Turns WebSocket handlers on.")


class HmrTable(SettingsTable):
    """The live-reload socket of `nitropy dev`."""

    port: Port | None = Field(
        default=None,
        description="Port of the live-reload socket, 0 for any free one; by default `dev.port` + 2.",
        examples=[3002],
    )
    path: UrlPath | None = Field(
        default=None,
        description="Path of the live-reload socket; needed if it shares its port with the app.",
        examples=["/_nitro/hmr"],
    )


class DevTable(SettingsTable):
    """What `nitropy dev` listens on."""

    host: Name = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=3000, description="Port to listen on; 0 takes any free one.")
    hmr: HmrTable = Field(default=HmrTable(), description="The live-reload socket.")

    @property
    def hmr_port(self) -> int:
        """The port of the live-reload socket, 0 for any free one.

        Example:
            >>> DevTable(port=4000).hmr_port
            4002
        """
        if self.hmr.port is not None:
            return self.hmr.port
        return self.port + 2 if self.port else 0


class WebSocketTable(SettingsTable):
    """Limits for WebSocket connections."""

    allowed_origins: Origins = Field(
        default=_SHIPPED_DEFAULTS.websocket.allowed_origins,
        description="Origins that may connect besides the app's own host: `scheme://host[:port]`, "
        "`*.example.com` for every subdomain over https (`http://*.example.com` over http), or `*` for all.",
        examples=[["https://example.com", "*.example.com"]],
    )
    max_message: Count = Field(
        default=_SHIPPED_DEFAULTS.websocket.max_message, description="Largest message a peer may send, in bytes."
    )
    max_queue: Count = Field(
        default=_SHIPPED_DEFAULTS.websocket.max_queue,
        description="Unread messages of a peer past which reading from it pauses.",
    )
    idle_timeout: Seconds = Field(
        default=_SHIPPED_DEFAULTS.websocket.idle_timeout,
        description="Seconds of silence before a peer is pinged, and closed if no answer comes; 0 = never.",
    )
    buffer_limit: Count = Field(
        default=_SHIPPED_DEFAULTS.websocket.buffer_limit,
        description="Unsent bytes past which a slow subscriber is closed with 1013.",
    )
    compression: bool = Field(
        default=_SHIPPED_DEFAULTS.websocket.compression, description="Offers permessage-deflate to clients."
    )


class SseTable(SettingsTable):
    """Event streams."""

    heartbeat: Seconds = Field(
        default=_SHIPPED_DEFAULTS.sse.heartbeat,
        description="Seconds between comments that keep a stream open; 0 = none.",
    )


class StorageTable(SettingsTable):
    """Where one storage is kept."""

    driver: str = Field(
        default="",
        description="Where it is kept: `memory`, `sqlite`, `redis`, `postgres`, what the target offers, or the "
        "name of an installed driver; by default where the target keeps storages. "
        "`NITRO_STORAGE__NAME__DRIVER` overrides it when the bundle runs.",
        examples=["sqlite"],
    )
    url: str = Field(
        default="",
        description="URL of the store; `NITRO_STORAGE__NAME__URL` overrides it when the bundle runs, and is the "
        "place for one with a password.",
        examples=["sqlite:app.sqlite3"],
    )


class NitroConfig(SettingsTable):
    """Every setting of a project, checked.

    Example:
        >>> NitroConfig.model_validate({"features": {"websocket": True}}).websocket_enabled
        True
    """

    preset: Name | None = Field(
        default=None,
        description="Preset to build with: a name, or a folder of the project; by default it is detected.",
        examples=["asgi"],
    )
    handlers_dir: Folder = Field(default="handlers", description="Folder of the route files.")
    ignore: Globs = Field(
        default=(),
        description="Globs of files that are not routes, relative to `handlers_dir`.",
        examples=[["**/*_test.py"]],
    )
    public_dir: Folder = Field(default="public", description="Folder of the files served as they are.")
    output_dir: Folder = Field(default=".output", description="Folder that a build writes.")
    include: Globs = Field(
        default=(),
        description="Globs of further project files that travel in the bundle, relative to the project.",
        examples=[["templates/**"]],
    )
    runtime_config: dict[str, JsonValue] = Field(
        default={},
        description="The app's own values; `NITRO_RUNTIME_CONFIG__KEY` overrides one when the bundle runs. "
        "Never a secret: leave it empty here.",
    )
    backplane: Name = Field(
        default=_SHIPPED_DEFAULTS.backplane.name,
        description="What carries topics between processes: `memory` for one process, `local` for the workers "
        "of one machine, which also have it in the place of `memory`, `redis`, `nats`, `postgres`, or the name of "
        "an installed backplane; `NITRO_BACKPLANE` overrides it when the bundle runs.",
        examples=["redis"],
    )
    backplane_url: str = Field(
        default=_SHIPPED_DEFAULTS.backplane.url,
        description="URL of the backplane's broker; `NITRO_BACKPLANE_URL` overrides it when the bundle runs, and "
        "is the place for one with a password.",
        examples=["redis://localhost:6379"],
    )
    backplane_prefix: Name = Field(
        default=_SHIPPED_DEFAULTS.backplane.prefix,
        description="Prefix of the topics at the broker: apps that share a broker need different ones. "
        "`NITRO_BACKPLANE_PREFIX` overrides it when the bundle runs.",
        examples=["shop"],
    )
    storage: dict[StorageName, StorageTable] = Field(
        default={},
        description="Where storages are kept, by name: `[storage.default]` with `driver` and `url`. Others are "
        "where the target keeps them: `nitropy dev` and the preset `asgi` in `.data/`. "
        "`NITRO_STORAGE__NAME__URL` overrides a URL when the bundle runs.",
    )
    experimental: FeatureTable = Field(default=FeatureTable(), description="Features that may still change.")
    features: FeatureTable = Field(default=FeatureTable(), description="The same switches as `experimental`.")
    dev: DevTable = Field(default=DevTable(), description="The development server.")
    websocket: WebSocketTable = Field(default=WebSocketTable(), description="WebSocket connections.")
    sse: SseTable = Field(default=SseTable(), description="Server-sent events.")
    http: HttpTable = Field(default=HttpTable(), description="HTTP requests.")
    build: BuildTable = Field(default=BuildTable(), description="The build itself.")
    server: ServerTable = Field(default=ServerTable(), description="The bundle's own server.")
    metrics: bool = Field(
        default=_SHIPPED_DEFAULTS.metrics,
        description="Serves figures for Prometheus at `/_nitro/metrics`; needs the extra `metrics`.",
    )
    log: Annotated[LogTable, BeforeValidator(_check_log, json_schema_input_type=LogTable | LogFormat)] = Field(
        default=LogTable(), description="The log; a format alone is short for `format`.", examples=["json"]
    )

    @property
    def websocket_enabled(self) -> bool:
        """Whether WebSocket handlers are turned on, under either name."""
        return self.experimental.websocket or self.features.websocket

    def table(self, model: type[Table]) -> Table:
        """Return the settings of a preset.

        Args:
            model: What the preset names as its `settings`.

        Returns:
            Its table of the configuration, or its defaults where the configuration has none.
        """
        tables = (getattr(self, name) for name in type(self).model_fields)
        return next((table for table in tables if type(table) is model), None) or model()


def runtime_settings(config: NitroConfig, mode: Mode = "production") -> dict[str, JsonValue]:
    """Pick the settings that ship in the manifest.

    Args:
        config: The settings of the build.
        mode: The mode of the build.

    Returns:
        What the runtime's `Settings` reads, with lists in place of tuples.

    Example:
        >>> runtime_settings(NitroConfig())["sse"]
        {'heartbeat': 15.0}
    """
    return add_mode_defaults(config, mode).model_dump(mode="json", include=set(_SHIPPED))


def add_mode_defaults(config: Config, mode: Mode) -> Config:
    """Return the settings with the defaults that only one mode has.

    Args:
        config: The settings.
        mode: The mode.
    """
    if mode == "production":
        return config
    server, log = config.server, config.log
    if "block_warning" not in server.model_fields_set:
        server = server.model_copy(update={"block_warning": DEVELOPMENT_BLOCK_WARNING})
    if log.level is None:
        log = log.model_copy(update={"level": DEVELOPMENT_LOG_LEVEL})
    return config.model_copy(update={"server": server, "log": log})
