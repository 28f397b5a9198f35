"""The manifest of a bundle: its routes and settings, as a typed and versioned JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from nitro_py.errors import NitroError

if TYPE_CHECKING:
    from nitro_py.capabilities import Capability, Kind, Mode, RouteMode

MANIFEST_NAME = "manifest.json"
# The names of what a bundle holds: its description, the folder that runs, and dependencies in that folder.
INFO_NAME = "nitro.json"
SERVER = "server"
VENDOR = "vendor"
MANIFEST_VERSION = 2


class Route(NamedTuple):
    """A route file.

    Args:
        path: The path in the syntax of file names: `/api/users/[id]`.
        kind: The kind of the file's handler.
        methods: The methods that it serves, sorted; none means every method.
        file: The file, relative to the project.
        mode: The mode that the file is for.
        hooks: The names of the WebSocket hooks that are defined.
        requires: The capabilities that the target must have.
        mounted: Whether it is an ASGI application, which serves every path below its own too.
        hash: SHA-256 of the file's bytes.
    """

    path: str
    kind: Kind
    methods: tuple[str, ...]
    file: str
    mode: RouteMode = "all"
    hooks: tuple[str, ...] = ()
    requires: tuple[Capability, ...] = ()
    mounted: bool = False
    hash: str = ""


class Manifest(NamedTuple):
    """The content of a bundle: routes, middleware, plugins, public files and settings.

    Args:
        mode: The mode that the bundle was built for.
        routes: The routes, sorted by path and file.
        middleware: Middleware files in the order in which they run.
        plugins: Plugin files in the order in which they start.
        public: The paths of public files, each with a leading slash → the hash of the content.
        settings: The part of the configuration that ships.
    """

    mode: Mode
    routes: tuple[Route, ...]
    middleware: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    public: Mapping[str, str] = MappingProxyType({})
    settings: Mapping[str, Any] = MappingProxyType({})

    def to_json(self) -> str:
        """Return the manifest as JSON text; equal manifests have equal texts."""
        routes = [route._asdict() for route in self.routes]
        values = {
            **self._asdict(),
            "version": MANIFEST_VERSION,
            "routes": routes,
            "public": dict(self.public),
            "settings": dict(self.settings),
        }
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Make a manifest from its JSON text.

        Raises:
            NitroError: The text has another version.
        """
        data = json.loads(text)
        if data["version"] != MANIFEST_VERSION:
            raise NitroError(
                f"The manifest has another version: expected {MANIFEST_VERSION}, got {data['version']}.",
                file=MANIFEST_NAME,
                hint="Build the bundle again with this version of nitropy-kit.",
            )
        return cls(
            mode=cast("Mode", data["mode"]),
            routes=tuple(_route(item) for item in data["routes"]),
            middleware=tuple(data["middleware"]),
            plugins=tuple(data["plugins"]),
            public=dict(data["public"]),
            settings=data["settings"],
        )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle's folder.

    Raises:
        NitroError: The manifest is missing, broken, or has another version.
    """
    try:
        return Manifest.from_json((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"is broken: {type(error).__name__}: {error}"
    raise NitroError(f"The manifest {reason}.", file=str(folder / MANIFEST_NAME), hint="Build the bundle again.")


def _route(item: dict[str, Any]) -> Route:
    for name in ("methods", "hooks", "requires"):
        item[name] = tuple(item[name])
    return Route(**item)
