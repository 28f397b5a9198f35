"""Emits `.output/`: the context that an image is built from, and what runs it on many machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nitro_presets.container.files import PACKAGE, list_imports, render_files
from nitro_presets.container.platforms import find_build_platform
from nitro_py.build.bundle.server import ServerPreset, emit_server
from nitro_py.build.preset import BuildInput, Bundle, ImageRequest


@dataclass(frozen=True, slots=True)
class ContainerPreset(ServerPreset):
    """Builds for whatever runs containers."""

    name: str = "container"
    summary: str = "a container image, or what builds it, with compose and Kubernetes files for many replicas"

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle."""
        # The image is Linux, whatever builds it.
        platform = find_build_platform()
        bundle = emit_server(
            build, PACKAGE, "health.py", imports=list_imports(build.config), markers=platform.markers
        )
        vendor = bundle.vendor
        if vendor is not None:
            vendor = replace(vendor, python_version=platform.python, platform=platform.wheels)
        return replace(
            bundle,
            files={**bundle.files, **render_files(build.config, vendored=build.vendor)},
            vendor=vendor,
            notes=(
                f"Build the image: `docker build --tag {build.config.container.image} {build.config.output_dir}`",
                f"Or run two replicas: `docker compose --file {build.config.output_dir}/compose.yaml up --build`",
            ),
        )

    def write_image(self, request: ImageRequest) -> Mapping[str, str]:
        """Write the image itself, from a base image that is there already."""
        from nitro_presets.container.image.build import write_image

        return write_image(request)


preset = ContainerPreset()
