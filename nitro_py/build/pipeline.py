"""The build, from files to a bundle: scan, load, validate, emit, write."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Callable, Mapping, Sized
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nitro_py import __version__
from nitro_py.build.bundle.declared import combine_requirements, describe_declared, find_local, read_declared
from nitro_py.build.bundle.installed import open_installed
from nitro_py.build.bundle.package import pack
from nitro_py.build.bundle.pyproject import check_python
from nitro_py.build.bundle.sources import PublicFolder, collect_public, collect_sources, describe_secrets
from nitro_py.build.config.load import LoadedConfig, check_included
from nitro_py.build.config.settings import runtime_settings
from nitro_py.build.inspect.load import load_routes
from nitro_py.build.inspect.returns import find_status_tuples
from nitro_py.build.interrupt import Interrupt
from nitro_py.build.preset import BuildInput, Bundle, Preset, PresetWithFiles
from nitro_py.build.registry import find_preset, list_presets
from nitro_py.build.scan import check_names, scan_handlers
from nitro_py.build.storage import add_storages
from nitro_py.build.validate import validate
from nitro_py.build.write import format_size, write_bundle
from nitro_py.errors import BuildError
from nitro_py.runtime.asgi.public_files import hash_content
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
        notes: What the user should know of the project, a line each.
        warnings: What of the project will fail once it runs, a line each.
    """

    loaded: LoadedConfig
    choice: Choice
    build: BuildInput
    bundle: Bundle
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def manifest(self) -> Manifest:
        """What the bundle serves."""
        return self.build.manifest

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know, a line each: the notes of preset and project, and the warnings."""
        return (*self.bundle.notes, *self.notes, *self.warnings)

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


def make_manifest(
    loaded: LoadedConfig, *, progress: Progress = lambda stage: None, interrupt: Interrupt | None = None
) -> Manifest:
    """Scan and load a project's handlers.

    Args:
        loaded: The configuration.
        progress: Called with each stage that begins.
        interrupt: Ends the build from another thread while it imports the project's code.

    Raises:
        BuildError: The handlers cannot be built.
    """
    config = loaded.config
    check_python(loaded.root)
    progress("Scanning handlers")
    check_names(loaded.root)
    scan = scan_handlers(loaded.root, config.handlers_dir, config.ignore, loaded.mode)
    progress(f"Loading {count_routes(scan.routes)}")
    return Manifest(
        mode=loaded.mode,
        routes=load_routes(
            loaded.root,
            scan,
            import_timeout=config.build.import_timeout,
            variables=loaded.env_files.variables,
            interrupt=interrupt,
        ),
        middleware=scan.middleware,
        plugins=scan.plugins,
        public={f"/{path}": hash_content(data) for path, data in _read_public(loaded).files.items()},
        settings=runtime_settings(config, loaded.mode),
    )


def _read_public(loaded: LoadedConfig) -> PublicFolder:
    return collect_public(loaded.root, loaded.config.public_dir, loaded.config.include)


def _read_files(loaded: LoadedConfig, preset: Preset) -> dict[str, bytes]:
    if not isinstance(preset, PresetWithFiles):
        return {}
    paths = sorted(preset.list_files(loaded.config))
    try:
        return {path: (loaded.root / path).read_bytes() for path in paths if (loaded.root / path).exists()}
    except OSError as error:
        path = Path(error.filename).relative_to(loaded.root).as_posix()
        raise BuildError(f"`{path}` cannot be read: {error.strerror}.", file=path) from error


def count_routes(routes: Sized) -> str:
    """Return how many routes there are."""
    return "1 route" if len(routes) == 1 else f"{len(routes)} routes"


def plan_build(
    loaded: LoadedConfig,
    choice: Choice,
    *,
    vendored: bool = False,
    progress: Progress = lambda stage: None,
    interrupt: Interrupt | None = None,
) -> Plan:
    """Do everything of a build but the writing.

    Args:
        loaded: The configuration.
        choice: The preset.
        vendored: Whether dependencies go into the bundle.
        progress: Called with each stage that begins.
        interrupt: Ends the build from another thread while it imports the project's code.

    Raises:
        NitroError: The project cannot be built.
    """
    manifest = make_manifest(loaded, progress=progress, interrupt=interrupt)
    progress("Validating")
    validate(manifest, loaded, choice.preset)
    manifest = add_storages(manifest, loaded, choice.preset)
    config = loaded.config
    progress("Collecting sources")
    declared = read_declared(loaded.root, config.build.groups)
    local = find_local(declared, loaded.root)
    sources = collect_sources(
        loaded.root,
        config.handlers_dir,
        include=config.include,
        output_dir=config.output_dir,
        public_dir=config.public_dir,
        entries=[*(route.file for route in manifest.routes), *manifest.middleware, *manifest.plugins],
        local=local,
    )
    public = _read_public(loaded)
    served = {str(PurePosixPath(config.public_dir, path)) for path in public.files}
    unmatched = [index for index in sources.unmatched if str(PurePosixPath(config.include[index])) not in served]
    check_included(loaded, unmatched)
    progress(f"Emitting `{choice.preset.name}`")
    build = BuildInput(
        config=config,
        manifest=manifest,
        sources=sources.files,
        public=public.files,
        imports=sources.imports,
        declared=combine_requirements(declared, sources.local, loaded.root),
        local=frozenset(package.name for package in sources.local),
        locked=declared.locked,
        vendor_dependencies=vendored,
        files=_read_files(loaded, choice.preset),
        place=loaded.place,
    )
    notes = (*describe_declared(declared), *describe_secrets(sources, public))
    warnings = find_status_tuples(loaded.root, [route.file for route in manifest.routes])
    return Plan(loaded, choice, build, choice.preset.emit(build), notes, tuple(warnings))


def write_plan(plan: Plan, *, progress: Progress = lambda stage: None) -> dict[str, int]:
    """Write a bundle, all or nothing: a failure leaves the last good output as it was.

    Returns:
        Path relative to the output folder → size in bytes.

    Raises:
        BuildError: The output cannot be written, or a dependency cannot be installed.
    """
    files = {**plan.bundle.files, INFO_NAME: describe_bundle(plan).encode()}
    check_limits(plan.bundle, {path: len(data) for path, data in files.items()})
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
                    glibc=wanted.glibc,
                    others=wanted.others,
                    installing=lambda: progress(f"Installing {count} dependencies"),
                )
            )
        progress("Writing")
        package = plan.bundle.package

        def finish(stage: Path) -> None:
            if package is not None:
                pack(stage, package)
            check_limits(plan.bundle, measure(stage))

        write_bundle(plan.output, files, trees=trees, finish=finish)
    return measure(plan.output)


def check_limits(bundle: Bundle, sizes: Mapping[str, int]) -> None:
    """Refuse a bundle that is larger than the target takes.

    Args:
        bundle: What the preset emitted.
        sizes: Path in the bundle → size in bytes.

    Raises:
        BuildError: It is, and the target makes no exception.
    """
    for limit in bundle.limits:
        size = weigh(sizes, limit.path)
        if limit.refused and size > limit.size:
            largest = sorted(
                (path for path in sizes if path == limit.path or path.startswith(f"{limit.path}/")),
                key=lambda path: -sizes[path],
            )[:3]
            listed = ", ".join(f"`{path}` ({format_size(sizes[path])})" for path in largest)
            raise BuildError(
                f"`{limit.path}` has {format_size(size)}, more than {limit.label} ({format_size(limit.size)}).",
                hint=f"The largest files are {listed}.",
            )


def weigh(sizes: Mapping[str, int], path: str) -> int:
    """Return the size of a file or folder, in bytes."""
    return sum(size for name, size in sizes.items() if name == path or name.startswith(f"{path}/"))


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
