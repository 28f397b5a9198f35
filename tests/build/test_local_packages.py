"""Packages that were installed from this machine travel as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nitro_py.build.bundle.local_packages import find_by_distribution, find_by_module
from tests.build.project_files import install, write_texts


def origin(folder: Path, *, editable: bool) -> str:
    """Return what an installer writes of a folder that it installed from."""
    return json.dumps({"url": folder.as_uri(), "dir_info": {"editable": editable}})


@pytest.mark.parametrize("kind", ["path", "finder"])
def test_editable_installation(tmp_path: Path, site: Path, kind: str) -> None:
    folder = tmp_path / "libs/shared"
    write_texts(
        folder, {"pyproject.toml": "[project]\n", "src/shared_lib/__init__.py": "", "src/shared_lib/a.sql": ""}
    )
    write_texts(folder, {"src/shared_lib/.env": "", "tests/test_a.py": ""})
    if kind == "path":
        files = {"_shared_lib.pth": f"{folder / 'src'}\n"}
    else:
        mapping = {"shared_lib": str(folder / "src/shared_lib")}
        files = {
            "__editable__.shared_lib.pth": "import __editable___shared_lib_finder\n",
            "__editable___shared_lib_finder.py": f"MAPPING: dict[str, str] = {mapping!r}\n",
        }
    url = origin(folder, editable=True)
    install(site, "shared_lib", "1.0", modules=(*files,), requires=("zebra",), direct_url=url)
    write_texts(site, files)
    package = find_by_distribution("shared-lib", tmp_path / "project")
    assert package is not None
    assert (package.name, package.folder, package.requires) == ("shared-lib", folder, ("zebra",))
    assert sorted(package.files) == [
        "shared_lib-1.0.dist-info/METADATA",
        "shared_lib/__init__.py",
        "shared_lib/a.sql",
    ]


def test_installation_from_a_folder(tmp_path: Path, site: Path) -> None:
    url = origin(tmp_path / "libs/shared", editable=False)
    install(site, "shared_lib", "1.0", modules=("shared_lib/__init__.py",), direct_url=url)
    package = find_by_distribution("shared_lib", tmp_path)
    assert package is not None
    assert package.files["shared_lib/__init__.py"] == site / "shared_lib/__init__.py"


def test_what_is_no_package_of_ones_own(tmp_path: Path, site: Path) -> None:
    install(site, "published", "1.0", modules=("published.py",))
    url = origin(tmp_path / "libs/fast", editable=False)
    install(site, "fast", "1.0", modules=("fast.so",), direct_url=url)
    for name in ("published", "fast", "not-there"):
        assert find_by_distribution(name, tmp_path) is None
    install(site, "itself", "1.0", modules=("itself.py",), direct_url=origin(tmp_path, editable=True))
    own = find_by_distribution("itself", tmp_path)
    assert own is not None
    assert own.files == {}


def test_module_of_a_project_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_texts(tmp_path, {"libs/beside/pyproject.toml": "", "libs/beside/src/beside_lib/__init__.py": ""})
    write_texts(tmp_path, {"loose/loose_lib.py": ""})
    for folder in ("libs/beside/src", "loose"):
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    found = find_by_module("beside_lib", tmp_path / "project")
    assert found is not None
    assert [*found.files] == ["beside_lib/__init__.py"]
    assert find_by_module("loose_lib", tmp_path / "project") is None
    assert find_by_module("json", tmp_path / "project") is None
    assert find_by_module("pytest", tmp_path / "project") is None
