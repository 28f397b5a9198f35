"""A project is built by a Python that its `requires-python` allows."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from nitro_py.build.bundle.pyproject import check_python
from nitro_py.errors import BuildError
from tests.bundles import write_files
from tests.cli.commands import fail, make_project


def require(root: Path, python: str) -> Path:
    """Write a project that wants such a Python."""
    return write_files(root, {"pyproject.toml": f'[project]\nname = "shop"\nrequires-python = {python}\n'})


@pytest.mark.parametrize("python", ['">=3.11"', '""', '">=3.11,!=3.12.0,<4"'])
def test_python_that_suits(tmp_path: Path, python: str) -> None:
    check_python(require(tmp_path, python))


@pytest.mark.parametrize("text", ["", "[project]\nname = 'shop'\n", "project = 1\n"])
def test_project_that_says_nothing(tmp_path: Path, text: str) -> None:
    check_python(tmp_path)
    check_python(write_files(tmp_path, {"pyproject.toml": text}))


@pytest.mark.parametrize(("python", "shown"), [('"three"', "three"), ("3", "3"), ("[]", "[]")])
def test_setting_that_cannot_be_read(tmp_path: Path, python: str, shown: str) -> None:
    with pytest.raises(BuildError) as caught:
        check_python(require(tmp_path, python))
    assert str(caught.value) == (
        f"`project.requires-python` cannot be read: expected such as `>=3.11`, got `{shown}`.\n"
        "  at pyproject.toml:3"
    )


@pytest.mark.slow
def test_command_names_both_pythons(tmp_path: Path) -> None:
    root = require(make_project(tmp_path / "project"), '">=4.1"')
    for command in ("build", "check", "routes"):
        assert fail(root, command).startswith(
            f"This Python does not suit the project: expected `>=4.1`, got {platform.python_version()}.\n"
            "  at pyproject.toml:3\n"
            "  hint: "
        )
