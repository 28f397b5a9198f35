from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT, list_files

# A registry's address in a file that is shared sends everybody's installs there.
ADDRESS = re.compile(
    r"(?:index[-_]url|find[-_]links|\bregistry\s*=).*://|(?:https?|file)://\S*/simple\b", re.IGNORECASE
)


@pytest.mark.parametrize(
    "line",
    [
        "--extra-index-url https:%s/pypi/",
        'index-url = "file:%s/packages"',
        "https:%s/simple",
        "registry=https:%s/npm/",
    ],
)
def test_address_of_a_registry_is_found(line: str) -> None:
    # Put together here, so that this file doesn't hold what it looks for.
    assert ADDRESS.search(line % "//mirror.example")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["ruff", "check", "--no-cache"], id="lint"),
        pytest.param(["ruff", "format", "--check", "--no-cache"], id="format"),
        pytest.param(["mypy"], id="types", marks=pytest.mark.slow),
    ],
)
def test_tool_finds_nothing(arguments: list[str]) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_file_names_a_registry() -> None:
    found = [
        f"{file}:{number}: {line.strip()}"
        for file in list_files()
        for number, line in enumerate(read_text(ROOT / file).splitlines(), start=1)
        if ADDRESS.search(line)
    ]
    assert found == []


def test_constraints_are_exact_and_hold_no_address() -> None:
    pin = re.compile(r"[a-z0-9-]+==[\w.!+]+( ; [^;]+)?")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if pin.fullmatch(line) is None] == []


def read_text(file: Path) -> str:
    """Read a file as text, whatever it holds."""
    return file.read_text(encoding="utf-8", errors="replace")
