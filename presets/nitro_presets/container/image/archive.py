"""Writing layers, and the image as one archive, which all programs for OCI or Docker images read."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from nitro_presets.container.image.base import ImageLayer
from nitro_presets.container.image.documents import CONFIG_TYPE, INDEX_TYPE, LAYER_TYPE, MANIFEST_TYPE, Descriptor
from nitro_presets.container.image.layout import blob_name, hash_file
from nitro_py.errors import BuildError
from nitro_py.preset import walk_files

LEVEL = 6


def write_layer(folder: Path, place: str, file: Path) -> ImageLayer:
    """Write a folder's files as a layer: all users may read them, and only root may write them.

    Args:
        folder: The folder.
        place: Where it comes in the image, such as `/app/server`.
        file: The file to write, with an ending other than `.tar`.
    """
    root = PurePosixPath(place.lstrip("/"))
    paths = list(walk_files(folder, PurePosixPath("."), keep=lambda path: True))
    folders = {parent for path in paths for parent in (root / path).parents} - {PurePosixPath(".")}
    entries = {str(name): None for name in folders} | {str(root / path): folder / path for path in paths}
    plain = file.with_suffix(".tar")
    with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted(entries.items()):
            _add_file(archive, name, source)
    with plain.open("rb") as read, file.open("wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed:
        shutil.copyfileobj(read, packed)
    diff_id, _ = hash_file(plain.open("rb"))
    plain.unlink()
    digest, size = hash_file(file.open("rb"))
    return ImageLayer(
        Descriptor(media_type=f"{LAYER_TYPE}+gzip", digest=digest, size=size), diff_id, lambda: file.open("rb")
    )


def _add_file(archive: tarfile.TarFile, name: str, source: Path | None) -> None:
    # As it is made, an entry is root's, and as old as time.
    entry = tarfile.TarInfo(name)
    if source is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
        return
    state = source.stat()
    entry.size, entry.mode = state.st_size, 0o755 if state.st_mode & stat.S_IXUSR else 0o644
    with source.open("rb") as file:
        archive.addfile(entry, file)


def write_image_archive(
    file: Path,
    *,
    image: str,
    document: Mapping[str, object],
    layers: Sequence[ImageLayer],
    annotations: Mapping[str, str],
) -> str:
    """Write an image, all or nothing; the same input gives the same bytes.

    Follows the OCI image layout, with the one file beside it that `docker load` reads.

    Args:
        file: The archive to write.
        image: The image's name, with a tag or without.
        document: The image's configuration.
        layers: Its layers, the lowest first.
        annotations: What else its manifest says.

    Returns:
        The digest of the manifest, which names the image in every registry.

    Raises:
        BuildError: The file cannot be written.
    """
    config = _encode(document)
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": describe(config, CONFIG_TYPE).to_json(),
            "layers": [layer.descriptor.to_json() for layer in layers],
            "annotations": dict(annotations),
        }
    )
    described = describe(manifest, MANIFEST_TYPE)
    name, tag = split_name(image)
    blobs = [blob_name(layer.descriptor.digest) for layer in layers]
    documents = {
        "oci-layout": _encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": _encode(_make_index(described, document, f"{name}:{tag}", tag)),
        "manifest.json": _encode(
            [{"Config": blob_name(_hash(config)), "RepoTags": [f"{name}:{tag}"], "Layers": blobs}]
        ),
        blob_name(_hash(config)): config,
        blob_name(described.digest): manifest,
    }
    _write(file, documents, dict(zip(blobs, layers, strict=True)))
    return described.digest


def describe(data: bytes, media_type: str) -> Descriptor:
    """Describe a document."""
    return Descriptor(media_type=media_type, digest=_hash(data), size=len(data))


def split_name(image: str) -> tuple[str, str]:
    """Split an image's name from its tag.

    Example:
        >>> split_name("registry.example:5000/chat"), split_name("chat:1")
        (('registry.example:5000/chat', 'latest'), ('chat', '1'))
    """
    folder, slash, last = image.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{folder}{slash}{name}", tag or "latest"


def _make_index(manifest: Descriptor, document: Mapping[str, object], image: str, tag: str) -> dict[str, object]:
    platform = {key: document[key] for key in ("architecture", "os", "variant") if key in document}
    # Programs that copy layouts read the one, containerd and Docker the other.
    names = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": image}
    entry = {**manifest.to_json(), "platform": platform, "annotations": names}
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}


def _write(file: Path, documents: Mapping[str, bytes], layers: Mapping[str, ImageLayer]) -> None:
    contents: dict[str, bytes | ImageLayer] = {**documents, **layers}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w") as archive:
                for folder in ("blobs", "blobs/sha256"):
                    entry = tarfile.TarInfo(folder)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
                for name, content in sorted(contents.items()):
                    _add(archive, name, content)
            Path(draft).chmod(0o644)
            Path(draft).replace(file)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        message = f"The image `{file}` cannot be written: {error.strerror or error}."
        raise BuildError(message, file=str(file), hint="Name a file in a folder that you may write.") from error


def _add(archive: tarfile.TarFile, name: str, content: bytes | ImageLayer) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o644
    opened: AbstractContextManager[IO[bytes]]
    if isinstance(content, bytes):
        entry.size, opened = len(content), io.BytesIO(content)
    else:
        entry.size, opened = content.descriptor.size, content.open()
    with opened as file:
        archive.addfile(entry, file)


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _hash(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
