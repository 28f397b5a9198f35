"""Making the image: the base, the dependencies, the app."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from nitro_presets.container.entry import DEFAULT_PORT
from nitro_presets.container.files import PROBE, UNPRIVILEGED_UID, list_imports, name_app
from nitro_presets.container.image.archive import write_image_archive, write_layer
from nitro_presets.container.image.base import BaseImage, open_base
from nitro_presets.container.image.config import ImageOptions, make_config
from nitro_presets.container.image.detect_platform import find_platform
from nitro_presets.container.platforms import find_build_platform
from nitro_presets.container.settings import ContainerSettings
from nitro_py.errors import BuildError
from nitro_py.preset import (
    REQUIREMENTS,
    SERVER,
    VENDOR,
    WrittenBundle,
    build_python,
    compile_modules,
    format_size,
    open_installed,
    pin_server,
    write_requirements,
)

HOME = "/app"
PLACE = f"{HOME}/{SERVER}"


def write_image(bundle: WrittenBundle, file: Path, base: Path) -> Mapping[str, str]:
    """Write the image of a bundle, all or nothing; the same input gives the same bytes.

    Args:
        bundle: The bundle.
        file: The archive to write.
        base: The base image: a folder or an archive.

    Returns:
        What the image is, name by name.

    Raises:
        UsageError: The base is none, or does not fit.
        BuildError: A dependency cannot be installed, the file cannot be written, or there is no room for the work.
    """
    bundle.report(f"Checking the base image `{base.name}`")
    try:
        with (
            open_base(base, find_build_platform().architecture) as opened,
            tempfile.TemporaryDirectory() as folder,
        ):
            return _write(bundle, file, opened, Path(folder))
    except OSError as error:
        # What copies a folder lists every file that it could not copy.
        reason = error.args[0][0][-1] if isinstance(error, shutil.Error) else error.strerror
        raise BuildError(
            f"The image cannot be made in `{tempfile.gettempdir()}`: {reason}.",
            hint="Make room there, or set `TMPDIR` to a folder that has some; the bundle itself is written.",
        ) from error


def _write(bundle: WrittenBundle, file: Path, base: BaseImage, scratch: Path) -> Mapping[str, str]:
    platform = find_platform(base)
    server = bundle.output / SERVER
    dependencies, app = scratch / "dependencies", scratch / "app"
    # Another Python may need other packages than the build's own.
    requirements = pin_server(bundle.build, imports=list_imports(bundle.build.config), markers=platform.markers)
    what = f"{len(requirements)} dependencies for Python {platform.python}, {platform.wheels}"
    with open_installed(
        requirements,
        python_version=platform.python,
        platform=platform.wheels,
        installing=lambda: bundle.report(f"Installing {what}"),
    ) as installed:
        shutil.copytree(installed, dependencies / VENDOR)
    shutil.copytree(server, app, ignore=_ignore_at(server, VENDOR))
    (app / REQUIREMENTS).write_bytes(write_requirements(requirements))
    if platform.python == build_python():
        bundle.report("Compiling")
        for tree in (dependencies, app):
            compile_modules(tree, home=PLACE)
    bundle.report(f"Writing `{file.name}`")
    layers = {
        "dependencies": write_layer(dependencies, PLACE, scratch / "dependencies.gz"),
        "app": write_layer(app, PLACE, scratch / "app.gz"),
    }
    image = bundle.build.config.table(ContainerSettings).image
    options = ImageOptions(name_app(image), PLACE, HOME, UNPRIVILEGED_UID, DEFAULT_PORT, PROBE)
    annotations = {} if base.digest is None else {"org.opencontainers.image.base.digest": base.digest}
    digest = write_image_archive(
        file,
        image=image,
        document=make_config(base, layers, options),
        layers=(*base.layers, *layers.values()),
        annotations=annotations,
    )
    sizes = {f"layer of the {what}": format_size(layer.descriptor.size) for what, layer in layers.items()}
    return {
        "file": f"{file} ({format_size(file.stat().st_size)})",
        "image": image,
        "digest": digest,
        "platform": f"linux/{base.architecture}, Python {platform.python}{', musl' if platform.musl else ''}",
        "byte code": "yes" if platform.python == build_python() else f"no: this is Python {build_python()}",
        **sizes,
    }


def _ignore_at(folder: Path, name: str) -> Callable[[str, list[str]], set[str]]:
    def ignore(place: str, names: list[str]) -> set[str]:
        return {name} if Path(place) == folder else set()

    return ignore
