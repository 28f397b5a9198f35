from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from nitro_py.build.bundle.declared import read_declared
from nitro_py.build.bundle.dependencies import find_distributions, linux_markers, pin_requirements
from nitro_py.build.bundle.vendor import vendor
from nitro_py.errors import BuildError
from tests.build.project_files import install, write_wheel


def test_modules_are_found_by_import_name(site: Path) -> None:
    install(site, "Py_Goods", "1.0", modules=("goods/__init__.py", "_goods.abi3.so"))
    install(site, "goods.extra", "1.0", modules=("goods/extra.py",))
    assert find_distributions("goods") == ("goods-extra", "py-goods")
    assert find_distributions("_goods") == ("py-goods",)
    assert find_distributions("not_there") == ()
    assert find_distributions("dateutil") == ("python-dateutil",)


def test_requirements_are_followed_and_sorted(site: Path) -> None:
    requires = ("zebra>=1", "lion; extra == 'cats'", "wolf; python_version < '3'", "nitropy-kit")
    install(site, "Animals", "2.0", modules=("animals.py",), requires=requires)
    install(site, "zebra", "1.5", requires=("animals[cats]",))
    install(site, "lion", "3.0+local")
    assert pin_requirements(["animals"], []) == ("animals==2.0", "lion==3.0+local", "zebra==1.5")
    assert pin_requirements([], ["lion>=1"]) == ("lion==3.0+local",)


def test_extras_and_markers_of_requirements(site: Path) -> None:
    requires = ("zebra; extra == 'big-cats'", "lion; extra == 'other'")
    install(site, "animals", "2.0", requires=requires)
    install(site, "zebra", "1.5")
    wanted = ["animals[Big_Cats]", "not-there; python_version < '3'"]
    assert pin_requirements([], wanted) == ("animals==2.0", "zebra==1.5")
    assert pin_requirements([], ["animals"]) == ("animals==2.0",)


def test_markers_are_judged_by_the_target(site: Path) -> None:
    requires = ("zebra; python_version < '3.50'", "lion; python_version >= '3.50'", "wolf; sys_platform == 'none'")
    install(site, "animals", "2.0", requires=requires)
    for name in ("zebra", "lion", "wolf"):
        install(site, name, "1.0")
    assert pin_requirements([], ["animals"]) == ("animals==2.0", "zebra==1.0")
    markers = {"python_version": "3.50", "sys_platform": "none"}
    assert pin_requirements([], ["animals"], markers=markers) == ("animals==2.0", "lion==1.0", "wolf==1.0")


def test_first_release_of_a_targets_python_is_meant(site: Path) -> None:
    elsewhere = "lion; os_name != 'posix' or sys_platform != 'linux' or platform_system != 'Linux'"
    install(site, "animals", "2.0", requires=("zebra; python_full_version < '3.50.3'", elsewhere))
    for name in ("zebra", "lion"):
        install(site, name, "1.0")
    # What the machine that builds does not need, its own release being later.
    assert pin_requirements([], ["animals"], markers=linux_markers("3.50", "x86_64")) == (
        "animals==2.0",
        "zebra==1.0",
    )


def test_pins_what_is_installed_here() -> None:
    pins = pin_requirements(["starlette"], ["uvicorn"])
    assert f"starlette=={version('starlette')}" in pins
    assert {"anyio", "click", "h11", "uvicorn"} <= {pin.partition("==")[0] for pin in pins}
    assert list(pins) == sorted(pins)


def test_what_a_project_declares(tmp_path: Path) -> None:
    assert read_declared(tmp_path).requirements == ()
    text = '[project]\nname = "%s"\ndependencies = ["starlette", "pydantic[timezone,email]>=2"]\n'
    # With the mark that editors on Windows begin a file with.
    (tmp_path / "pyproject.toml").write_text(text % "shop", encoding="utf-8-sig")
    assert read_declared(tmp_path).requirements == ("pydantic[email,timezone]>=2", "starlette")
    (tmp_path / "pyproject.toml").write_text(text % "nitropy-kit")
    assert read_declared(tmp_path).requirements == ()


@pytest.mark.parametrize("text", ["project = 1", "[project]\ndependencies = 'x'", "[project]\ndependencies = [1]"])
def test_dependencies_that_are_no_list_of_strings(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(BuildError, match="expected a list of strings") as caught:
        read_declared(tmp_path)
    assert caught.value.file == "pyproject.toml"


@pytest.mark.parametrize("requirement", ["pydantic[", "=="])
def test_dependency_that_cannot_be_read(tmp_path: Path, requirement: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[project]\ndependencies = ['{requirement}']\n")
    with pytest.raises(BuildError, match="has a requirement that cannot be read"):
        read_declared(tmp_path)


def test_nitro_py_is_never_pinned(site: Path) -> None:
    install(site, "nitropy-kit", "9.0", modules=("own_module.py",), requires=("not-there",))
    assert pin_requirements(["own_module"], ["Nitropy_Kit"]) == ()


def test_missing_requirement_is_named(site: Path) -> None:
    install(site, "animals", "2.0", modules=("animals.py",), requires=("zebra>=1",))
    with pytest.raises(BuildError) as caught:
        pin_requirements(["animals"], [])
    assert str(caught.value) == (
        "`zebra`, which `animals` requires, is not installed.\n"
        '  hint: Run `pip install "zebra"` in the environment that builds.'
    )
    with pytest.raises(BuildError, match="`nowhere` is not installed"):
        pin_requirements(["nowhere"], [])


@pytest.mark.parametrize(
    "origin",
    [
        {"url": "file:///home/me/animals", "dir_info": {"editable": True}},
        {"url": "file:///home/me/animals", "dir_info": {}},
        {"url": "file:///home/me/animals", "archive_info": {}},
    ],
)
def test_package_of_this_machine_is_refused(site: Path, origin: dict[str, object]) -> None:
    install(site, "animals", "2.0", modules=("animals.py",), direct_url=json.dumps(origin))
    with pytest.raises(BuildError, match="`animals` is installed from `animals` on this machine") as caught:
        pin_requirements(["animals"], [])
    assert "/home" not in str(caught.value)
    assert "into the project" in str(caught.value)


def test_package_from_a_repository_keeps_its_place(site: Path) -> None:
    origin = {"url": "https://git.example/a.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    install(site, "animals", "2.0", direct_url=json.dumps(origin | {"subdirectory": "py"}))
    pins = pin_requirements([], ["animals"])
    assert pins == ("animals @ git+https://git.example/a.git@abc#subdirectory=py",)


@pytest.mark.parametrize(("python_version", "platform"), [(None, None), ("3.13", "aarch64-manylinux2014")])
def test_vendored_files_depend_on_the_pins_only(
    tmp_path: Path, python_version: str | None, platform: str | None
) -> None:
    requirements = [write_wheel(tmp_path, name) for name in ("animals", "goods")]
    first, second = tmp_path / "first", tmp_path / "deep" / "second"
    vendor(requirements, first, python_version=python_version, platform=platform)
    vendor(list(reversed(requirements)), second, python_version=python_version, platform=platform)
    assert read_tree(first) == read_tree(second)
    assert sorted(read_tree(first)) == [
        f"{name}{file}"
        for name in ("animals", "goods")
        for file in (
            "-1.0.dist-info/METADATA",
            "-1.0.dist-info/RECORD",
            "-1.0.dist-info/WHEEL",
            "-1.0.dist-info/entry_points.txt",
            "/__init__.py",
        )
    ]
    record = (first / "animals-1.0.dist-info/RECORD").read_text()
    assert [line.partition(",")[0] for line in record.splitlines()] == [
        file for file in sorted(read_tree(first)) if file.startswith("animals")
    ]
    loaded = subprocess.run([sys.executable, "-B", "-c", "import animals"], cwd=first, check=False)
    assert loaded.returncode == 0


def test_nothing_to_vendor(tmp_path: Path) -> None:
    vendor((), tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_failing_installation_says_why(tmp_path: Path) -> None:
    wheel = tmp_path / "gone-1.0-py3-none-any.whl"
    with pytest.raises(BuildError, match="cannot be installed") as caught:
        vendor([f"gone @ {wheel.as_uri()}"], tmp_path / "target")
    assert "gone-1.0" in caught.value.message
    assert "\x1b" not in caught.value.message


def read_tree(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
