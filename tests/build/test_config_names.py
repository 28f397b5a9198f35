"""Settings in a place that nothing reads are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.load import load_config
from tests.build.config_files import fail_to_load


@pytest.mark.parametrize("name", ["nitro", "nitro_py", "nitropy-kit", "nitropi", "nitrop"])
def test_table_that_nothing_reads(tmp_path: Path, name: str) -> None:
    error = fail_to_load(
        tmp_path, f'[project]\nname = "a"\n\n[tool.{name}]\npreset = "asgi"', file="pyproject.toml"
    )
    assert error.message == f"`[tool.{name}]` is read by nothing: expected `[tool.nitropy]`."
    assert (error.file, error.line) == ("pyproject.toml", 4)


def test_tables_of_other_tools(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.poetry]\n[tool.nitpick]\n[tool.mypy]\n[tool.nitropy]\n")
    assert load_config(tmp_path, mode="production", overrides={}, environ={}).source == "pyproject.toml"


def test_file_that_nothing_reads(tmp_path: Path) -> None:
    assert fail_to_load(tmp_path, file="nitropy.toml").hint == "Rename it to `nitro.toml`."
