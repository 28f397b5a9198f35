"""What a bundle weighs: its dependencies one by one, and how near it is to its target's limits."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from nitro_py.build.preset import Bundle
from nitro_py.cli.output import format_size

# The share of a limit from which the user is warned.
NEAR = 0.8


def list_dependencies(output: Path, bundle: Bundle) -> list[tuple[str, str]]:
    """Lists the dependencies that were installed into a bundle, the largest first.

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
    """Says which of the target's limits are near.

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
