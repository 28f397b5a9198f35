"""The public files in a bucket behind CloudFront, for `aws.public = "s3"`: what its edge has to know of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import FileResponse

from nitro_py.errors import BuildError
from nitro_py.preset import BuildInput
from nitro_py.runtime.asgi.internal_routes import INTERNAL_PREFIX
from nitro_py.runtime.asgi.public_files import ERROR_FILES
from nitro_py.runtime.asgi.validated_files import IMMUTABLE, REVALIDATED, is_hashed
from nitro_py.runtime.manifest import Route

# The folder of the bundle with what is uploaded, beside that of the functions.
UPLOADS = "public"
# What CloudFront takes: behaviours of a distribution, the default one included, and the bytes of a function.
MAX_BEHAVIORS = 25
MAX_FUNCTION = 10 * 1024
INDEX = "/index.html"
# The characters of a path pattern, without its wildcards.
_PATTERN = re.compile(r"[\w.$/~\"'@:+&-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PublicObject:
    """An object of the bucket.

    Args:
        kind: Its `Content-Type`.
        cache: Its `Cache-Control`.
        hash: The MD5 of its content, which is the ETag that S3 makes.
    """

    kind: str
    cache: str
    hash: str


@dataclass(frozen=True, slots=True)
class PublicBucket:
    """The bucket's objects, and which paths CloudFront asks it for.

    Args:
        folders: The folders below which no route answers, each as `/assets/`: CloudFront caches what is in them.
        files: The paths of the files elsewhere.
        indexes: The folders with an `index.html`, without the slash at their end.
        objects: The key of each object, which has no leading slash → the object.
    """

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    objects: Mapping[str, PublicObject] = field(default_factory=dict)

    def find(self, path: str) -> str | None:
        """Return the path of the file that a decoded path asks for; `None` if a route answers.

        The edge function does the same.
        """
        if path in self.files:
            return path
        folder = path.rstrip("/")
        if folder in self.indexes:
            return folder + INDEX
        if any(path.startswith(one) for one in self.folders) and not path.endswith("/"):
            return path
        return None

    def to_json(self) -> dict[str, object]:
        """Return what `nitro.json` has of it."""
        return {
            "folders": list(self.folders),
            "files": list(self.files),
            "indexes": list(self.indexes),
            "objects": {
                key: {"kind": one.kind, "cache": one.cache, "hash": one.hash} for key, one in self.objects.items()
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PublicBucket:
        """Make it of what `nitro.json` has.

        Raises:
            KeyError: Something is missing.
            TypeError: Something has another form.
        """
        return cls(
            tuple(values["folders"]),
            tuple(values["files"]),
            tuple(values["indexes"]),
            {key: PublicObject(**one) for key, one in values["objects"].items()},
        )


def plan_bucket(build: BuildInput, *, cloudfront: bool) -> PublicBucket | None:
    """Return what goes into the bucket; `None` if there are no public files.

    Raises:
        BuildError: There is no CloudFront to serve the bucket, or the files are more than it can tell apart.
    """
    if not cloudfront:
        raise BuildError(
            '`aws.public` is "s3" and `aws.cloudfront` is false: the bucket is private, and answers to CloudFront '
            "only.",
            hint='Set `aws.cloudfront = true`, or `aws.public = "function"`.',
        )
    hashes = {path: digest for path, digest in build.manifest.public.items() if not is_internal(path)}
    if not hashes:
        return None
    folders = tuple(_find_folders("/", hashes, build.manifest.routes))
    files = tuple(sorted(path for path in hashes if not path.startswith(folders)))
    indexes = tuple(sorted(path.removesuffix(INDEX) for path in hashes if path.endswith(INDEX)))
    objects = {
        path[1:]: PublicObject(find_type(path), IMMUTABLE if is_hashed(path) else REVALIDATED, digest)
        for path, digest in sorted(hashes.items())
    }
    bucket = PublicBucket(folders, files, indexes, objects)
    if len(folders) >= MAX_BEHAVIORS:
        raise BuildError(
            f"`{build.config.public_dir}` needs {len(folders)} path patterns of CloudFront, one for each folder, "
            f"and it takes {MAX_BEHAVIORS - 1}: {', '.join(f'`{one}*`' for one in folders[:3])}, ….",
            file=build.config.public_dir,
            hint='Move them into fewer folders, such as `assets/`, or set `aws.public = "function"`.',
        )
    return bucket


def check_function(code: str, build: BuildInput, bucket: PublicBucket) -> None:
    """Refuse an edge function that CloudFront does not take, because of the paths that it lists.

    Raises:
        BuildError: It is too large.
    """
    size = len(code.encode())
    if size > MAX_FUNCTION:
        raise BuildError(
            f"The CloudFront function has {size} bytes, and CloudFront takes {MAX_FUNCTION}: it lists "
            f"{len(bucket.files)} files of `{build.config.public_dir}`, those in whose folder a route may answer.",
            file=build.config.public_dir,
            hint="Move files into a folder below which no route answers, such as `assets/`: its name is enough.",
        )


def is_internal(path: str) -> bool:
    """Return whether a function serves a public file in any case, since internal paths come first there."""
    return path.startswith(INTERNAL_PREFIX)


def stays_in_package(path: str) -> bool:
    """Return whether the functions need a public file: an error's page, or what only they serve."""
    return path in ERROR_FILES.values() or is_internal(path)


def find_type(path: str) -> str:
    """Return a file's `Content-Type`, as other presets have it."""
    return FileResponse(path).headers["content-type"]


def write_edge_files(bucket: PublicBucket) -> dict[str, str]:
    """Write what the edge function knows, as JSON: a value for each mark of the template."""
    names: dict[str, list[str]] = {}
    for path in bucket.files:
        folder, _, name = path.rpartition("/")
        names.setdefault(f"{folder}/", []).append(name)
    parts = {
        "public_files": names,
        "public_folders": bucket.folders,
        "public_indexes": bucket.indexes,
    }
    return {name: json.dumps(value, separators=(",", ":")) for name, value in parts.items()}


def _find_folders(parent: str, paths: Iterable[str], routes: Sequence[Route]) -> Iterator[str]:
    """Find the largest folders below which no route answers; what CloudFront has no pattern for is none."""
    below = [path for path in paths if path.startswith(parent)]
    for name in sorted({path[len(parent) :].partition("/")[0] for path in below if "/" in path[len(parent) :]}):
        folder = f"{parent}{name}/"
        if _PATTERN.fullmatch(folder) and not any(_answers_below(route, folder) for route in routes):
            yield folder
        else:
            yield from _find_folders(folder, below, routes)


def _answers_below(route: Route, folder: str) -> bool:
    """Return whether a route could answer a path that begins with a folder's, with any method."""
    segments = [segment for segment in route.path.split("/") if segment]
    for index, name in enumerate(folder.strip("/").split("/")):
        if index >= len(segments):
            return route.mounted
        if segments[index].startswith("[..."):
            return True
        if "[" not in segments[index] and segments[index] != name:
            return False
    return route.mounted or len(segments) > folder.count("/") - 1
