"""The preset: `.output/server/`, which runs by itself or on any ASGI server."""

from __future__ import annotations

from dataclasses import dataclass

from nitro_py.preset import BuildInput, Bundle, ServerPreset, emit_server


@dataclass(frozen=True, slots=True)
class AsgiPreset(ServerPreset):
    """The preset `asgi`."""

    name: str = "asgi"
    summary: str = "a server that runs anywhere Python runs, on uvicorn or any ASGI server"

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle."""
        return emit_server(build, "nitro_presets.asgi")


preset = AsgiPreset()
