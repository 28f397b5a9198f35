"""Emits `.output/server/`, which runs by itself or on any ASGI server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from nitro_py.build.dependencies import pin_requirements
from nitro_py.build.preset import BuildInput, Bundle, Vendor, merge_files
from nitro_py.build.runtime_files import collect_runtime
from nitro_py.build.settings import NitroConfig
from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.runtime.manifest import MANIFEST_NAME

SERVER = "server"
PUBLIC = "public"
VENDOR = "vendor"
# What the bundle's own server and runtime import, beside what the handlers import.
SERVER_IMPORTS = frozenset({"httptools", "starlette", "uvicorn", "uvloop", "wsproto"})


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
        requirements = pin_requirements(build.imports | SERVER_IMPORTS, build.extras)
        own = {
            **collect_runtime("nitro_presets.asgi", "entry.py"),
            **{f"{PUBLIC}/{path}": data for path, data in build.public.items()},
            MANIFEST_NAME: build.manifest.to_json().encode(),
            "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
            "__main__.py": _template("main.py"),
            "nitro_server.py": _template("nitro_server.py"),
        }
        return Bundle(
            files={f"{SERVER}/{path}": data for path, data in merge_files(build.sources, own).items()},
            entry=f"{SERVER}/__main__.py",
            app="nitro_server:app",
            manifest=f"{SERVER}/{MANIFEST_NAME}",
            preview=("python", f"{build.config.output_dir}/{SERVER}"),
            vendor=Vendor(f"{SERVER}/{VENDOR}", requirements) if build.vendor else None,
        )


def _template(name: str) -> bytes:
    return (files("nitro_presets.asgi") / "templates" / f"{name}.txt").read_bytes()


preset = AsgiPreset()
