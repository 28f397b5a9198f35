"""Writing a folder as a layer; the same files give the same bytes."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
from pathlib import Path, PurePosixPath

from nitro_presets.container.image.base import Layer
from nitro_presets.container.image.documents import LAYER_TYPE, Descriptor
from nitro_presets.container.image.layout import hash_file
from nitro_py.preset import walk_files

LEVEL = 6


def write_layer(folder: Path, place: str, file: Path) -> Layer:
    """Write a folder's files as a layer: everybody may read them, and only root could write them.

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
            _add(archive, name, source)
    with plain.open("rb") as read, file.open("wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed:
        shutil.copyfileobj(read, packed)
    diff_id, _ = hash_file(plain.open("rb"))
    plain.unlink()
    digest, size = hash_file(file.open("rb"))
    return Layer(
        Descriptor(media_type=f"{LAYER_TYPE}+gzip", digest=digest, size=size), diff_id, lambda: file.open("rb")
    )


def _add(archive: tarfile.TarFile, name: str, source: Path | None) -> None:
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
