"""Choosing one image of those that a layout holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nitro_presets.container.image.layout import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    Source,
    broken,
    read_descriptor,
    read_document,
    read_json,
)
from nitro_presets.container.platforms import Architecture
from nitro_py.errors import UsageError

_MANIFESTS = frozenset({MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json"})
_INDEXES = frozenset({INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json"})
# Beside images, indexes hold what was attested about them.
_ATTESTED = "vnd.docker.reference.type"
DEEPEST = 4

Candidate = tuple[Descriptor, Mapping[str, Any]]


def select_manifest(source: Source, architecture: Architecture) -> Descriptor:
    """Chooses the manifest of the one image that is there, or of the one that is for a processor.

    Raises:
        UsageError: There is no image, none for the processor, or more than one.
    """
    candidates = list(_walk(source, read_json(source, "index.json", "index", dict), DEEPEST))
    if len(candidates) == 1:
        return candidates[0][0]
    wanted = ("linux", architecture)
    fitting = {
        descriptor
        for descriptor, platform in candidates
        if (platform.get("os"), platform.get("architecture")) == wanted
    }
    if len(fitting) == 1:
        return fitting.pop()
    listed = ", ".join(sorted(f"`{_describe(platform)}`" for _, platform in candidates)) or "none"
    raise UsageError(
        f"The base holds {len(fitting)} images for `linux/{architecture}`: expected one (it has {listed}).",
        file=str(source.path),
        hint=f"Copy one: `skopeo copy --override-arch {architecture} docker://python:3.13-slim oci:base:latest`.",
    )


def _walk(source: Source, index: Mapping[str, Any], depth: int) -> Iterator[Candidate]:
    if depth == 0:
        raise broken(source, f"The index holds indexes that hold indexes, more than {DEEPEST} deep")
    for value in index.get("manifests") or ():
        if _ATTESTED in (value.get("annotations") or {}):
            continue
        descriptor = read_descriptor(source, value, "manifest")
        if descriptor.media_type in _INDEXES:
            yield from _walk(source, read_document(source, descriptor, "index"), depth - 1)
        elif descriptor.media_type in _MANIFESTS:
            yield descriptor, value.get("platform") or {}


def _describe(platform: Mapping[str, Any]) -> str:
    return f"{platform.get('os', 'unknown')}/{platform.get('architecture', 'unknown')}"
