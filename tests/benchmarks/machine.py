"""Where and when figures were taken, and of which versions."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.installs import NODE_SETS, PYTHON_SETS

# What decides how fast our own server is.
OUR_PACKAGES = ("nitropy-kit", "uvicorn", "uvloop", "httptools")


def describe_machine() -> dict[str, str]:
    """Name the day, the machine's class and the interpreters."""
    return {
        "date": date.today().isoformat(),
        "processor": f"{os.cpu_count()} cores of {_read_processor()}",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "node": _read_node(),
    }


def list_versions() -> dict[str, str]:
    """Name the versions of ours and of all peers."""
    ours = {name: version(name) for name in OUR_PACKAGES}
    sets = {name: pins for name, pins in (PYTHON_SETS | NODE_SETS).items() if name != "chart"}
    pins = [pin.replace("==", "@") for pins in sets.values() for pin in pins]
    return dict(pin.rsplit("@", 1) for pin in pins) | ours


def _read_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _read_node() -> str:
    node = shutil.which("node")
    if node is None:
        return "none"
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return asked.stdout.strip().lstrip("v")
