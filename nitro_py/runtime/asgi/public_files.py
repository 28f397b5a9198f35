"""The files of `public/`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nitro_py.event import Receive, Scope, Send

if TYPE_CHECKING:
    from starlette.staticfiles import StaticFiles

# The folder of public files in a bundle, whatever its name in the project.
PUBLIC_DIR = "public"
# The files that browsers get for errors, by status.
ERROR_FILES: Final = {404: "/404.html", 500: "/500.html"}


class PublicFiles:
    """The public files that the manifest names, served with ETags and ranges by Starlette.

    Args:
        folder: Their folder.
        paths: Their paths below it, each with a leading slash.
    """

    def __init__(self, folder: Path, paths: Iterable[str]) -> None:
        self._folder = folder
        self._paths = frozenset(paths)
        self._files: StaticFiles | None = None

    def find(self, scope: Scope) -> str | None:
        """Return the file for a request, for a folder its `index.html`; `None` if there is none."""
        if not self._paths or scope["method"] not in ("GET", "HEAD"):
            return None
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in self._paths:
            return path
        index = path.rstrip("/") + "/index.html"
        return index if index in self._paths else None

    async def serve(self, file: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file."""
        if self._files is None:
            from starlette.staticfiles import StaticFiles

            self._files = StaticFiles(directory=self._folder)
        await self._files({**scope, "path": file, "root_path": ""}, receive, send)
