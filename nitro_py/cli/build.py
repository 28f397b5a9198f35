"""`nitropy build` and `nitropy check`."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from nitro_py.build.config.load import LoadedConfig, Mode
from nitro_py.build.pipeline import Plan, Progress, count_routes, plan_build, write_plan
from nitro_py.build.preset import Bundle, ImagePreset, ImageRequest
from nitro_py.build.write import check_output
from nitro_py.cli.output import format_size, messages, print_json, print_line, print_table, show_progress
from nitro_py.cli.project import BuiltBundle, JsonOption, OutputOption, PresetOption, load_project, read_bundle
from nitro_py.errors import UsageError

# The share of a limit from which the user is warned.
NEAR = 0.8


def list_dependencies(output: Path, bundle: Bundle) -> list[tuple[str, str]]:
    """List the dependencies that were installed into a bundle, the largest first.

    Args:
        output: The folder that was written.
        bundle: What the preset emitted.

    Returns:
        Rows of name with version, and size; none where nothing was installed.
    """
    if bundle.vendor is None:
        return []
    folder = output / bundle.vendor.folder
    sizes = {_name_of(info): _weigh(folder, info) for info in folder.glob("*.dist-info")}
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return [(name, format_size(size)) for name, size in ordered]


def list_warnings(bundle: Bundle, sizes: Mapping[str, int]) -> list[str]:
    """Return which of the target's limits are near.

    Args:
        bundle: What the preset emitted.
        sizes: Path in the bundle → size in bytes.
    """
    warnings = []
    for limit in bundle.limits:
        size = sum(size for path, size in sizes.items() if path == limit.path or path.startswith(f"{limit.path}/"))
        if size >= NEAR * limit.size:
            share = round(100 * size / limit.size)
            warnings.append(
                f"`{limit.path}` has {format_size(size)}, {share}% of {limit.what} ({format_size(limit.size)})."
            )
    return warnings


def _name_of(info: Path) -> str:
    name, _, version = info.name.removesuffix(".dist-info").partition("-")
    return f"{name.replace('_', '-')} {version}"


def _weigh(folder: Path, info: Path) -> int:
    with (info / "RECORD").open(encoding="utf-8", newline="") as record:
        files = [folder / row[0] for row in csv.reader(record) if row]
    return sum(file.stat().st_size for file in files if file.is_file())


ImageWriter = Callable[[Progress], Mapping[str, str]]


def prepare_image(plan: Plan, file: Path | None, base: Path | None) -> ImageWriter:
    """Check what was asked for, before anything is written.

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


# A table with more rows than this is drawn together further.
MOST_ROWS = 24


def build(
    preset: PresetOption = None,
    mode: Annotated[Mode, typer.Option("--mode", help="What the bundle is for.")] = "production",
    vendor: Annotated[bool, typer.Option("--vendor", help="Install the dependencies into the bundle.")] = False,
    oci: Annotated[
        Path | None,
        typer.Option("--oci", metavar="FILE", help="Write the container image as well: an archive."),
    ] = None,
    base: Annotated[
        Path | None, typer.Option("--base", metavar="PATH", help="Base of the image: an OCI layout or archive.")
    ] = None,
    output_dir: OutputOption = None,
    json: JsonOption = False,
) -> None:
    """Build the handlers into a bundle that runs by itself."""
    loaded = load_project(mode, preset=preset, output_dir=output_dir)
    with show_progress() as progress:
        plan = plan_build(loaded, os.environ, vendored=vendor, progress=progress)
        write_image = prepare_image(plan, oci, base)
        sizes = write_plan(plan, progress=progress)
        image = write_image(progress)
    built = read_bundle(loaded)
    if json:
        print_json({**_describe(plan, built, sizes), **({"image": image} if image else {})})
        return
    print_line(f"Preset `{plan.choice.preset.name}` ({plan.choice.reason}), {count_routes(plan.manifest.routes)}")
    print_table(("file", "files", "size"), list_emitted(loaded.config.output_dir, sizes), right=(1, 2))
    dependencies = list_dependencies(plan.output, plan.bundle)
    if dependencies:
        print_line()
        print_table(("dependency", "size"), dependencies, right=(1,))
    if plan.bundle.notes:
        print_line()
    for note in plan.bundle.notes:
        print_line(f"{note}.")
    for warning in list_warnings(plan.bundle, sizes):
        print_line(f"warning: {warning}", style="yellow", to=messages)
    if image:
        print_line()
        print_table(("image", ""), list(image.items()))
    _print_next(loaded, built, output_dir)


def check(preset: PresetOption = None, json: JsonOption = False) -> None:
    """Validate the project, without writing anything."""
    loaded = load_project(preset=preset)
    with show_progress() as progress:
        plan = plan_build(loaded, os.environ, progress=progress)
    check_output(plan.output)
    choice = plan.choice
    if json:
        chosen = {"name": choice.preset.name, "reason": choice.reason}
        print_json({"ok": True, "preset": chosen, "routes": len(plan.manifest.routes)})
        return
    counted = count_routes(plan.manifest.routes)
    print_line(f"All is well: {counted} for the preset `{choice.preset.name}` ({choice.reason}).")


def list_emitted(output: str, sizes: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """List what was emitted: the files near the top, then each folder below as one row, then the sum.

    Args:
        output: The output folder, as it is shown.
        sizes: Path in the bundle → size in bytes.

    Returns:
        Rows of name, number of files and size.

    Example:
        >>> list_emitted("out", {"a.json": 1, "server/x/b.py": 2, "server/x/c.py": 3})
        [('out/a.json', '', '1 B'), ('out/server/x/', '2', '5 B'), ('out/', '3', '6 B')]
    """
    rows = _group(sizes, depth=2)
    if len(rows) > MOST_ROWS:
        rows = _group(sizes, depth=1)
    # Files are read before folders, as in the listing of a directory.
    names = sorted(rows, key=lambda name: (PurePosixPath(name).parent, name.endswith("/"), name))
    listed = []
    for name in names:
        count, size = rows[name]
        listed.append((f"{output}/{name}", str(count) if name.endswith("/") else "", format_size(size)))
    return [*listed, (f"{output}/", str(len(sizes)), format_size(sum(sizes.values())))]


def _group(sizes: Mapping[str, int], depth: int) -> dict[str, tuple[int, int]]:
    rows: dict[str, tuple[int, int]] = {}
    for path, size in sizes.items():
        parts = path.split("/")
        name = path if len(parts) <= depth else "/".join(parts[:depth]) + "/"
        count, total = rows.get(name, (0, 0))
        rows[name] = (count + 1, total + size)
    return rows


def _describe(plan: Plan, built: BuiltBundle, sizes: Mapping[str, int]) -> dict[str, object]:
    return {
        "preset": {"name": plan.choice.preset.name, "reason": plan.choice.reason},
        "mode": plan.manifest.mode,
        "output": plan.loaded.config.output_dir,
        "routes": len(plan.manifest.routes),
        "files": dict(sizes),
        "bytes": sum(sizes.values()),
        "commands": {"preview": built.preview, "deploy": built.deploy},
    }


def _print_next(loaded: LoadedConfig, built: BuiltBundle, output_dir: str | None) -> None:
    flag = "" if output_dir is None else f" --output-dir {shlex.quote(loaded.config.output_dir)}"
    print_line()
    print_line(f"Run it:    nitropy preview{flag}")
    print_line(f"       or: {built.preview}")
    if built.deploy is not None:
        print_line(f"Deploy it: {built.deploy}")
