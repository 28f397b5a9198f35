"""Noticing that a bundle is not what a build would write now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nitro_py.build.config.load import LoadedConfig
from nitro_py.build.pipeline import Choice, Plan, plan_build
from nitro_py.build.preset import Preset
from nitro_py.cli.output import print_warning
from nitro_py.errors import NitroError

_SHOWN = 3


def warn_of_stale(loaded: LoadedConfig, preset: Preset) -> None:
    """Warn if the sources or the settings have changed since the bundle was built.

    Contents are compared, not times: a checkout changes times, and a setting changes no time of a source.
    """
    output = loaded.root / loaded.config.output_dir
    hint = f"`nitropy build --preset {preset.name}` builds it anew"
    try:
        plan = plan_build(loaded, Choice(preset, "the bundle's"))
    except NitroError as error:
        reason = error.message.splitlines()[0].rstrip(".")
        print_warning(f"Nothing tells whether the bundle is stale: the project cannot be built now: {reason}.")
        return
    changed = sorted(list_changed(plan, output))
    if changed:
        named = ", ".join(f"`{path}`" for path in changed[:_SHOWN])
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        print_warning(f"The bundle is stale: a build would change {named}{more}; {hint}.")


def list_changed(plan: Plan, output: Path) -> Iterator[str]:
    """List the files of a bundle that are not as a build would write them, but for dependencies."""
    for path, data in plan.bundle.files.items():
        try:
            same = (output / path).read_bytes() == data
        except OSError:
            same = False
        if not same:
            yield path
