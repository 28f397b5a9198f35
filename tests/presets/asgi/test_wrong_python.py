"""A bundle that is started by a Python that cannot run it says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("vendored", "hint"),
    [(False, " -m pip install -r "), (True, "Run the bundle with the Python that built it")],
)
def test_missing_package_is_explained(demo_bundle: Path, tmp_path: Path, vendored: bool, hint: str) -> None:
    server = shutil.copytree(demo_bundle / "server", tmp_path / "server")
    if vendored:
        (server / "vendor").mkdir()
    # `-S` leaves out site-packages altogether.
    done = subprocess.run(
        [sys.executable, "-I", "-S", server, "--port", "0"], capture_output=True, text=True, check=False
    )
    python = "{}.{}".format(*sys.version_info[:2])
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: The bundle's packages cannot be imported by this Python, {python}: No module named 'uvicorn'."
    )
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_python_that_is_too_old_is_named(demo_bundle: Path) -> None:
    pretend = "import runpy, sys; sys.version_info = (3, 9, 1); runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", pretend, str(demo_bundle / "server")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: This bundle needs Python 3.11 or later, and this is 3.9.\n",
    )
