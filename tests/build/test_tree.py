from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from nitro_py.build.bundle.tree import match_globs, read_file, walk_files
from nitro_py.errors import BuildError
from tests.build.project_files import write_files


def walk(root: Path, folder: str = ".") -> list[str]:
    return [str(path) for path in walk_files(root, PurePosixPath(folder), keep=lambda path: path.name != "no")]


def test_walks_in_order_and_prunes(tmp_path: Path) -> None:
    write_files(tmp_path, "b.py", "a/c.py", "a/no/d.py", "no", "a.py")
    assert walk(tmp_path) == ["a/c.py", "a.py", "b.py"]
    assert walk(tmp_path, "a") == ["a/c.py"]


def test_follows_links_inside_the_root(tmp_path: Path) -> None:
    write_files(tmp_path, "shared/a.py", "app/b.py")
    (tmp_path / "app/shared").symlink_to("../shared")
    (tmp_path / "app/c.py").symlink_to("b.py")
    assert walk(tmp_path, "app") == ["app/b.py", "app/c.py", "app/shared/a.py"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../..", "leaves the project"),
        ("/etc/hostname", "leaves the project"),
        ("nowhere", "leads nowhere"),
        ("link", "leads nowhere"),
        (".", "a folder that it is in"),
        ("..", "a folder that it is in"),
        ("../.env", "which never goes into a bundle"),
    ],
)
def test_link_that_is_refused(tmp_path: Path, target: str, message: str) -> None:
    root = tmp_path / "project"
    write_files(root, "app/a.py", ".env")
    (root / "app/link").symlink_to(target)
    with pytest.raises(BuildError, match=message) as caught:
        walk(root, "app")
    assert caught.value.file is not None
    assert caught.value.file.startswith("app/link")


def test_root_behind_a_link(tmp_path: Path) -> None:
    write_files(tmp_path, "real/a.py")
    (tmp_path / "root").symlink_to("real")
    assert walk(tmp_path / "root") == ["a.py"]


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    write_files(tmp_path, "a")
    with pytest.raises(BuildError, match="The folder `a` cannot be read"):
        walk(tmp_path, "a")


@pytest.mark.parametrize(
    ("path", "glob", "matches"),
    [
        ("a.py", "*.py", True),
        ("x/a.py", "*.py", False),
        ("x/a.py", "**/*.py", True),
        ("a.py", "**/*.py", True),
        ("x/y/a.py", "x/**", True),
        ("x/y/a.py", "x", True),
        ("x/y/a.py", "x/", True),
        ("xy/a.py", "x", False),
        ("x/y/z/a.py", "x/**/a.py", True),
        ("A.py", "a.py", False),
        ("[id].py", "[[]id].py", True),
    ],
)
def test_globs(path: str, glob: str, matches: bool) -> None:
    assert match_globs(PurePosixPath(path), [glob]) is matches


@pytest.mark.parametrize(("name", "reason"), [("gone", "No such file or directory"), ("folder", "Is a directory")])
def test_file_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BuildError) as caught:
        read_file(tmp_path, name)
    assert str(caught.value) == (
        f"`{name}` cannot be read: {reason}.\n  at {name}\n  hint: Make it a file that you may read."
    )
