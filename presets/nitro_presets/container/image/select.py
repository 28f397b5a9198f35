"""Choosing one image of those that a layout holds."""

from __future__ import annotations

from collections.abc import Iterator

from nitro_presets.container.image.documents import INDEX_TYPE, MANIFEST_TYPE, Index, IndexEntry, IndexPlatform
from nitro_presets.container.image.layout import Source, broken, read_document, read_file
from nitro_presets.container.platforms import Architecture
from nitro_py.errors import UsageError

_MANIFESTS = frozenset({MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json"})
_INDEXES = frozenset({INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json"})
# Beside images, indexes hold what was attested about them.
_ATTESTED = "vnd.docker.reference.type"
DEEPEST = 4


def select_manifest(source: Source, architecture: Architecture) -> IndexEntry:
    """Choose the manifest of the one image that is there, or of the one that is for a processor.

    Raises:
        UsageError: There is no image, none for the processor, or more than one.
    """
    index = read_file(source, "index.json", "index", Index)
    # One image may have several names.
    candidates = list({entry.digest: entry for entry in _walk(source, index, DEEPEST)}.values())
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


def _walk(source: Source, index: Index, depth: int) -> Iterator[IndexEntry]:
    if depth == 0:
        raise broken(source, f"The index holds indexes that hold indexes, more than {DEEPEST} deep")
    for entry in index.manifests or ():
        if _ATTESTED in (entry.annotations or {}):
            continue
        if entry.media_type in _INDEXES:
            yield from _walk(source, read_document(source, entry, "index", Index), depth - 1)
        elif entry.media_type in _MANIFESTS:
            yield entry
