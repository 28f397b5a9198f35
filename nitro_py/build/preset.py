"""What a preset implements: a short description, and an emission that only computes bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Protocol, runtime_checkable

from nitro_py.build.config.settings import NitroConfig
from nitro_py.capabilities import Capability
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import Manifest


@dataclass(frozen=True, slots=True)
class BuildInput:
    """All that an emission may depend on.

    Args:
        config: The configuration.
        manifest: What the bundle serves.
        sources: The project's files that travel: path in the bundle → bytes.
        public: The files of `public/`: path below it → bytes.
        imports: The third-party modules that the sources import.
        declared: Requirements that the project declares, such as `pydantic[email]`, imported or not.
        vendor: Whether dependencies shall be installed into the bundle.
    """

    config: NitroConfig
    manifest: Manifest
    sources: Mapping[str, bytes]
    public: Mapping[str, bytes]
    imports: frozenset[str]
    declared: tuple[str, ...] = ()
    vendor: bool = False


@dataclass(frozen=True, slots=True)
class Vendor:
    """Asks for dependencies to be installed into a folder of the bundle.

    Args:
        folder: The folder, relative to the output folder.
        requirements: Pinned requirements.
        python_version: The target's Python, such as `3.13`; by default the build's.
        platform: The target's platform in uv's words; by default the build's.
    """

    folder: str
    requirements: tuple[str, ...]
    python_version: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """Asks for a folder of the bundle to be packed.

    Args:
        folder: The folder, relative to the output folder.
        archive: The zip archive to write beside it, relative to the output folder.
        bytecode: Whether byte code goes beside the modules; only the Python that compiled it can use it.
        programs: The paths in the folder of files that must be executable.
    """

    folder: str
    archive: str | None = None
    bytecode: bool = False
    programs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the target on what it takes.

    Args:
        path: The file or folder that it is about, relative to the output folder.
        size: In bytes.
        what: What it is, after "of".
    """

    path: str
    size: int
    what: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a preset emits.

    Args:
        files: Path relative to the output folder → bytes.
        entry: The file that starts the bundle.
        app: How other servers import the application, where there is one: `module:attribute`.
        manifest: The path of the manifest.
        preview: The command that runs the bundle on this machine, relative to the project; its first word
            `python` stands for the interpreter in use.
        deploy: The command that deploys it, where there is one.
        vendor: Dependencies to install into it.
        package: What to pack once the dependencies are there.
        notes: What the user should know about this build, a line each.
        limits: How large the target lets the bundle be.
        extra: What else `nitro.json` shall say.
    """

    files: Mapping[str, bytes]
    entry: str
    manifest: str
    preview: tuple[str, ...]
    app: str | None = None
    deploy: tuple[str, ...] | None = None
    vendor: Vendor | None = None
    package: Package | None = None
    notes: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class Preset(Protocol):
    """Turns a manifest into a deployment bundle.

    A preset is found through the entry-point group `nitro_py.presets`, or as a folder of the project with a
    `preset.py` that has an object `preset`.
    """

    @property
    def name(self) -> str:
        """The name after `--preset`."""

    @property
    def summary(self) -> str:
        """One line for lists."""

    def capabilities(self, config: NitroConfig) -> frozenset[Capability]:
        """Return what the target can do with these settings; routes that need more are refused at build."""

    def advise(self, capability: Capability) -> str | None:
        """Name the setting that gives the target a capability that it lacks; `None` where there is none."""

    def detect(self, environ: Mapping[str, str]) -> str | None:
        """Name the environment variable that shows this platform; `None` where nothing does."""

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle; MUST be pure: the same input gives the same bytes, nothing is written."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `nitropy deploy` was asked for.

    Args:
        output: The folder that the build wrote.
        config: The configuration.
        stack: The name of what is deployed; by default the configuration's.
        region: The target's region; by default the environment's.
        bucket: Where the package is uploaded to; by default the preset's choice.
        dry_run: Whether to stop once the changes are shown.
        confirm: Is asked, after the changes were shown, whether to apply them.
        report: Is told what happens.
    """

    output: Path
    config: NitroConfig
    stack: str | None
    region: str | None
    bucket: str | None
    dry_run: bool
    confirm: Callable[[], bool]
    report: Callable[[str], None]


@runtime_checkable
class DeployablePreset(Preset, Protocol):
    """A preset that can bring its bundle to where it runs."""

    def deploy(self, deployment: Deployment) -> Mapping[str, str]:
        """Deploy a bundle and return what it is reached by, name by name; nothing if nothing was changed."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """What `nitropy build --oci` was asked for.

    Args:
        output: The folder that the build wrote.
        build: What its emission depended on.
        base: The base image: a folder or an archive.
        file: The archive to write.
        report: Is told what is being done.
    """

    output: Path
    build: BuildInput
    base: Path
    file: Path
    report: Callable[[str], None]


@runtime_checkable
class ImagePreset(Preset, Protocol):
    """A preset that can make a container image of its bundle."""

    def write_image(self, request: ImageRequest) -> Mapping[str, str]:
        """Write the image, all or nothing, and say what it is, name by name."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What `nitropy publish` sends to what is deployed.

    Args:
        config: The configuration.
        topic: The topic.
        data: What is sent, JSON-able.
        namespace: Only the subscribers there; `None` reaches every namespace.
        stack: The name of what is deployed; by default the configuration's.
        region: The target's region; by default the environment's.
    """

    config: NitroConfig
    topic: str
    data: object
    namespace: str | None
    stack: str | None
    region: str | None


@runtime_checkable
class PublishingPreset(Preset, Protocol):
    """A preset that can publish to what it has deployed."""

    def publish(self, publication: Publication) -> None:
        """Publish, and returns once that is done or sure to be done."""


def collect_package(package: str, *, only: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Read the files of an installed package that ship: path below the import root → bytes.

    Args:
        package: The package's name, such as `nitro_py`.
        only: Its entries to take, files or folders; none takes all.
    """
    root = files(package)
    prefix = package.replace(".", "/")
    found: dict[str, bytes] = {}
    for entry in sorted(root.iterdir(), key=lambda item: item.name):
        if not only or entry.name in only:
            _collect(entry, prefix, found)
    return found


def merge_files(sources: Mapping[str, bytes], own: Mapping[str, bytes]) -> dict[str, bytes]:
    """Put the project's files and the bundle's own together.

    Raises:
        BuildError: A file of the project has the place of one of the bundle's.
    """
    clashes = sorted(sources.keys() & own.keys())
    if clashes:
        raise BuildError(
            f"`{clashes[0]}` of the project has the place of a file of the bundle.",
            file=clashes[0],
            hint="Rename it, or move it into a package.",
        )
    return {**sources, **own}


def _collect(entry: Traversable, prefix: str, found: dict[str, bytes]) -> None:
    path = f"{prefix}/{entry.name}"
    if entry.is_dir():
        if entry.name != "__pycache__":
            for child in sorted(entry.iterdir(), key=lambda item: item.name):
                _collect(child, path, found)
    elif not entry.name.endswith(".pyc"):
        found[path] = entry.read_bytes()
