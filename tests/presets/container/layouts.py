"""Images made by hand: what a base image may be, and what may be wrong with it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PATH = "PATH=/usr/local/bin:/usr/bin"
# Where Debian has its Python: the first layer of most images here.
DEBIAN = {"usr/bin/python3": "python3.11", "usr/bin/python3.11": ""}


def make_layer(entries: Mapping[str, str]) -> bytes:
    """Make a layer of empty files and, where a target is named, links."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, target in entries.items():
            entry = tarfile.TarInfo(name)
            if target:
                entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return data.getvalue()


class Layout:
    """Writes an OCI layout, blob by blob.

    Args:
        folder: The folder, which is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def add(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Add a blob, and return its descriptor."""
        number = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / number).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{number}", "size": len(data)}

    def add_document(self, value: object, media_type: str) -> dict[str, Any]:
        """Add a document, and return its descriptor."""
        return self.add(json.dumps(value).encode(), media_type)

    def add_image(
        self,
        layers: Sequence[Mapping[str, str]] = (DEBIAN,),
        *,
        architecture: str = "amd64",
        system: str = "linux",
        process: Mapping[str, object] | None = None,
        media_type: str = f"{LAYER}+gzip",
        **document: object,
    ) -> dict[str, Any]:
        """Add an image, and return the descriptor of its manifest."""
        plain = [make_layer(layer) for layer in layers]
        blobs = [gzip.compress(data, mtime=0) if "gzip" in media_type else data for data in plain]
        config = {
            "architecture": architecture,
            "os": system,
            "config": {"Env": [PATH]} if process is None else process,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(x).hexdigest()}" for x in plain]},
            **document,
        }
        manifest = {
            "schemaVersion": 2,
            "config": self.add_document(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [self.add(data, media_type) for data in blobs],
        }
        return self.add_document(manifest, MANIFEST)

    def write_index(self, *manifests: Mapping[str, Any]) -> Path:
        """Write the index, and return the folder."""
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(manifests)}))
        return self.folder


def make_base(folder: Path, *layers: Mapping[str, str], **options: Any) -> Path:
    """Make a layout with one image."""
    layout = Layout(folder)
    return layout.write_index(layout.add_image(layers or (DEBIAN,), **options))


def pack(folder: Path, file: Path) -> Path:
    """Pack a layout into an archive, as `tar -cf FILE .` does."""
    with tarfile.open(file, "w") as archive:
        archive.add(folder, ".")
    return file


def make_docker_archive(file: Path, entries: Mapping[str, str] = DEBIAN, *, damaged: bool = False) -> Path:
    """Make what `docker save` writes; the layer of a damaged one is not the one that it names."""
    layer = make_layer(entries)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": [PATH]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    files = {
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": ["base:latest"], "Layers": ["one/layer.tar"]}]
        ).encode(),
        "config.json": json.dumps(config).encode(),
        "one/layer.tar": make_layer({"other": ""}) if damaged else layer,
    }
    with tarfile.open(file, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file
