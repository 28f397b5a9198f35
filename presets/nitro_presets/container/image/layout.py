"""Reading an image from a folder or an archive: documents and blobs."""

from __future__ import annotations

import hashlib
import tarfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from nitro_presets.container.image.documents import Descriptor
from nitro_py.errors import UsageError

# A document larger than this is none; registries draw the same line.
MAX_DOCUMENT = 4 * 1024 * 1024
CHUNK = 1024 * 1024

M = TypeVar("M", bound=BaseModel)


class Source(Protocol):
    """A folder or an archive that holds an image."""

    path: Path

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""

    def open(self, name: str) -> AbstractContextManager[IO[bytes]] | None:
        """Open a file of it; `None` if there is none."""


class FolderSource:
    """An image as a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Return whether the folder has a file."""
        return (self.path / name).is_file()

    def open(self, name: str) -> IO[bytes] | None:
        """Open a file of the folder."""
        file = self.path / name
        return file.open("rb") if file.is_file() else None


class ArchiveSource:
    """An image as a tar archive, compressed or not."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self.path = path
        self._archive = archive
        self._members = {member.name.removeprefix("./"): member for member in archive if not member.isdir()}

    def has(self, name: str) -> bool:
        """Return whether the archive has a file."""
        return name in self._members

    def open(self, name: str) -> IO[bytes] | None:
        """Open a file of the archive; archives of Docker name a layer that comes up twice by a link."""
        member = self._members.get(name)
        try:
            return None if member is None else self._archive.extractfile(member)
        except KeyError:
            return None


def blob_name(digest: str) -> str:
    """Return the path of a blob in a layout.

    Example:
        >>> blob_name("sha256:ab")
        'blobs/sha256/ab'
    """
    return f"blobs/{digest.replace(':', '/')}"


def read_document(source: Source, descriptor: Descriptor, what: str, model: type[M]) -> M:
    """Read a document that a descriptor points at, once its size and its hash are checked.

    Args:
        source: Where it is.
        descriptor: What points at it.
        what: What it is, for errors.
        model: What it must be.

    Raises:
        UsageError: It is missing, damaged, or something else.
    """
    verify_blob(source, descriptor, what)
    return read_file(source, blob_name(descriptor.digest), what, model)


def read_file(source: Source, name: str, what: str, model: type[M]) -> M:
    """Read a document from a file of the source.

    Raises:
        UsageError: It is missing, too large, or something else.
    """
    opened = source.open(name)
    if opened is None:
        raise broken(source, f"The {what} is missing: there is no `{name}`")
    with opened as file:
        data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise broken(source, f"The {what} in `{name}` has more than {MAX_DOCUMENT} bytes")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"`{place}`: {first['msg']}" if place else first["msg"]
        raise broken(source, f"The {what} in `{name}` cannot be read: {reason}") from None


def verify_blob(source: Source, descriptor: Descriptor, what: str) -> None:
    """Check that a blob is there and is what its descriptor says.

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
    """Return the digest and the size of a file, and close it."""
    known, size = hashlib.sha256(), 0
    with opened as file:
        while chunk := file.read(CHUNK):
            known.update(chunk)
            size += len(chunk)
    return f"sha256:{known.hexdigest()}", size


def broken(source: Source, message: str) -> UsageError:
    """Make the error about an image that cannot be a base."""
    hint = "Copy it again, for example: `skopeo copy docker://python:3.13-slim oci:base:latest`."
    return UsageError(f"{message}.", file=str(source.path), hint=hint)
