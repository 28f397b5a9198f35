"""`nitropy deploy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from nitro_py.build.preset_commands import DeployablePreset, Deployment, OptionValues, OutputsRequest
from nitro_py.build.registry import find_preset
from nitro_py.cli.deployed import find_deployed
from nitro_py.cli.failed_build import warn_of_failure
from nitro_py.cli.output import messages, print_json, print_line, print_table
from nitro_py.cli.preset_options import check_options
from nitro_py.cli.project import JsonOption, OutputOption, PresetOption, check_preset, load_project, read_bundle
from nitro_py.cli.stale_bundle import warn_of_stale
from nitro_py.errors import UsageError


def deploy(
    preset: PresetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Apply the changes without asking.")] = False,
    output_dir: OutputOption = None,
    outputs: Annotated[
        bool, typer.Option("--outputs", help="Show what the deployed app is reached by, and deploy nothing.")
    ] = False,
    json: JsonOption = False,
    *,
    options: OptionValues,
) -> None:
    """Show what a deployment changes, and deploy the built bundle."""
    loaded = load_project(output_dir=output_dir)
    if outputs:
        _refuse_with_outputs({"--dry-run": dry_run, "--yes": yes})
        deployed = find_deployed(loaded, preset, options, "deploy")
        _show_outputs(deployed.list_outputs(OutputsRequest(loaded.config, options)), json=json)
        return
    if json:
        raise UsageError("`--json` means nothing without `--outputs`.", hint="Leave it out.")
    built = read_bundle(loaded)
    check_preset(loaded, built, preset)
    warn_of_failure(loaded, built)
    target = find_preset(built.preset, loaded.root)
    check_options(options, target, "deploy")
    if not isinstance(target, DeployablePreset):
        raise UsageError(
            f"The preset `{built.preset}` has nothing to deploy to.",
            hint=f"Copy `{loaded.config.output_dir}` to the machine that runs it.",
        )
    warn_of_stale(loaded, target)
    reached_by = target.deploy(
        Deployment(
            output=loaded.root / loaded.config.output_dir,
            config=loaded.config,
            options=options,
            dry_run=dry_run,
            confirm=lambda question: yes or typer.confirm(question),
            report=lambda text: print_line(text, to=messages),
            show_table=print_table,
        )
    )
    if reached_by:
        _show_outputs(reached_by)


def _refuse_with_outputs(flags: Mapping[str, bool]) -> None:
    for name, given in flags.items():
        if given:
            raise UsageError(f"`{name}` means nothing with `--outputs`.", hint="Leave one of them out.")


def _show_outputs(outputs: Mapping[str, str], *, json: bool = False) -> None:
    if json:
        print_json(dict(sorted(outputs.items())))
    else:
        print_table(("output", "value"), sorted(outputs.items()))
