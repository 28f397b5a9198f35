"""The preset: `.output/` has the context that an image is built from, and what runs it on many machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nitro_presets.container.files import PACKAGE, list_imports, render_files
from nitro_presets.container.platforms import find_build_platform
from nitro_presets.container.settings import ContainerSettings
from nitro_py.errors import UsageError
from nitro_py.preset import (
    LOCAL,
    Artifact,
    BuildInput,
    Bundle,
    Command,
    Option,
    OptionValues,
    ServerPreset,
    WrittenBundle,
    emit_server,
)

OCI = Option[Path | None]("--oci", Path, None, "Write the container image as well: an archive.", "FILE")
BASE = Option[Path | None]("--base", Path, None, "Base of the image: an OCI layout or archive.", "PATH")


@dataclass(frozen=True, slots=True)
class ContainerPreset(ServerPreset):
    """The preset `container`."""

    name: str = "container"
    summary: str = "a container image, or what builds it, with compose and Kubernetes files for many replicas"
    settings: type[ContainerSettings] = ContainerSettings
    settings_table: str = "container"

    @property
    def options(self) -> Mapping[Command, tuple[Option[Path | None], ...]]:
        """The options of `nitropy build`."""
        return {"build": (OCI, BASE)}

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle."""
        if build.config.backplane == LOCAL:
            raise UsageError(
                "`backplane` does not fit the preset `container`, whose replicas may run on several machines: "
                "expected `memory`, which stands for `redis` there, or a broker, got `local`.",
                hint="Leave `backplane` out: `--workers` in one container needs no setting.",
            )
        # The image is Linux, also where another system builds it.
        platform = find_build_platform()
        bundle = emit_server(
            build, PACKAGE, "health.py", imports=list_imports(build.config), markers=platform.markers
        )
        image = build.config.table(ContainerSettings).image
        vendor = bundle.vendor
        if vendor is not None:
            vendor = replace(vendor, python_version=platform.python, platform=platform.wheels)
        return replace(
            bundle,
            files={**bundle.files, **render_files(build.config, vendored=build.vendor_dependencies)},
            vendor=vendor,
            notes=(
                f"Build the image: `docker build --tag {image} {build.config.output_dir}`",
                f"Or run two replicas: `docker compose --file {build.config.output_dir}/compose.yaml up --build`",
            ),
        )

    def plan_artifact(self, options: OptionValues) -> Artifact | None:
        """Check what `--oci` and `--base` ask for: the image itself, from a base image that is there already."""
        file, base = options.get(OCI), options.get(BASE)
        if file is None:
            if base is not None:
                raise UsageError("`--base` is for an image.", hint="Name the file to write: `--oci FILE.tar`.")
            return None
        if base is None:
            raise UsageError(
                "`--oci` needs the image to build on.",
                hint="Name it by `--base PATH`; "
                "`skopeo copy docker://python:3.13-slim oci:base:latest` makes one.",
            )
        if not base.exists():
            raise UsageError(f"There is no base image `{base}`.", hint="Check the path after `--base`.")
        if file.is_dir():
            raise UsageError(f"`{file}` is a folder.", hint="Name a file after `--oci`, such as `image.tar`.")

        def write(bundle: WrittenBundle) -> Mapping[str, str]:
            from nitro_presets.container.image.build import write_image

            return write_image(bundle, file, base)

        return Artifact("image", write)


preset = ContainerPreset()
