"""What `nitropy build --oci` does beyond a build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from nitro_py.build.pipeline import Plan, Progress
from nitro_py.build.preset import ImagePreset, ImageRequest
from nitro_py.errors import UsageError

ImageWriter = Callable[[Progress], Mapping[str, str]]


def prepare_image(plan: Plan, file: Path | None, base: Path | None) -> ImageWriter:
    """Checks what was asked for, before anything is written.

    Args:
        plan: The build.
        file: The archive that the image shall be written to, if one was asked for.
        base: The image to build on.

    Returns:
        What writes the image of the bundle that the build wrote, and says what it is; nothing where none was
        asked for.

    Raises:
        UsageError: The preset makes no images, or one of the two options lacks the other.
    """
    if file is None:
        if base is not None:
            raise UsageError("`--base` is for an image.", hint="Name the file to write: `--oci FILE.tar`.")
        return lambda progress: {}
    preset = plan.choice.preset
    if not isinstance(preset, ImagePreset):
        message = f"The preset `{preset.name}` makes no images, which `--oci` asks for."
        raise UsageError(message, hint="Build with `--preset container`.")
    if base is None:
        raise UsageError(
            "`--oci` needs the image to build on.",
            hint="Name it by `--base PATH`; `skopeo copy docker://python:3.13-slim oci:base:latest` makes one.",
        )
    if not base.exists():
        raise UsageError(f"There is no base image `{base}`.", hint="Check the path after `--base`.")
    if file.is_dir():
        raise UsageError(f"`{file}` is a folder.", hint="Name a file after `--oci`, such as `image.tar`.")

    def write(progress: Progress) -> Mapping[str, str]:
        return preset.write_image(ImageRequest(plan.output, plan.build, base, file, progress))

    return write
