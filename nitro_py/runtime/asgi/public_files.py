"""The files of `public/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nitro_py.event import Receive, Scope, Send

if TYPE_CHECKING:
    from nitro_py.runtime.asgi.validated_files import ValidatedFiles

# The folder of public files in a bundle, whatever its name in the project.
PUBLIC_DIR = "public"
# The files that browsers get for errors, by status.
ERROR_FILES: Final = {404: "/404.html", 500: "/500.html"}


class PublicFiles:
    """The public files that the manifest names, served with ETags and ranges by Starlette.

    Args:
        folder: Their folder.
        hashes: Their paths below it, each with a leading slash → the hash of the content.
        changing: Whether files may change while they are served, so that hashes are made of what is there.
    """

    def __init__(self, folder: Path, hashes: Mapping[str, str], *, changing: bool = False) -> None:
        self._folder = folder
        self._hashes = hashes
        self._changing = changing
        self._files: ValidatedFiles | None = None

    def find(self, scope: Scope) -> str | None:
        """Return the file for a request, for a folder its `index.html`; `None` if there is none."""
        if not self._hashes or scope["method"] not in ("GET", "HEAD"):
            return None
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in self._hashes:
            return path
        index = path.rstrip("/") + "/index.html"
        return index if index in self._hashes else None

    async def serve(self, file: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file."""
        if self._files is None:
            from nitro_py.runtime.asgi.validated_files import ValidatedFiles

            self._files = ValidatedFiles(self._folder, changing=self._changing)
        digest = self._hashes[file]
        if self._changing:
            try:
                digest = hash_content((self._folder / file[1:]).read_bytes())
            except OSError:
                # Gone since; the answer will be 404.
                digest = ""
        await self._files.serve({**scope, "path": file, "root_path": ""}, receive, send, f'"{digest}"')


def hash_content(data: bytes) -> str:
    """Return the hash of a file's content, as the manifest has it."""
    # Only builds and `nitropy dev` make hashes. MD5, because object stores make their ETags so: a file has the
    # same one wherever it is served from. It tells versions of one file apart, and protects nothing.
    from hashlib import md5

    return md5(data, usedforsecurity=False).hexdigest()
