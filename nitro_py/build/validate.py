"""Comparing what a manifest asks for with the configuration and with what the target can do."""

from __future__ import annotations

from nitro_py.build.config.load import LoadedConfig, check_config
from nitro_py.build.inspect.load import raise_all
from nitro_py.build.preset import Alternative, Preset
from nitro_py.capabilities import Capability
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import Manifest
from nitro_py.runtime.routing.router import Router


def validate(manifest: Manifest, loaded: LoadedConfig, preset: Preset) -> None:
    """Refuse what cannot work, before anything is written.

    Args:
        manifest: What the bundle would serve.
        loaded: The configuration.
        preset: The target.

    Raises:
        BuildError: A WebSocket route without the flag, or a route that needs what the target cannot do.
        ConfigError: Live reload would meet one of the app's routes.
    """
    raise_all([*check_flag(manifest, loaded), *_check_capabilities(manifest, loaded, preset)])
    router = Router(manifest.routes)

    def serves(path: str) -> str | None:
        route = router.serves(path)
        return route.file if route else None

    check_config(loaded, serves)


def check_flag(manifest: Manifest, loaded: LoadedConfig) -> list[BuildError]:
    """Find the routes with sockets of a project that has not switched WebSocket on."""
    if loaded.config.websocket_enabled:
        return []
    source = loaded.source or "nitro.toml"
    found = [route for route in manifest.routes if {"websocket", "websocket.mounted"} & {*route.requires}]
    table = "[tool.nitropy.experimental]" if source == "pyproject.toml" else "[experimental]"
    return [
        BuildError(
            f"`{route.file}` {'mounts' if route.mounted else 'is'} a WebSocket route, and WebSocket is off.",
            file=route.file,
            hint=f"Add these two lines to `{source}`:\n    {table}\n    websocket = true",
        )
        for route in found
    ]


def _check_capabilities(manifest: Manifest, loaded: LoadedConfig, preset: Preset) -> list[BuildError]:
    able = preset.capabilities(loaded.config)
    problems = []
    for route in manifest.routes:
        lacking: list[Capability] = sorted(set(route.requires) - able)
        if lacking:
            advice = [text for name in lacking if (text := preset.advise(name)) is not None]
            # A setting that gives one capability does not help a route that needs an impossible one, too.
            advice = [text for text in advice if isinstance(text, Alternative)] or advice
            can = ", ".join(f"`{name}`" for name in sorted(able))
            problems.append(
                BuildError(
                    f"The route `{route.path}` needs {', '.join(f'`{name}`' for name in lacking)}, "
                    f"which the preset `{preset.name}` cannot do.",
                    file=route.file,
                    hint=" ".join(advice) or f"`{preset.name}` can do: {can}.",
                )
            )
    return problems
