"""The folder `server/` of every preset whose bundle is a server itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from nitro_py.brokers.registry import find_client
from nitro_py.build.bundle.dependencies import pin_requirements
from nitro_py.build.bundle.runtime_files import SERVER_FOLDERS, collect_runtime, merge_files
from nitro_py.build.bundle.templates import fill_part
from nitro_py.build.preset import BuildInput, Bundle, VendoredDependencies
from nitro_py.build.storage import find_storage_imports
from nitro_py.runtime.asgi.public_files import PUBLIC_DIR
from nitro_py.runtime.manifest import MANIFEST_NAME, SERVER, VENDOR

REQUIREMENTS = "requirements.txt"
# What the bundle's own server and runtime import, beside what the handlers import.
SERVER_IMPORTS = frozenset({"httptools", "starlette", "uvicorn", "uvloop", "websockets"})
METRICS_IMPORT = "prometheus_client"


def emit_server(
    build: BuildInput,
    package: str,
    *modules: str,
    imports: frozenset[str] = frozenset(),
    markers: Mapping[str, str] | None = None,
) -> Bundle:
    """Compute a bundle that is started by `python .output/server`, or by any ASGI server.

    Args:
        build: What the emission depends on.
        package: The preset's package, such as `harbor`; its `entry.py` has `main(folder)`.
        modules: Its files that ship beside `entry.py`.
        imports: Modules that the preset needs beside those of the handlers and the server.
        markers: What it runs on where that is not this machine, as `pin_requirements` takes it.
    """
    requirements = pin_server(build, imports=imports, markers=markers)
    own = {
        **collect_runtime(package, "entry.py", *modules, folders=SERVER_FOLDERS),
        **{f"{PUBLIC_DIR}/{path}": data for path, data in build.public.items()},
        MANIFEST_NAME: build.manifest.to_json().encode(),
        REQUIREMENTS: write_requirements(requirements),
        "__main__.py": _fill_template("main.py", package),
        "nitro_server.py": _fill_template("nitro_server.py", package),
    }
    return Bundle(
        files={f"{SERVER}/{path}": data for path, data in merge_files(build.sources, own).items()},
        entry=f"{SERVER}/__main__.py",
        app="nitro_server:app",
        manifest=f"{SERVER}/{MANIFEST_NAME}",
        preview=("python", f"{build.config.output_dir}/{SERVER}"),
        vendor=VendoredDependencies(f"{SERVER}/{VENDOR}", requirements) if build.vendor_dependencies else None,
    )


def pin_server(
    build: BuildInput, *, imports: frozenset[str] = frozenset(), markers: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Pin what the handlers, the server, its metrics, the backplane and the storages need.

    Args:
        build: What the emission depends on.
        imports: Modules that are needed as well.
        markers: What it runs on where that is not this machine, as `pin_requirements` takes it.
    """
    client = find_client(build.config.backplane)
    needed = build.imports | SERVER_IMPORTS | imports | ({client} if client else set())
    needed |= find_storage_imports(build.config)
    if build.config.metrics:
        needed |= {METRICS_IMPORT}
    return pin_requirements(needed, build.declared, markers=markers, local=build.local, locked=build.locked)


def write_requirements(requirements: tuple[str, ...]) -> bytes:
    """Write pins as a file of requirements."""
    return "".join(f"{line}\n" for line in requirements).encode()


def _fill_template(name: str, package: str) -> bytes:
    text = (files("nitro_py.build") / "templates" / f"{name}.txt").read_text(encoding="utf-8")
    return fill_part(text, frozenset(), {"package": package}, {}).encode()
