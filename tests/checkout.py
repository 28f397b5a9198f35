"""The checkout that the tests run in."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.capabilities import require_program

ROOT = Path(__file__).resolve().parent.parent


def list_files(*folders: str) -> list[Path]:
    """List the files that git tracks or would track.

    Args:
        folders: Where to look, relative to the checkout; everywhere by default.

    Returns:
        Sorted paths relative to the checkout, of files that exist.

    Example:
        >>> list_files("LICENSE")
        [PosixPath('LICENSE')]
    """
    git = require_program("git")
    command = [str(git), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = {Path(name) for name in listed.split("\0") if name}
    return sorted(file for file in files if (ROOT / file).is_file())
