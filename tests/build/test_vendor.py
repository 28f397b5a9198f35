"""Installing for another platform: wheels that fit its C library, and sources that hold no compiled code."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from nitro_py.build.bundle.vendor import vendor
from nitro_py.build.preset import OtherTarget
from nitro_py.errors import BuildError
from tests.build.test_dependencies import read_tree

# What builds itself, without anything that would have to be downloaded.
BACKEND = """
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "NAME-1.0-TAG.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("NAME.py", "X = 1\\n")
        wheel.writestr("NAME-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: NAME\\nVersion: 1.0\\n")
        text = "Wheel-Version: 1.0\\nGenerator: mine (%d)\\nRoot-Is-Purelib: true\\nTag: TAG\\n" % os.getpid()
        wheel.writestr("NAME-1.0.dist-info/WHEEL", text)
        wheel.writestr("NAME-1.0.dist-info/RECORD", "")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return each test a folder that is all of the index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


def write_sdist(index: Path, name: str, tag: str = "py3-none-any") -> None:
    """Write a source distribution whose wheel has a tag."""
    folder = index.parent / f"{name}-1.0"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "backend.py").write_text(BACKEND.replace("NAME", name).replace("TAG", tag))
    with tarfile.open(index / f"{name}-1.0.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)


def write_compiled(index: Path, name: str, *tags: str) -> None:
    """Write a wheel for some platforms."""
    python, abi, _ = tags[0].split("-")
    platforms = ".".join(tag.split("-")[2] for tag in tags)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(index / f"{name}-1.0-{python}-{abi}-{platforms}.whl", "w") as wheel:
        wheel.writestr(f"{name}.so", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"Tag: {tag}\n" for tag in tags)
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{lines}")
        wheel.writestr(f"{info}/RECORD", f"{name}.so,,\n")


def test_pure_source_is_built_to_the_same_bytes(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sdist(index, "quiet")
    trees = []
    for number in range(2):
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / f"cache{number}"))
        vendor(["quiet==1.0"], tmp_path / f"{number}", python_version="3.13", platform="aarch64-manylinux_2_34")
        trees.append(read_tree(tmp_path / f"{number}"))
    assert trees[0] == trees[1]
    assert trees[0]["quiet.py"] == b"X = 1\n"


def test_compiled_source_is_refused(tmp_path: Path, index: Path) -> None:
    write_sdist(index, "loud", "cp311-cp311-linux_x86_64")
    with pytest.raises(BuildError, match=r"cannot be installed|holds compiled code"):
        vendor(["loud==1.0"], tmp_path / "a", python_version="3.11", platform="x86_64-manylinux_2_34")
    assert not (tmp_path / "a/loud.py").exists()


def test_wheel_between_two_platforms_of_uv(tmp_path: Path, index: Path) -> None:
    # As greenlet's is: too new for 2.17, and made for a C library that the target is newer than.
    write_compiled(index, "green", "cp311-cp311-manylinux_2_24_x86_64", "cp311-cp311-manylinux_2_28_x86_64")
    platform = "x86_64-manylinux2014"
    vendor(["green==1.0"], tmp_path / "a", python_version="3.11", platform=platform, glibc=(2, 26))
    assert (tmp_path / "a/green.so").exists()
    with pytest.raises(BuildError, match="cannot be installed"):
        vendor(["green==1.0"], tmp_path / "b", python_version="3.11", platform=platform)


def test_hint_names_a_python_that_has_a_wheel(tmp_path: Path, index: Path) -> None:
    write_compiled(index, "new", "cp313-cp313-manylinux_2_28_x86_64")
    others = [OtherTarget(f"3.{minor}", "x86_64-manylinux_2_34", f"Take 3.{minor}.") for minor in (12, 13, 14)]
    with pytest.raises(BuildError) as caught:
        vendor(
            ["new==1.0"],
            tmp_path / "a",
            python_version="3.11",
            platform="x86_64-manylinux2014",
            glibc=(2, 26),
            others=others,
        )
    assert caught.value.hint == "Take 3.13."
