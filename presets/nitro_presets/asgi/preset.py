"""Emits `.output/server/`, which runs by itself or on any ASGI server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nitro_py.build.preset import BuildInput, Bundle
from nitro_py.build.server_bundle import emit_server
from nitro_py.build.settings import NitroConfig
from nitro_py.capabilities import CAPABILITIES, Capability


@dataclass(frozen=True, slots=True)
class AsgiPreset:
    """Builds for a machine with Python."""

    name: str = "asgi"
    summary: str = "a server that runs anywhere Python runs, on uvicorn or any ASGI server"

    def capabilities(self, config: NitroConfig) -> frozenset[Capability]:
        """Gives everything there is."""
        return frozenset(CAPABILITIES)

    def advise(self, capability: Capability) -> str | None:
        """Has nothing to say: nothing is lacking."""
        return None

    def detect(self, environ: Mapping[str, str]) -> str | None:
        """Is never detected: it is what is built when nothing else is."""
        return None

    def emit(self, build: BuildInput) -> Bundle:
        """Computes the bundle."""
        return emit_server(build, "nitro_presets.asgi")


preset = AsgiPreset()
