"""The preset: `.output/server/`, which runs by itself or on any ASGI server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nitro_py.preset import BuildInput, Bundle, ServerPreset, emit_server


@dataclass(frozen=True, slots=True)
class AsgiPreset(ServerPreset):
    """The preset `asgi`."""

    name: str = "asgi"
    summary: str = "a server that runs anywhere Python runs, on uvicorn or any ASGI server"
    # It writes beside where it is started: all processes of a machine share that.
    default_storage: str = "sqlite"

    @property
    def storage_drivers(self) -> Mapping[str, str]:
        """No drivers of its own."""
        return {}

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle."""
        return emit_server(build, "nitro_presets.asgi")


preset = AsgiPreset()
