"""The documents of images, as far as they matter here: those of OCI 1.1, and that of `docker save`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Document(BaseModel):
    # What is absent is written as null, too, by programs that are written in Go.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Descriptor(_Document):
    """A reference to a blob: its kind, its hash, its size in bytes."""

    media_type: str = Field(validation_alias="mediaType")
    digest: Digest
    size: Annotated[int, Field(ge=0)]

    def to_json(self) -> dict[str, object]:
        """Return what stands in a document."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class IndexPlatform(_Document):
    """The platform of an image in an index."""

    os: str = "unknown"
    architecture: str = "unknown"

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


class IndexEntry(Descriptor):
    """A reference to an image, or to an index."""

    platform: IndexPlatform | None = None
    annotations: Mapping[str, str] | None = None


class Index(_Document):
    """A list of images."""

    manifests: tuple[IndexEntry, ...] | None = None


class ImageManifest(_Document):
    """The parts of an image."""

    config: Descriptor
    layers: tuple[Descriptor, ...] | None = None


class ContainerProcess(_Document):
    """The defaults of an image's containers."""

    variables: tuple[str, ...] | None = Field(default=None, validation_alias="Env")
    labels: Mapping[str, str] | None = Field(default=None, validation_alias="Labels")
    volumes: Mapping[str, JsonValue] | None = Field(default=None, validation_alias="Volumes")


class RootFilesystem(_Document):
    """An image's layers by their digests before compression."""

    diff_ids: tuple[Digest, ...] | None = None


class Configuration(_Document):
    """The configuration of an image."""

    os: str
    architecture: str
    variant: str | None = None
    config: ContainerProcess | None = None
    rootfs: RootFilesystem
    history: tuple[dict[str, Any], ...] | None = None

    @property
    def process(self) -> ContainerProcess:
        """The defaults of its containers."""
        return self.config or ContainerProcess()


class DockerEntry(_Document):
    """The files of an image in an archive of Docker."""

    config: str = Field(validation_alias="Config")
    layers: tuple[str, ...] = Field(validation_alias="Layers")


class DockerManifest(RootModel[tuple[DockerEntry, ...]]):
    """The images in an archive of Docker."""
