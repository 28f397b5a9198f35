"""The configuration of the image: what the base says of itself, and what holds for the app in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nitro_presets.container.image.base import BaseImage, ImageLayer
from nitro_presets.container.image.documents import ContainerProcess

# Images are compared by their bytes, so they must not tell when they were made.
CREATED = "1970-01-01T00:00:00Z"
# Labels of these tell what an image is, which the base's say of the base.
_OWN_LABELS = ("org.opencontainers.image.", "org.label-schema.")
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """The way in which the app runs in the image.

    Args:
        title: The app's name.
        place: Where the bundle is.
        folder: The working folder.
        user: The user, by number.
        port: The port that is listened on unless `PORT` says otherwise.
        probe: The module that asks whether the server is alive.
    """

    title: str
    place: str
    folder: str
    user: int
    port: int
    probe: str


def make_config(base: BaseImage, layers: Mapping[str, ImageLayer], options: ImageOptions) -> dict[str, object]:
    """Make the configuration of an image.

    Follows the OCI image specification 1.1, and Docker's `Healthcheck` beside it, which Kubernetes passes over.

    Args:
        base: The base image.
        layers: What was made → the layer, the lowest first.
        options: How the app runs.
    """
    document: dict[str, object] = {
        "created": CREATED,
        "architecture": base.architecture,
        "os": "linux",
        "config": _make_process(base.document.process, options),
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer.diff_id for layer in (*base.layers, *layers.values())],
        },
        "history": [
            *_read_history(base),
            *({"created": CREATED, "created_by": f"nitropy build --oci # {what}"} for what in layers),
            {"created": CREATED, "created_by": "nitropy build --oci # configuration", "empty_layer": True},
        ],
    }
    variant = base.document.variant
    return document | ({"variant": variant} if variant else {})


def _make_process(base: ContainerProcess, options: ImageOptions) -> dict[str, object]:
    labels = {name: text for name, text in (base.labels or {}).items() if not name.startswith(_OWN_LABELS)}
    # An entry point of its own, so the base's `Cmd` must go: it would be the app's arguments.
    process: dict[str, object] = {
        "Env": _merge_variables(base.variables or (), {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}),
        "Entrypoint": ["python3", options.place],
        "User": f"{options.user}:{options.user}",
        "WorkingDir": options.folder,
        "ExposedPorts": {f"{options.port}/tcp": {}},
        "Labels": {**labels, "org.opencontainers.image.title": options.title},
        "StopSignal": "SIGTERM",
        "Healthcheck": {
            "Test": ["CMD", "python3", "-I", "-S", f"{options.place}/{options.probe}"],
            "Interval": 10 * _SECOND,
            "Timeout": 3 * _SECOND,
            "StartPeriod": 20 * _SECOND,
        },
    }
    return process | ({"Volumes": dict(base.volumes)} if base.volumes else {})


def _merge_variables(lines: Sequence[str], own: Mapping[str, str]) -> list[str]:
    variables = dict(line.partition("=")[::2] for line in lines) | dict(own)
    return [f"{name}={value}" for name, value in variables.items()]


def _read_history(base: BaseImage) -> Sequence[object]:
    """Return the base's history where it tells of every layer: tools count on one line for each."""
    history = base.document.history or ()
    if sum(not entry.get("empty_layer") for entry in history) == len(base.layers):
        return history
    return [{"created": CREATED, "created_by": "the base image"} for _ in base.layers]
