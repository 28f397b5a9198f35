"""The peers that the benchmark compares with, installed into a folder of its own and kept between runs."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.benchmarks.failures import BenchmarkError

# One set for each group of packages that must agree on versions.
PYTHON_SETS: dict[str, tuple[str, ...]] = {
    "servers": (
        "granian==2.8.7",
        "httptools==0.9.0",
        "hypercorn==0.18.0",
        "picows==2.3.1",
        "sse-starlette==3.7.0",
        "starlette==1.10.0",
        "uvicorn==0.54.0",
        "uvloop==0.23.0",
        "websockets==17.4",
        "wsproto==1.3.2",
    ),
    "chalice": ("chalice==1.34.0", "setuptools==80.9.0"),
    "lambda": (
        "aws-lambda-powertools==3.37.0",
        "boto3==1.44.5",
        "botocore==1.44.5",
        "chalice==1.34.0",
        "fastapi==0.165.0",
        "mangum==0.22.0",
        "setuptools==80.9.0",
        "starlette==1.10.0",
    ),
    "chart": ("matplotlib==3.11.2",),
}
NODE_SETS: dict[str, tuple[str, ...]] = {
    "node": ("crossws@0.4.17", "h3@2.0.8"),
    "nitro": ("nitropack@2.13.6",),
    "nitro-3": ("h3@2.0.8", "nitro@3.0.0"),
}
# What was installed stands here, so that a changed pin is noticed.
RECEIPT = "installed.json"


@dataclass(frozen=True, slots=True)
class Install:
    """A set of peers.

    Args:
        folder: Where it is.
        kind: Whose packages it holds.
    """

    folder: Path
    kind: Literal["python", "node"]

    @property
    def python(self) -> Path:
        """The interpreter that imports the set."""
        return self.folder / "venv/bin/python"

    @property
    def modules(self) -> Path:
        """The `node_modules` of the set."""
        return self.folder / "node_modules"


def install_peers(name: str, folder: Path) -> Install:
    """Install a set, or take it as an earlier run has left it.

    Args:
        name: The set.
        folder: Where all sets are.

    Raises:
        BenchmarkError: The package manager is missing, or failed.
    """
    kind: Literal["python", "node"] = "python" if name in PYTHON_SETS else "node"
    packages = PYTHON_SETS[name] if kind == "python" else NODE_SETS[name]
    install = Install(folder / name, kind)
    receipt = install.folder / RECEIPT
    wanted = json.dumps([*packages, sys.version if kind == "python" else ""])
    with _lock(folder):
        if receipt.exists() and receipt.read_text(encoding="utf-8") == wanted:
            return install
        shutil.rmtree(install.folder, ignore_errors=True)
        install.folder.mkdir()
        print(f"Installing {', '.join(packages)} …", file=sys.stderr)
        if kind == "python":
            _install_python(install, packages)
        else:
            _install_node(install, packages)
        receipt.write_text(wanted, encoding="utf-8")
    return install


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep others out, such as a run from another checkout, until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_python(install: Install, packages: tuple[str, ...]) -> None:
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "-q", "--python", sys.executable, str(install.folder / "venv")], install.folder)
    _run(
        [*uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(install.python), *packages],
        install.folder,
    )


def _install_node(install: Install, packages: tuple[str, ...]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise BenchmarkError("`npm` is not on the PATH, and the peers on node need it.")
    (install.folder / "package.json").write_text('{"private": true, "type": "module"}\n', encoding="utf-8")
    _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--save-exact", *packages], install.folder)


def _run(command: list[str], folder: Path) -> None:
    ran = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )
    if ran.returncode != 0:
        raise BenchmarkError(f"`{' '.join(command)}` ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
