"""Words of the OCI image specification 1.1, and what is read from a layout: documents and blobs."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from nitro_py.errors import UsageError

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
# A document larger than this is none; registries draw the same line.
LARGEST_DOCUMENT = 4 * 1024 * 1024
CHUNK = 1024 * 1024
_KINDS: Mapping[type, str] = {dict: "object", list: "array"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Points at a blob.

    Args:
        media_type: What it is.
        digest: Its hash, such as `sha256:…`.
        size: In bytes.
    """

    media_type: str
    digest: str
    size: int

    def to_json(self) -> dict[str, object]:
        """Gives what stands in a document."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Source(Protocol):
    """Is a folder or an archive that holds an image."""

    path: Path

    def has(self, name: str) -> bool:
        """Tells whether there is such a file."""

    def open(self, name: str) -> AbstractContextManager[IO[bytes]] | None:
        """Opens a file of it; `None` if there is none."""


class FolderSource:
    """Is an image as a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Tells whether the folder has a file."""
        return (self.path / name).is_file()

    def open(self, name: str) -> IO[bytes] | None:
        """Opens a file of the folder."""
        file = self.path / name
        return file.open("rb") if file.is_file() else None


class ArchiveSource:
    """Is an image as a tar archive."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self.path = path
        self._archive = archive
        self._members = {member.name.removeprefix("./"): member for member in archive if not member.isdir()}

    def has(self, name: str) -> bool:
        """Tells whether the archive has a file."""
        return name in self._members

    def open(self, name: str) -> IO[bytes] | None:
        """Opens a file of the archive; archives of Docker name a layer that comes up twice by a link."""
        member = self._members.get(name)
        try:
            return None if member is None else self._archive.extractfile(member)
        except KeyError:
            return None


def read_descriptor(source: Source, value: Mapping[str, Any], what: str) -> Descriptor:
    """Reads what points at a blob.

    Args:
        source: Where it was found.
        value: The object.
        what: What it points at, for errors.

    Raises:
        UsageError: It is no descriptor, or its hash is not SHA-256.
    """
    try:
        found = Descriptor(str(value["mediaType"]), str(value["digest"]), int(value["size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise broken(source, f"The descriptor of the {what} cannot be read: {error!r}") from None
    algorithm, _, number = found.digest.partition(":")
    if algorithm != "sha256" or len(number) != 64 or set(number) - set("0123456789abcdef"):
        raise broken(source, f"The {what} has the digest `{found.digest}`: expected `sha256:` and 64 digits")
    return found


def blob_name(digest: str) -> str:
    """Gives the path of a blob in a layout.

    Example:
        >>> blob_name("sha256:ab")
        'blobs/sha256/ab'
    """
    return f"blobs/{digest.replace(':', '/')}"


def read_document(source: Source, descriptor: Descriptor, what: str) -> dict[str, Any]:
    """Reads a JSON document that a descriptor points at, once its size and its hash are checked.

    Raises:
        UsageError: It is missing, damaged, or no JSON object.
    """
    if descriptor.size > LARGEST_DOCUMENT:
        raise broken(source, f"The {what} has {descriptor.size} bytes: expected {LARGEST_DOCUMENT} at most")
    verify_blob(source, descriptor, what)
    return read_json(source, blob_name(descriptor.digest), what, dict)


def read_json(source: Source, name: str, what: str, kind: type[T]) -> T:
    """Reads a JSON document from a file of the source.

    Args:
        source: The source.
        name: The file.
        what: What it is, for errors.
        kind: What it must be: a `dict` or a `list`.

    Raises:
        UsageError: It is missing, or something else.
    """
    opened = source.open(name)
    if opened is None:
        raise broken(source, f"The {what} is missing: there is no `{name}`")
    with opened as file:
        try:
            value: Any = json.loads(file.read(LARGEST_DOCUMENT + 1))
        except ValueError as error:
            raise broken(source, f"The {what} in `{name}` is no JSON: {error}") from None
    if not isinstance(value, kind):
        raise broken(source, f"The {what} in `{name}` is no JSON {_KINDS[kind]}")
    return value


def verify_blob(source: Source, descriptor: Descriptor, what: str) -> None:
    """Checks that a blob is there and is what its descriptor says.

    Raises:
        UsageError: It is missing, or has another size or hash.
    """
    name = blob_name(descriptor.digest)
    opened = source.open(name)
    if opened is None:
        raise broken(source, f"The {what} is missing: there is no `{name}`")
    digest, size = hash_file(opened)
    if (digest, size) != (descriptor.digest, descriptor.size):
        raise broken(
            source,
            f"The {what} is damaged: expected {descriptor.size} bytes with the digest `{descriptor.digest}`, "
            f"got {size} bytes with `{digest}`",
        )


def hash_file(opened: AbstractContextManager[IO[bytes]]) -> tuple[str, int]:
    """Gives the digest and the size of a file, and closes it."""
    known, size = hashlib.sha256(), 0
    with opened as file:
        while chunk := file.read(CHUNK):
            known.update(chunk)
            size += len(chunk)
    return f"sha256:{known.hexdigest()}", size


def broken(source: Source, message: str) -> UsageError:
    """Makes the error about an image that cannot be a base."""
    hint = "Copy it again, for example: `skopeo copy docker://python:3.13-slim oci:base:latest`."
    return UsageError(f"{message}.", file=str(source.path), hint=hint)
