"""Reading the base image: an OCI layout as a folder or an archive, or what `docker save` writes."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nitro_presets.container.image.documents import (
    INDEX_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    Configuration,
    Descriptor,
    DockerManifest,
    ImageManifest,
    Index,
    IndexEntry,
    IndexPlatform,
)
from nitro_presets.container.image.layout import (
    ArchiveSource,
    FolderSource,
    Source,
    blob_name,
    broken,
    hash_file,
    read_document,
    read_file,
    verify_blob,
)
from nitro_presets.container.platforms import ARCHITECTURES, Architecture
from nitro_py.errors import UsageError

# The kinds of layers that can be read here → what they are called in an OCI image.
LAYER_TYPES = {
    LAYER_TYPE: LAYER_TYPE,
    f"{LAYER_TYPE}+gzip": f"{LAYER_TYPE}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{LAYER_TYPE}+gzip",
}

_MANIFESTS = frozenset({MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json"})
_INDEXES = frozenset({INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json"})
# Beside images, indexes hold what was attested about them.
_ATTESTED = "vnd.docker.reference.type"
MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """One layer of an image.

    Args:
        descriptor: What it is, as the image names it.
        diff_id: The digest of its archive before compression.
        open: Opens its bytes.
    """

    descriptor: Descriptor
    diff_id: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image to put layers on, once every byte of it is checked.

    Args:
        source: Where it was read from.
        digest: The digest of its manifest, where it has one.
        document: Its configuration.
        architecture: The processor it is for.
        layers: Its layers, the lowest first.
    """

    source: Source
    digest: str | None
    document: Configuration
    architecture: Architecture
    layers: tuple[ImageLayer, ...]


@contextmanager
def open_base(path: Path, architecture: Architecture) -> Iterator[BaseImage]:
    """Open a base image, and check all of it.

    Args:
        path: A folder or an archive.
        architecture: The processor to take where the image is there for several.

    Raises:
        UsageError: It is missing, no image, damaged, or not for Linux on a known processor.
    """
    if path.is_dir():
        yield _read(FolderSource(path), architecture)
        return
    hint = "Make one, for example: `skopeo copy docker://python:3.13-slim oci:base:latest`."
    with ExitStack() as stack:
        try:
            source = ArchiveSource(path, stack.enter_context(tarfile.open(path)))
        except (tarfile.TarError, EOFError):
            expected = "expected an OCI layout, as a folder or an archive, or a Docker archive"
            raise UsageError(f"`{path}` is no image: {expected}.", file=str(path), hint=hint) from None
        except OSError as error:
            message = f"The base image `{path}` cannot be read: {error.strerror or error}."
            raise UsageError(message, file=str(path), hint=hint) from None
        yield _read(source, architecture)


def _read(source: Source, architecture: Architecture) -> BaseImage:
    if source.has("oci-layout"):
        return _read_layout(source, architecture)
    if source.has("manifest.json"):
        return _read_docker(source)
    raise broken(source, f"`{source.path}` is no image: it has neither `oci-layout` nor `manifest.json`")


def _read_layout(source: Source, architecture: Architecture) -> BaseImage:
    chosen = _select_manifest(source, architecture)
    manifest = read_document(source, chosen, "manifest", ImageManifest)
    document = read_document(source, manifest.config, "configuration", Configuration)
    found = manifest.layers or ()
    layers = []
    for number, (layer, diff_id) in enumerate(zip(found, _diff_ids(source, document, len(found)), strict=True)):
        if layer.media_type not in LAYER_TYPES:
            listed = ", ".join(f"`{name}`" for name in sorted(LAYER_TYPES))
            raise UsageError(
                f"Layer {number} of the base image is `{layer.media_type}`: expected one of {listed}.",
                file=str(source.path),
                hint="Compress it anew: `skopeo copy --dest-compress-format gzip FROM oci:base:latest`.",
            )
        verify_blob(source, layer, f"layer {number}")
        named = Descriptor(media_type=LAYER_TYPES[layer.media_type], digest=layer.digest, size=layer.size)
        layers.append(ImageLayer(named, diff_id, _opener(source, blob_name(layer.digest))))
    return BaseImage(source, chosen.digest, document, _check_platform(source, document), tuple(layers))


def _select_manifest(source: Source, architecture: Architecture) -> IndexEntry:
    """Choose the manifest of the one image that is there, or of the one that is for a processor.

    Raises:
        UsageError: There is no image, none for the processor, or more than one.
    """
    index = read_file(source, "index.json", "index", Index)
    # One image may have several names.
    candidates = list({entry.digest: entry for entry in _walk_index(source, index, MAX_DEPTH)}.values())
    if len(candidates) == 1:
        return candidates[0]
    platforms = [str(entry.platform or IndexPlatform()) for entry in candidates]
    wanted = f"linux/{architecture}"
    if platforms.count(wanted) == 1:
        return candidates[platforms.index(wanted)]
    listed = ", ".join(f"`{platform}`" for platform in sorted(platforms)) or "none"
    raise UsageError(
        f"The base holds {platforms.count(wanted)} images for `{wanted}`: expected one (it has {listed}).",
        file=str(source.path),
        hint=f"Copy one: `skopeo copy --override-arch {architecture} docker://python:3.13-slim oci:base:latest`.",
    )


def _walk_index(source: Source, index: Index, depth: int) -> Iterator[IndexEntry]:
    if depth == 0:
        raise broken(source, f"The index holds indexes that hold indexes, more than {MAX_DEPTH} deep")
    for entry in index.manifests or ():
        if _ATTESTED in (entry.annotations or {}):
            continue
        if entry.media_type in _INDEXES:
            yield from _walk_index(source, read_document(source, entry, "index", Index), depth - 1)
        elif entry.media_type in _MANIFESTS:
            yield entry


def _read_docker(source: Source) -> BaseImage:
    """Follow `docker save`: one file names the configuration and the layers, which are not compressed."""
    images = read_file(source, "manifest.json", "manifest", DockerManifest).root
    if len(images) != 1:
        raise broken(source, f"The archive holds {len(images)} images: expected one")
    files = images[0].layers
    document = read_file(source, images[0].config, "configuration", Configuration)
    layers = []
    for number, (file, diff_id) in enumerate(zip(files, _diff_ids(source, document, len(files)), strict=True)):
        opened = source.open(file)
        if opened is None:
            raise broken(source, f"Layer {number} is missing: there is no `{file}`")
        digest, size = hash_file(opened)
        if digest != diff_id:
            raise broken(source, f"Layer {number} is damaged: expected the digest `{diff_id}`, got `{digest}`")
        layers.append(
            ImageLayer(Descriptor(media_type=LAYER_TYPE, digest=digest, size=size), diff_id, _opener(source, file))
        )
    return BaseImage(source, None, document, _check_platform(source, document), tuple(layers))


def _opener(source: Source, name: str) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    def open_layer() -> AbstractContextManager[IO[bytes]]:
        opened = source.open(name)
        if opened is None:
            raise broken(source, f"A layer has gone while it was read: there is no `{name}`")
        return opened

    return open_layer


def _diff_ids(source: Source, document: Configuration, layers: int) -> tuple[str, ...]:
    ids = document.rootfs.diff_ids or ()
    if len(ids) != layers:
        raise broken(source, f"The configuration names {len(ids)} layers, and the manifest {layers}")
    return ids


def _check_platform(source: Source, document: Configuration) -> Architecture:
    known: dict[str, Architecture] = {name: name for name in ARCHITECTURES}
    if document.os != "linux" or document.architecture not in known:
        listed = " or ".join(f"`linux/{name}`" for name in ARCHITECTURES)
        raise UsageError(
            f"The base image is for `{document.os}/{document.architecture}`: expected {listed}.",
            file=str(source.path),
            hint="Copy another: `skopeo copy --override-os linux --override-arch amd64 FROM oci:base:latest`.",
        )
    return known[document.architecture]
