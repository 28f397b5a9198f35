"""What a preset implements: a short description, and an emission that only computes bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from nitro_py.build.bundle.declared import Locked
from nitro_py.build.config.layers import Place
from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.config.types import SettingsTable
from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.runtime.manifest import Manifest


def _no_place(key: str) -> Place:
    return Place()


@dataclass(frozen=True, slots=True)
class BuildInput:
    """All that an emission may depend on.

    Args:
        config: The configuration.
        manifest: What the bundle serves.
        sources: The project's files that travel: path in the bundle → bytes.
        public: The files of `public/`: path below it → bytes.
        imports: The third-party modules that the sources import, dotted where packages share the top level.
        declared: Requirements that the project declares, such as `pydantic[email]`, imported or not.
        local: The canonical names of the packages among the sources, which are not to be installed.
        locked: The versions that the project's lock file names, by canonical name.
        vendor_dependencies: Whether dependencies are installed into the bundle.
        files: What there is of the files that the preset asks for: path in the project → bytes.
        place: Finds where a setting stands, such as `dev.port`, for errors.
    """

    config: NitroConfig
    manifest: Manifest
    sources: Mapping[str, bytes]
    public: Mapping[str, bytes]
    imports: frozenset[str]
    declared: tuple[str, ...] = ()
    local: frozenset[str] = frozenset()
    locked: Mapping[str, tuple[Locked, ...]] = field(default_factory=dict)
    vendor_dependencies: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)
    place: Callable[[str], Place] = _no_place


class Alternative(str):
    """Advice about a capability that no setting gives: what to use in its place."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class OtherTarget:
    """Another target that dependencies could be for.

    Args:
        python_version: Its Python, such as `3.13`.
        platform: Its platform in uv's words.
        hint: How it is chosen.
    """

    python_version: str
    platform: str
    hint: str


@dataclass(frozen=True, slots=True)
class VendoredDependencies:
    """Dependencies to install into a folder of the bundle.

    Args:
        folder: The folder, relative to the output folder.
        requirements: Pinned requirements.
        python_version: The target's Python, such as `3.13`; by default the build's.
        platform: The target's platform in uv's words; by default the build's.
        glibc: The target's C library, where uv has no name for a platform with that very one.
        others: What else could be chosen, for packages that have no wheel for this target.
    """

    folder: str
    requirements: tuple[str, ...]
    python_version: str | None = None
    platform: str | None = None
    glibc: tuple[int, int] | None = None
    others: tuple[OtherTarget, ...] = ()


@dataclass(frozen=True, slots=True)
class PackagingStep:
    """A folder of the bundle to pack.

    Args:
        folder: The folder, relative to the output folder.
        archive: The zip archive to write beside it, relative to the output folder.
        bytecode: Whether byte code goes beside the modules; only the Python that compiled it can use it.
        home: Where the folder will be when it runs: tracebacks name files by it.
        programs: The paths in the folder of files that must be executable.
    """

    folder: str
    archive: str | None = None
    bytecode: bool = False
    home: str = ""
    programs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """A limit of the target on what it takes.

    Args:
        path: The file or folder that it is about, relative to the output folder.
        size: In bytes.
        label: What its size is a part of, such as "what the platform unpacks"; it follows "of" in messages.
        refused: Whether a bundle above it is an error.
    """

    path: str
    size: int
    label: str
    refused: bool = False


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
        extra: Further entries of `nitro.json`.
    """

    files: Mapping[str, bytes]
    entry: str
    manifest: str
    preview: tuple[str, ...]
    app: str | None = None
    deploy: tuple[str, ...] | None = None
    vendor: VendoredDependencies | None = None
    package: PackagingStep | None = None
    notes: tuple[str, ...] = ()
    limits: tuple[SizeLimit, ...] = ()
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
        """Name the setting that gives the target a capability that it lacks; `None` where there is none.

        An `Alternative` says that no setting does, and the build prints it alone.
        """

    def detect(self, environ: Mapping[str, str]) -> str | None:
        """Name the environment variable that shows this platform; `None` where nothing does."""

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle; MUST be pure: the same input gives the same bytes, nothing is written."""


@runtime_checkable
class PresetWithSettings(Preset, Protocol):
    """A preset that has settings of its own: a table of `nitro.toml`."""

    @property
    def settings(self) -> type[SettingsTable]:
        """The settings, each with a default; `build.config.table(…)` returns their values."""

    @property
    def settings_table(self) -> str:
        """The table's name: that of the preset, or the first word of it (`cloud_run` or `cloud`)."""


@runtime_checkable
class PresetWithFiles(Preset, Protocol):
    """A preset that reads files of the project, beside what handlers import."""

    def list_files(self, config: NitroConfig) -> Iterable[str]:
        """List their paths in the project; `build.files` has those that are there."""


@runtime_checkable
class PresetWithStorage(Preset, Protocol):
    """A preset whose target has a place for storages."""

    @property
    def default_storage(self) -> str:
        """The driver of storages that the configuration does not name."""

    @property
    def storage_drivers(self) -> Mapping[str, str]:
        """The preset's own drivers beside the built-in ones: name → `module:attribute`, in a module that ships."""


class ServerPreset:
    """The base of presets whose bundle is a server itself: they lack no capability."""

    __slots__ = ()

    def capabilities(self, config: NitroConfig) -> frozenset[Capability]:
        """Return all capabilities."""
        return frozenset(CAPABILITIES)

    def advise(self, capability: Capability) -> str | None:
        """Return `None`, because no capability is missing."""
        return None

    def detect(self, environ: Mapping[str, str]) -> str | None:
        """Return `None`, because no environment variable shows that a server is wanted."""
        return None
