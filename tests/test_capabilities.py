from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.capabilities import require_program


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
