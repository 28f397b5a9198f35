"""`nitropy build` and `nitropy check`."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from nitro_py.build.config.load import LoadedConfig, Mode
from nitro_py.build.pipeline import Plan, choose_preset, count_routes, plan_build, weigh, write_plan
from nitro_py.build.preset import Bundle
from nitro_py.build.preset_commands import ArtifactPreset, OptionValues, WrittenBundle
from nitro_py.build.write import check_output, format_size
from nitro_py.cli.failed_build import noting_failure
from nitro_py.cli.output import print_json, print_line, print_note, print_table, print_warning, show_progress
from nitro_py.cli.preset_options import check_options
from nitro_py.cli.project import BuiltBundle, JsonOption, OutputOption, PresetOption, load_project, read_bundle

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
        size = weigh(sizes, limit.path)
        if size >= NEAR * limit.size:
            share = round(100 * size / limit.size)
            warnings.append(
                f"`{limit.path}` has {format_size(size)}, {share}% of {limit.label} ({format_size(limit.size)})."
            )
    return warnings


def _name_of(info: Path) -> str:
    name, _, version = info.name.removesuffix(".dist-info").partition("-")
    return f"{name.replace('_', '-')} {version}"


def _weigh(folder: Path, info: Path) -> int:
    with (info / "RECORD").open(encoding="utf-8", newline="") as record:
        files = [folder / row[0] for row in csv.reader(record) if row]
    return sum(file.stat().st_size for file in files if file.is_file())


# A table with more rows than this is drawn together further.
MAX_ROWS = 24


def build(
    preset: PresetOption = None,
    mode: Annotated[Mode, typer.Option("--mode", help="Mode of the bundle.")] = "production",
    vendor: Annotated[bool, typer.Option("--vendor", help="Install the dependencies into the bundle.")] = False,
    output_dir: OutputOption = None,
    json: JsonOption = False,
    *,
    options: OptionValues,
) -> None:
    """Build the handlers into a bundle that runs by itself."""
    loaded = load_project(mode, preset=preset, output_dir=output_dir)
    with noting_failure(loaded), show_progress() as progress:
        choice = choose_preset(loaded, os.environ)
        check_options(options, choice.preset, "build")
        plan = plan_build(loaded, choice, vendored=vendor, progress=progress)
        artifact = choice.preset.plan_artifact(options) if isinstance(choice.preset, ArtifactPreset) else None
        sizes = write_plan(plan, progress=progress)
        made = artifact.write(WrittenBundle(plan.output, plan.build, progress)) if artifact else {}
    built = read_bundle(loaded)
    if json:
        print_json({**_describe(plan, built, sizes), **({artifact.kind: made} if artifact else {})})
        return
    print_line(f"Preset `{plan.choice.preset.name}` ({plan.choice.reason}), {count_routes(plan.manifest.routes)}")
    print_table(("file", "files", "size"), list_emitted(loaded.config.output_dir, sizes), right=(1, 2))
    dependencies = list_dependencies(plan.output, plan.bundle)
    if dependencies:
        print_line()
        print_table(("dependency", "size"), dependencies, right=(1,))
    notes = (*plan.bundle.notes, *plan.notes)
    if notes:
        print_line()
    for note in notes:
        print_line(f"{note}.")
    for warning in (*(f"{warning}." for warning in plan.warnings), *list_warnings(plan.bundle, sizes)):
        print_warning(warning)
    if artifact:
        print_line()
        print_table((artifact.kind, ""), list(made.items()))
    _print_next(loaded, built, output_dir)


def check(preset: PresetOption = None, json: JsonOption = False) -> None:
    """Validate the project, without writing anything."""
    loaded = load_project(preset=preset)
    with show_progress() as progress:
        plan = plan_build(loaded, choose_preset(loaded, os.environ), progress=progress)
    check_output(plan.output)
    choice = plan.choice
    if json:
        chosen = {"name": choice.preset.name, "reason": choice.reason}
        routes = len(plan.manifest.routes)
        print_json({"ok": True, "preset": chosen, "routes": routes, "notes": plan.remarks})
        return
    for note in (*plan.bundle.notes, *plan.notes):
        print_note(f"{note}.")
    for warning in plan.warnings:
        print_warning(f"{warning}.")
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
    if len(rows) > MAX_ROWS:
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
        "notes": plan.remarks,
        "commands": {"preview": built.preview, "deploy": built.deploy},
    }


def _print_next(loaded: LoadedConfig, built: BuiltBundle, output_dir: str | None) -> None:
    flag = "" if output_dir is None else f" --output-dir {shlex.quote(loaded.config.output_dir)}"
    print_line()
    print_line(f"Run it:    nitropy preview{flag}")
    print_line(f"       or: {built.preview}")
    if built.deploy is not None:
        print_line(f"Deploy it: {built.deploy}")
