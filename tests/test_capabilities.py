from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capabilities import require_program, summarize_skips
from tests.checkout import ROOT


def test_found_program_is_executable() -> None:
    program = require_program("git")
    assert os.access(program, os.X_OK)


def test_missing_program_skips_and_says_how_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    assert shutil.which("chromium") is None
    with pytest.raises(pytest.skip.Exception, match=r"`chromium` is missing; .*apt-get install"):
        require_program("chromium")


def test_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"`chromium` is missing; .*apt-get install"):
        require_program("chromium")


def test_run_ends_in_one_line_for_each_missing_program(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "CI"} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/presets/asgi/test_browser.py"]
    shown = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False).stdout
    lines = [line for line in shown.splitlines() if "chromium" in line]
    assert len(lines) == 1, shown
    assert re.match(r"`chromium` is missing: \d+ tests skipped; install it with `apt-get install ", lines[0])


def test_skips_for_one_reason_are_one_line() -> None:
    def skip(reason: str) -> pytest.TestReport:
        where = ("test_a.py", 1, f"Skipped: {reason}")
        return pytest.TestReport("test_a.py::test_a", ("test_a.py", 1, "test_a"), {}, "skipped", where, "call")

    reasons = ["the target does not declare a.b", "It rains.", "the target does not declare c.d"]
    assert summarize_skips(map(skip, reasons)) == [
        "the target does not declare: 2 tests skipped",
        "It rains.: 1 test skipped",
    ]
