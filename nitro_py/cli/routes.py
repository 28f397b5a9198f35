"""`nitropy routes`."""

from __future__ import annotations

from nitro_py.build.pipeline import make_manifest
from nitro_py.cli.output import print_json, print_line, print_table, show_progress
from nitro_py.cli.project import JsonOption, load_project
from nitro_py.runtime.manifest import Route


def routes(json: JsonOption = False) -> None:
    """List the routes: method, path, kind and file."""
    loaded = load_project()
    with show_progress() as progress:
        manifest = make_manifest(loaded, progress=progress)
    if json:
        print_json([route._asdict() for route in manifest.routes])
    elif manifest.routes:
        print_table(("method", "path", "kind", "file"), [_describe(route) for route in manifest.routes])
    else:
        print_line(f"`{loaded.config.handlers_dir}` has no routes.")


def _describe(route: Route) -> tuple[str, str, str, str]:
    # A handshake is a GET even if the file's name has another method.
    methods = ", ".join(route.methods) or ("GET" if route.kind == "websocket" else "any")
    return methods, route.path, f"{route.kind}, mounted" if route.mounted else route.kind, route.file
