"""Finding what an image is in its layers, without running it."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Mapping

from nitro_presets.container.image.base import BaseImage
from nitro_presets.container.image.layout import broken
from nitro_presets.container.platforms import ImagePlatform
from nitro_py.errors import UsageError

# The oldest that nitropy-kit runs on.
OLDEST = (3, 11)
_PYTHON = re.compile(r"python3(?:\.(\d+))?")
_MUSL = re.compile(r"ld-musl-\w+\.so\.1")
_DELETED = ".wh."
_EMPTIED = ".wh..wh..opq"
# Where programs are looked for when the image does not say.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find_platform(base: BaseImage) -> ImagePlatform:
    """Find what an image is: its Python is what `python3` calls.

    Args:
        base: The image.

    Raises:
        UsageError: It has none, it is too old, or a layer cannot be read.
    """
    environ = dict(line.partition("=")[::2] for line in base.document.process.variables or ())
    programs = _list_programs(base)
    minor = _find_minor(programs, environ)
    hint = "Take an image of Python, such as `python:3.13-slim`, or one that has it as `python3`."
    if minor is None:
        raise UsageError("The base image has no `python3` in its `PATH`.", file=str(base.source.path), hint=hint)
    if (3, minor) < OLDEST:
        message = f"The base image has Python 3.{minor}: expected {OLDEST[0]}.{OLDEST[1]} or later."
        raise UsageError(message, file=str(base.source.path), hint=hint)
    musl = any(_MUSL.fullmatch(posixpath.basename(path)) for path in programs)
    return ImagePlatform(base.architecture, f"3.{minor}", musl)


def _find_minor(programs: Mapping[str, str], environ: Mapping[str, str]) -> int | None:
    for folder in (environ.get("PATH") or _PATH).split(":"):
        place = folder.strip("/")
        link = programs.get(f"{place}/python3")
        if link is None:
            continue
        named = _PYTHON.fullmatch(posixpath.basename(link))
        if named is not None and named[1]:
            return int(named[1])
        # Not a link that tells: the program under its full name stands beside it, in most images.
        beside = [found[1] for path in programs if (found := _PYTHON.fullmatch(path.removeprefix(f"{place}/")))]
        minors = {int(text) for text in beside if text}
        if len(minors) == 1:
            return minors.pop()
        said = re.match(r"3\.(\d+)", environ.get("PYTHON_VERSION", ""))
        return int(said[1]) if said else None
    return None


def _list_programs(base: BaseImage) -> dict[str, str]:
    """List what may be Python or tell the C library: path → what it links to, or nothing."""
    found: dict[str, str] = {}
    for number, layer in enumerate(base.layers):
        # What a layer deletes is below it, in whatever order its archive is.
        added: dict[str, str] = {}
        try:
            with layer.open() as file, tarfile.open(fileobj=file, mode="r|*") as archive:
                for member in archive:
                    _note(member, found, added)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise broken(base.source, f"Layer {number} is no archive: {error}") from None
        found |= added
    return found


def _note(member: tarfile.TarInfo, below: dict[str, str], added: dict[str, str]) -> None:
    folder, name = posixpath.split(posixpath.normpath(member.name).lstrip("/"))
    if name == _EMPTIED:
        _delete(below, folder)
    elif name.startswith(_DELETED):
        _delete(below, posixpath.join(folder, name.removeprefix(_DELETED)))
    elif not member.isdir() and (_PYTHON.fullmatch(name) or _MUSL.fullmatch(name)):
        added[posixpath.join(folder, name)] = member.linkname


def _delete(found: dict[str, str], path: str) -> None:
    for name in [name for name in found if name == path or name.startswith(f"{path}/")]:
        del found[name]
