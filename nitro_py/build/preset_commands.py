"""What a preset may add to commands: options, a deployment, an artifact, a publication."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.preset import BuildInput, Preset, PresetWithStorage

Command = Literal["build", "deploy", "destroy", "logs", "publish", "storage"]
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
        confirm: Asks a question that is answered with yes or no.
        report: Shows a line about the progress.
        show_table: Shows a table: the names of its columns, then the cells of each row.
    """

    output: Path
    config: NitroConfig
    options: OptionValues
    dry_run: bool
    confirm: Callable[[str], bool]
    report: Callable[[str], None]
    show_table: Callable[[Sequence[str], Sequence[Sequence[str]]], None]


@runtime_checkable
class DeployablePreset(Preset, Protocol):
    """A preset that can bring its bundle to where it runs."""

    def deploy(self, deployment: Deployment) -> Mapping[str, str]:
        """Deploy a bundle and return what it is reached by, name by name; nothing if nothing was changed."""


@dataclass(frozen=True, slots=True)
class OutputsRequest:
    """What `nitropy deploy --outputs` was asked for.

    Args:
        config: The configuration.
        options: The preset's own options of `nitropy deploy`.
    """

    config: NitroConfig
    options: OptionValues


@dataclass(frozen=True, slots=True)
class LogsRequest:
    """What `nitropy logs` was asked for.

    Args:
        config: The configuration.
        options: The preset's own options.
        since: The time of the oldest line.
        follow: Whether to wait for further lines, without end.
    """

    config: NitroConfig
    options: OptionValues
    since: datetime
    follow: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the logs of what is deployed.

    Args:
        time: When it was written.
        source: What wrote it, such as the name of a function.
        text: The line; it may have ends of lines within.
    """

    time: datetime
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Destruction:
    """What `nitropy destroy` was asked for.

    Args:
        config: The configuration.
        options: The preset's own options.
        data: Whether what holds data of the app is deleted too.
        confirm: Asks a question that is answered with yes or no.
        report: Shows a line about the progress.
        show_table: Shows a table: the names of its columns, then the cells of each row.
    """

    config: NitroConfig
    options: OptionValues
    data: bool
    confirm: Callable[[str], bool]
    report: Callable[[str], None]
    show_table: Callable[[Sequence[str], Sequence[Sequence[str]]], None]


@runtime_checkable
class OperatingPreset(DeployablePreset, Protocol):
    """A preset that can look after what it has deployed; none of this needs a bundle."""

    def list_outputs(self, request: OutputsRequest) -> Mapping[str, str]:
        """Return what the deployed app is reached by, name by name."""

    def read_logs(self, request: LogsRequest) -> Iterable[LogLine]:
        """Return the lines of its logs, the oldest first."""

    def destroy(self, destruction: Destruction) -> Sequence[str] | None:
        """Delete what is deployed and return what is left, a sentence each; `None` if that was refused.

        Raises:
            UsageError: It would lose data, and `data` is not set.
        """


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


@dataclass(frozen=True, slots=True)
class StorageRequest:
    """What `nitropy storage` wants to reach.

    Args:
        config: The configuration.
        options: The preset's own options.
        preview: The URL of the running preview; `None` for what is deployed.
    """

    config: NitroConfig
    options: OptionValues
    preview: str | None


@runtime_checkable
class StoragePreset(PresetWithStorage, Protocol):
    """A preset whose own storage drivers find their store from outside, too."""

    def find_storage(self, request: StorageRequest) -> Mapping[str, str]:
        """Return the variables of the environment by which its drivers find the store.

        Raises:
            NitroError: There is no such store, or it cannot be reached.
        """
