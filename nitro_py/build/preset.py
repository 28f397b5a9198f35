"""What a preset implements: a short description, and an emission that only computes bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.config.types import SettingsTable
from nitro_py.capabilities import Capability
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
        vendor_dependencies: Whether dependencies are installed into the bundle.
    """

    config: NitroConfig
    manifest: Manifest
    sources: Mapping[str, bytes]
    public: Mapping[str, bytes]
    imports: frozenset[str]
    declared: tuple[str, ...] = ()
    vendor_dependencies: bool = False


@dataclass(frozen=True, slots=True)
class VendoredDependencies:
    """Dependencies to install into a folder of the bundle.

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
    """

    path: str
    size: int
    label: str


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
        """Name the setting that gives the target a capability that it lacks; `None` where there is none."""

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


Command = Literal["build", "deploy", "publish"]
Value = TypeVar("Value")


# Without slots: making one of a subscripted class, `Option[int](…)`, fails with them before Python 3.12.
@dataclass(frozen=True)
class Option(Generic[Value]):
    """An option of a command that only some presets know.

    Args:
        name: The option as it is written, such as `--region`.
        type: The type that its text is read as: `str`, `int`, `float` or `Path`; `bool` makes a flag.
        default: The value where the option is not given.
        help: One sentence for `--help`.
        metavar: What stands for its value there.

    Example:
        >>> REGION = Option[str | None]("--region", str, None, "Region to deploy to.")
        >>> OptionValues({"--region": "eu-west-1"}).get(REGION)
        'eu-west-1'
    """

    name: str
    type: type[str] | type[int] | type[float] | type[bool] | type[Path]
    default: Value
    help: str
    metavar: str | None = None


@dataclass(frozen=True, slots=True)
class OptionValues:
    """The values of a preset's options on a command line.

    Args:
        given: The options that are given: name → value.
    """

    given: Mapping[str, Any] = field(default_factory=dict)

    def get(self, option: Option[Value]) -> Value:
        """Return the value of an option."""
        value: Value = self.given.get(option.name, option.default)
        return value


@runtime_checkable
class PresetWithOptions(Preset, Protocol):
    """A preset that adds options to commands."""

    @property
    def options(self) -> Mapping[Command, tuple[Option[Any], ...]]:
        """The options by command."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `nitropy deploy` was asked for.

    Args:
        output: The folder that the build wrote.
        config: The configuration.
        options: The preset's own options.
        dry_run: Whether to stop once the changes are shown.
        confirm: Asks, after the changes were shown, whether to apply them.
        report: Shows a line about the progress.
        show_table: Shows a table: the names of its columns, then the cells of each row.
    """

    output: Path
    config: NitroConfig
    options: OptionValues
    dry_run: bool
    confirm: Callable[[], bool]
    report: Callable[[str], None]
    show_table: Callable[[Sequence[str], Sequence[Sequence[str]]], None]


@runtime_checkable
class DeployablePreset(Preset, Protocol):
    """A preset that can bring its bundle to where it runs."""

    def deploy(self, deployment: Deployment) -> Mapping[str, str]:
        """Deploy a bundle and return what it is reached by, name by name; nothing if nothing was changed."""


@dataclass(frozen=True, slots=True)
class WrittenBundle:
    """A bundle once it is written.

    Args:
        output: The folder that the build wrote.
        build: What its emission depended on.
        report: Shows a line about the progress.
    """

    output: Path
    build: BuildInput
    report: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that is made of a bundle, such as an image of a disk.

    Args:
        kind: What it is, in one word.
        write: Writes it, all or nothing, and returns what it is, name by name.
    """

    kind: str
    write: Callable[[WrittenBundle], Mapping[str, str]]


@runtime_checkable
class ArtifactPreset(Preset, Protocol):
    """A preset that can make one more thing of its bundle, if its options of `nitropy build` ask for it."""

    def plan_artifact(self, options: OptionValues) -> Artifact | None:
        """Check the options before anything is written, and return what they ask for.

        Raises:
            UsageError: The options don't go together, or name what is not there.
        """


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """What `nitropy publish` sends to what is deployed.

    Args:
        config: The configuration.
        topic: The topic.
        data: What is sent, JSON-able.
        namespace: Only the subscribers there; `None` reaches every namespace.
        options: The preset's own options.
    """

    config: NitroConfig
    topic: str
    data: object
    namespace: str | None
    options: OptionValues


@runtime_checkable
class PublishingPreset(Preset, Protocol):
    """A preset that can publish to what it has deployed."""

    def publish(self, request: PublishRequest) -> None:
        """Publish, and return once that is done or sure to be done."""
