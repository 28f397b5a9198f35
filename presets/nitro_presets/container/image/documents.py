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
    """Points at a blob: what it is, its hash, its size in bytes."""

    media_type: str = Field(validation_alias="mediaType")
    digest: Digest
    size: Annotated[int, Field(ge=0)]

    def to_json(self) -> dict[str, object]:
        """Return what stands in a document."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class IndexPlatform(_Document):
    """Says what an image of an index is for."""

    os: str = "unknown"
    architecture: str = "unknown"

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


class IndexEntry(Descriptor):
    """Points at an image, or at an index."""

    platform: IndexPlatform | None = None
    annotations: Mapping[str, str] | None = None


class Index(_Document):
    """Lists images."""

    manifests: tuple[IndexEntry, ...] | None = None


class Manifest(_Document):
    """Lists what an image consists of."""

    config: Descriptor
    layers: tuple[Descriptor, ...] | None = None


class Process(_Document):
    """Says how the containers of an image run."""

    variables: tuple[str, ...] | None = Field(default=None, validation_alias="Env")
    labels: Mapping[str, str] | None = Field(default=None, validation_alias="Labels")
    volumes: Mapping[str, JsonValue] | None = Field(default=None, validation_alias="Volumes")


class RootFilesystem(_Document):
    """Lists an image's layers by their digests before compression."""

    diff_ids: tuple[Digest, ...] | None = None


class Configuration(_Document):
    """Says what an image is."""

    os: str
    architecture: str
    variant: str | None = None
    config: Process | None = None
    rootfs: RootFilesystem
    history: tuple[dict[str, Any], ...] | None = None

    @property
    def process(self) -> Process:
        """How its containers run."""
        return self.config or Process()


class DockerEntry(_Document):
    """Points at the files of an image in an archive of Docker."""

    config: str = Field(validation_alias="Config")
    layers: tuple[str, ...] = Field(validation_alias="Layers")


class DockerManifest(RootModel[tuple[DockerEntry, ...]]):
    """Lists the images in an archive of Docker."""
