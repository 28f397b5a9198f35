"""The build, from files to a bundle: scan, load, validate, emit, write."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Callable, Mapping, Sized
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nitro_py import __version__
from nitro_py.build.bundle.dependencies import find_declared
from nitro_py.build.bundle.installed import open_installed
from nitro_py.build.bundle.package import pack
from nitro_py.build.bundle.pyproject import check_python
from nitro_py.build.bundle.sources import collect_public, collect_sources
from nitro_py.build.config.load import LoadedConfig, check_included
from nitro_py.build.config.settings import runtime_settings
from nitro_py.build.inspect.load import load_routes
from nitro_py.build.preset import BuildInput, Bundle, Preset
from nitro_py.build.registry import find_preset, list_presets
from nitro_py.build.scan import scan_handlers
from nitro_py.build.validate import validate
from nitro_py.build.write import write_bundle
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import INFO_NAME, Manifest

DEFAULT_PRESET = "asgi"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """The preset that was chosen, and why."""

    preset: Preset
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A build that was checked and could be written.

    Args:
        loaded: The configuration.
        choice: The preset, and why.
        build: What the emission depended on.
        bundle: What the preset emitted, with `nitro.json`.
    """

    loaded: LoadedConfig
    choice: Choice
    build: BuildInput
    bundle: Bundle

    @property
    def manifest(self) -> Manifest:
        """What the bundle serves."""
        return self.build.manifest

    @property
    def output(self) -> Path:
        """The folder that the bundle is written to."""
        return self.loaded.root / self.loaded.config.output_dir


def choose_preset(loaded: LoadedConfig, environ: Mapping[str, str]) -> Choice:
    """Choose the preset: command line, `NITRO_PRESET`, configuration, detected platform, `asgi`.

    Raises:
        BuildError: The preset is unknown or broken.
    """
    name = loaded.config.preset
    if name is not None:
        place = loaded.place("preset")
        try:
            return Choice(find_preset(name, loaded.root), f"set by {place.source}")
        except BuildError as error:
            raise BuildError(error.message, file=place.file, line=place.line, hint=error.hint) from error
    for candidate in list_presets():
        preset = find_preset(candidate, loaded.root)
        variable = preset.detect(environ)
        if variable is not None:
            return Choice(preset, f"`{variable}` is set in the environment")
    return Choice(find_preset(DEFAULT_PRESET, loaded.root), "the default")


def make_manifest(loaded: LoadedConfig, *, progress: Progress = lambda stage: None) -> Manifest:
    """Scan and load a project's handlers.

    Args:
        loaded: The configuration.
        progress: Called with each stage that begins.

    Raises:
        BuildError: The handlers cannot be built.
    """
    config = loaded.config
    check_python(loaded.root)
    progress("Scanning handlers")
    scan = scan_handlers(loaded.root, config.handlers_dir, config.ignore, loaded.mode)
    progress(f"Loading {count_routes(scan.routes)}")
    return Manifest(
        mode=loaded.mode,
        routes=load_routes(loaded.root, scan),
        middleware=scan.middleware,
        plugins=scan.plugins,
        public=tuple(f"/{path}" for path in collect_public(loaded.root, config.public_dir)),
        settings=runtime_settings(config),
    )


def count_routes(routes: Sized) -> str:
    """Return how many routes there are."""
    return "1 route" if len(routes) == 1 else f"{len(routes)} routes"


def plan_build(
    loaded: LoadedConfig,
    choice: Choice,
    *,
    vendored: bool = False,
    progress: Progress = lambda stage: None,
) -> Plan:
    """Do everything of a build but the writing.

    Args:
        loaded: The configuration.
        choice: The preset.
        vendored: Whether dependencies go into the bundle.
        progress: Called with each stage that begins.

    Raises:
        NitroError: The project cannot be built.
    """
    manifest = make_manifest(loaded, progress=progress)
    progress("Validating")
    validate(manifest, loaded, choice.preset)
    config = loaded.config
    progress("Collecting sources")
    sources = collect_sources(
        loaded.root,
        config.handlers_dir,
        include=config.include,
        output_dir=config.output_dir,
        public_dir=config.public_dir,
        entries=[*(route.file for route in manifest.routes), *manifest.middleware, *manifest.plugins],
    )
    check_included(loaded, sources.unmatched)
    progress(f"Emitting `{choice.preset.name}`")
    build = BuildInput(
        config=config,
        manifest=manifest,
        sources=sources.files,
        public=collect_public(loaded.root, config.public_dir),
        imports=sources.imports,
        declared=find_declared(loaded.root),
        vendor_dependencies=vendored,
    )
    return Plan(loaded, choice, build, choice.preset.emit(build))


def write_plan(plan: Plan, *, progress: Progress = lambda stage: None) -> dict[str, int]:
    """Write a bundle, all or nothing: a failure leaves the last good output as it was.

    Returns:
        Path relative to the output folder → size in bytes.

    Raises:
        BuildError: The output cannot be written, or a dependency cannot be installed.
    """
    files = {**plan.bundle.files, INFO_NAME: describe_bundle(plan).encode()}
    with ExitStack() as stack:
        trees = {}
        wanted = plan.bundle.vendor
        if wanted is not None:
            count = len(wanted.requirements)
            trees[wanted.folder] = stack.enter_context(
                open_installed(
                    wanted.requirements,
                    python_version=wanted.python_version,
                    platform=wanted.platform,
                    installing=lambda: progress(f"Installing {count} dependencies"),
                )
            )
        progress("Writing")
        package = plan.bundle.package
        finish = partial(pack, package=package) if package is not None else None
        write_bundle(plan.output, files, trees=trees, finish=finish)
    return measure(plan.output)


def describe_bundle(plan: Plan) -> str:
    """Write `nitro.json`: what the bundle is and how it is run."""
    bundle = plan.bundle
    info = {
        "preset": plan.choice.preset.name,
        "versions": {"nitro-py": __version__, "python": ".".join(platform.python_version_tuple()[:2])},
        "mode": plan.manifest.mode,
        "entry": bundle.entry,
        "app": bundle.app,
        "manifest": bundle.manifest,
        "commands": {
            "preview": shlex.join(bundle.preview),
            "deploy": shlex.join(bundle.deploy) if bundle.deploy else None,
        },
        **bundle.extra,
    }
    return json.dumps(info, indent=2) + "\n"


def measure(output: Path) -> dict[str, int]:
    """List what a folder holds: path → size in bytes, sorted."""
    paths = sorted(path for path in output.rglob("*") if path.is_file())
    return {path.relative_to(output).as_posix(): path.stat().st_size for path in paths}
