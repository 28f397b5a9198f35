"""What a project declares that it needs is read wherever it declares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.bundle.declared import Locked, describe_declared, find_local, read_declared, read_lock
from nitro_py.build.bundle.dependencies import pin_requirements
from nitro_py.errors import BuildError
from tests.build.project_files import install, write_texts


def read(root: Path, texts: dict[str, str], *groups: str) -> tuple[str, ...]:
    """Write a project and return what it requires."""
    write_texts(root, texts)
    return read_declared(root, groups).requirements


PROJECT = """
[project]
name = "a"
dependencies = ["b>=1", "c[x]; python_version > '3'"]
"""
REQUIREMENTS = """
b==1.0 --hash=sha256:aa \\
    --hash=sha256:bb  # why

# no
c>=2 ; sys_platform == 'linux'
"""
DYNAMIC = """
[project]
name = "a"
dynamic = ["dependencies"]
[tool.setuptools.dynamic]
dependencies = {file = ["base.in"]}
"""
POETRY = """
[tool.poetry.dependencies]
python = "^3.11"
b = "^1.2"
c = {version = "*", extras = ["x"], markers = "sys_platform == 'linux'"}
d = {version = "1", optional = true}
[tool.poetry.group.dev.dependencies]
e = "*"
"""
POETRY_MAIN = """
[tool.poetry.group.main.dependencies]
b = [{version = "<2", python = "<3.8"}, {version = ">=2", python = ">=3.8"}]
"""
GROUPS = """
[dependency-groups]
main = ["b", {include-group = "more"}]
more = ["c"]
dev = ["d"]
"""
PIPFILE = """
[packages]
b = "*"
c = {version = "==1.2", extras = ["x"]}
[dev-packages]
d = "*"
"""
SETUP_CFG = """
[options]
install_requires =
    b>=1
    # no
    c
"""


@pytest.mark.parametrize(
    ("texts", "requirements"),
    [
        ({"pyproject.toml": PROJECT}, ("b>=1", 'c[x]; python_version > "3"')),
        ({"requirements.txt": REQUIREMENTS}, ("b==1.0", 'c>=2; sys_platform == "linux"')),
        ({"requirements.txt": "-r x/a.txt\n-c b.txt\nb\n", "x/a.txt": "c\n", "b.txt": "d<3\n"}, ("b", "c")),
        ({"pyproject.toml": DYNAMIC, "base.in": "b\n"}, ("b",)),
        ({"pyproject.toml": POETRY}, ("b<2.0,>=1.2", 'c[x]; sys_platform == "linux"')),
        ({"pyproject.toml": POETRY_MAIN}, ('b<2; python_version < "3.8"', 'b>=2; python_version >= "3.8"')),
        ({"pyproject.toml": GROUPS}, ("b", "c")),
        ({"Pipfile": PIPFILE}, ("b", "c[x]==1.2")),
        ({"setup.cfg": SETUP_CFG}, ("b>=1", "c")),
        (
            {"pyproject.toml": PROJECT, "requirements.txt": "b>=1\nd\n"},
            ("b>=1", 'c[x]; python_version > "3"', "d"),
        ),
    ],
    ids=[
        "project",
        "requirements",
        "nested",
        "dynamic",
        "poetry",
        "main",
        "groups",
        "Pipfile",
        "setup.cfg",
        "both",
    ],
)
def test_place(tmp_path: Path, texts: dict[str, str], requirements: tuple[str, ...]) -> None:
    assert read(tmp_path, texts) == requirements


def test_dynamic_dependencies_of_an_installed_project(tmp_path: Path, site: Path) -> None:
    install(site, "shop", "1.0", requires=("b>=1", "c ; extra == 'x'"))
    text = "[project]\nname = 'shop'\ndynamic = ['version', 'dependencies']\n"
    assert read(tmp_path / "project", {"pyproject.toml": text}) == ("b>=1",)


def test_dynamic_dependencies_that_nothing_says(tmp_path: Path) -> None:
    write_texts(tmp_path, {"pyproject.toml": "[project]\nname = 'shop-none'\ndynamic = ['dependencies']\n"})
    declared = read_declared(tmp_path)
    assert declared.requirements == ()
    assert "install the project where it is built" in describe_declared(declared)[0]


@pytest.mark.parametrize(
    "texts",
    [
        {"requirements.txt": "-r requirements.txt\n"},
        {"requirements.txt": "-r a.txt\n", "a.txt": "-c requirements.txt\n"},
    ],
)
def test_requirements_that_include_themselves(tmp_path: Path, texts: dict[str, str]) -> None:
    write_texts(tmp_path, texts)
    with pytest.raises(BuildError, match=r"txt` leads back to a file that includes this one\."):
        read_declared(tmp_path)


def test_groups_that_are_asked_for(tmp_path: Path) -> None:
    text = "[dependency-groups]\nweb = ['b']\ndev = ['c']\nOther_One = ['d']\n"
    assert read(tmp_path, {"pyproject.toml": text}) == ()
    assert read_declared(tmp_path).notes == (
        "These dependency groups do not ship: `Other_One`, `web`; name those that shall in `build.groups`",
    )
    assert read_declared(tmp_path, ["web", "other-one"]).requirements == ("b", "d")
    with pytest.raises(BuildError, match="There is no dependency group `worker`: expected one of `Other_One`"):
        read_declared(tmp_path, ["worker"])


def test_nothing_declared_is_said(tmp_path: Path) -> None:
    assert describe_declared(read_declared(tmp_path)) == (
        "No declared dependencies were found: only what is imported ships",
    )
    write_texts(tmp_path, {"requirements.txt": "# nothing\n"})
    assert describe_declared(read_declared(tmp_path)) == ()


@pytest.mark.parametrize(
    ("texts", "file", "line"),
    [
        ({"setup.cfg": "[options]\ninstall_requires = b[\n"}, "setup.cfg", None),
        ({"Pipfile": "[packages]\nb = 'no version'\n"}, "Pipfile", None),
        ({"requirements.txt": "b\n\nno good line\n"}, "requirements.txt", 3),
        ({"requirements.txt": "-r more.txt\n", "more.txt": "b\n[\n"}, "more.txt", 2),
        ({"pyproject.toml": "[project]\nname = 'a'\ndependencies = ['b[']\n"}, "pyproject.toml", 3),
        ({"pyproject.toml": "[tool.poetry.dependencies]\nb = 'no version'\n"}, "pyproject.toml", 2),
        ({"pyproject.toml": "[dependency-groups]\nmain = ['b', {include-group = 'gone'}]\n"}, "pyproject.toml", 2),
    ],
)
def test_what_cannot_be_read_names_its_line(
    tmp_path: Path, texts: dict[str, str], file: str, line: int | None
) -> None:
    write_texts(tmp_path, texts)
    with pytest.raises(BuildError) as caught:
        read_declared(tmp_path)
    assert (caught.value.file, caught.value.line) == (file, line)


UV_LOCK = """
version = 1
[[package]]
name = "animals"
version = "3.0"
source = { registry = "an index" }
dependencies = [
    { name = "zebra", marker = "sys_platform == 'linux'" },
    { name = "wolf", marker = "sys_platform == 'win32'" },
]
[[package]]
name = "zebra"
version = "1.0"
source = { registry = "an index" }
resolution-markers = ["python_full_version < '3.12'"]
[[package]]
name = "zebra"
version = "2.0"
source = { registry = "an index" }
resolution-markers = ["python_full_version >= '3.12'"]
[[package]]
name = "shop"
version = "0"
source = { editable = "." }
"""
POETRY_LOCK = """
[[package]]
name = "animals"
version = "3.0"
[package.dependencies]
zebra = ">=1"
[[package]]
name = "zebra"
version = "1.0"
"""
PYLOCK = """
lock-version = "1.0"
created-by = "tests"
[[packages]]
name = "animals"
version = "3.0"
[[packages.dependencies]]
name = "zebra"
[[packages.wheels]]
url = "https://packages.example/animals-3.0-py3-none-any.whl"
hashes = { sha256 = "aa" }
[[packages]]
name = "zebra"
version = "1.0"
[[packages.wheels]]
url = "https://packages.example/zebra-1.0-py3-none-any.whl"
hashes = { sha256 = "bb" }
"""
PIPFILE_LOCK = '{"default": {"animals": {"version": "==3.0"}, "zebra": {"version": "==1.0"}}, "develop": {}}'


@pytest.mark.parametrize(
    ("name", "text"),
    [("uv.lock", UV_LOCK), ("poetry.lock", POETRY_LOCK), ("pylock.toml", PYLOCK), ("Pipfile.lock", PIPFILE_LOCK)],
)
def test_lock_file_says_the_versions(tmp_path: Path, site: Path, name: str, text: str) -> None:
    install(site, "animals", "2.0", modules=("animals/__init__.py",), requires=("zebra",))
    install(site, "zebra", "1.5")
    write_texts(tmp_path / "project", {name: text})
    locked = read_lock(tmp_path / "project")
    assert "shop" not in locked
    markers = {"python_full_version": "3.11.0", "sys_platform": "linux"}
    assert pin_requirements(["animals"], [], locked=locked, markers=markers) == ("animals==3.0", "zebra==1.0")


@pytest.mark.parametrize(("name", "text"), [("pylock.toml", PYLOCK), ("Pipfile.lock", PIPFILE_LOCK)])
def test_lock_file_alone_says_what_ships(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, {name: text}) == ("animals==3.0", "zebra==1.0")
    assert read_declared(tmp_path).notes == ()
    # Beside what is declared, it says the versions only.
    assert read(tmp_path, {"requirements.txt": "zebra\n"}) == ("zebra",)


@pytest.mark.parametrize(
    ("name", "text"), [("uv.lock", UV_LOCK), ("poetry.lock", POETRY_LOCK), ("pylock.web.toml", PYLOCK)]
)
def test_lock_file_alone_that_is_not_read_is_named(tmp_path: Path, name: str, text: str) -> None:
    write_texts(tmp_path, {name: text})
    (note,) = describe_declared(read_declared(tmp_path))
    assert note.startswith(f"`{name}` is not read for what ships")


def test_lock_file_names_a_version_for_each_target(tmp_path: Path) -> None:
    write_texts(tmp_path, {"uv.lock": UV_LOCK})
    locked = read_lock(tmp_path)
    markers = {"python_full_version": "3.13.0", "sys_platform": "linux"}
    assert pin_requirements([], ["animals"], locked=locked, markers=markers) == ("animals==3.0", "zebra==2.0")


def test_exact_requirements_are_pins(tmp_path: Path, site: Path) -> None:
    install(site, "animals", "2.0")
    write_texts(tmp_path / "project", {"requirements.txt": "animals==1.5\n"})
    declared = read_declared(tmp_path / "project")
    assert declared.locked == {"animals": (Locked("1.5"),)}
    assert pin_requirements([], declared.requirements, locked=declared.locked) == ("animals==1.5",)


def test_broken_lock_file(tmp_path: Path) -> None:
    write_texts(tmp_path, {"uv.lock": "[[package]]\nversion = '1'\n"})
    with pytest.raises(BuildError, match=r"`uv\.lock` cannot be read"):
        read_lock(tmp_path)


MEMBER = "[project]\nname = 'shared-lib'\nversion = '1'\ndependencies = ['zebra>=1']\n"
OWNER = "[project]\nname = 'a'\ndependencies = ['shared-lib']\n"


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("project/packages/shared", OWNER + "[tool.uv.workspace]\nmembers = ['packages/*']\n"),
        ("shared", OWNER + "[tool.uv.sources]\nshared-lib = {path = '../shared'}\n"),
        ("shared", "[tool.poetry.dependencies]\nshared-lib = {path = '../shared', develop = true}\n"),
    ],
    ids=["workspace", "uv path", "poetry path"],
)
def test_package_of_ones_own(tmp_path: Path, folder: str, text: str) -> None:
    write_texts(tmp_path, {"project/pyproject.toml": text, f"{folder}/pyproject.toml": MEMBER})
    write_texts(tmp_path, {f"{folder}/src/shared_lib/__init__.py": "", f"{folder}/src/shared_lib/.env": ""})
    declared = read_declared(tmp_path / "project")
    (package,) = find_local(declared, tmp_path / "project")
    assert package.name == "shared-lib"
    assert package.files == {"shared_lib/__init__.py": tmp_path / folder / "src/shared_lib/__init__.py"}


def test_path_in_a_requirements_file(tmp_path: Path) -> None:
    write_texts(
        tmp_path, {"requirements.txt": "-e .\n-e ./libs/shared\n", "pyproject.toml": "[project]\nname = 'a'\n"}
    )
    write_texts(tmp_path, {"libs/shared/pyproject.toml": MEMBER, "libs/shared/shared_lib.py": ""})
    declared = read_declared(tmp_path)
    assert declared.requirements == ("shared-lib",)
    assert [*find_local(declared, tmp_path)[0].files] == ["shared_lib.py"]


EXTRAS = """
[project]
name = "The.Shop"
dependencies = [%s]
[project.optional-dependencies]
web = ["b>=1"]
all = ["the-shop[web,all]", "c"]
"""


@pytest.mark.parametrize(
    "texts",
    [
        {"pyproject.toml": EXTRAS % "'the_shop[all]'"},
        {"pyproject.toml": EXTRAS % "", "requirements.txt": "-e .[all]\n"},
        {"pyproject.toml": EXTRAS % "", "requirements.txt": ".[web, all]\n"},
    ],
    ids=["itself", "editable", "path"],
)
def test_extras_of_the_project_itself(tmp_path: Path, texts: dict[str, str]) -> None:
    assert read(tmp_path, texts) == ("b>=1", "c")


def test_extra_that_the_project_lacks(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no extra `wbe`: expected one of `all`, `web`"):
        read(tmp_path, {"pyproject.toml": EXTRAS % "'the-shop[wbe]'"})


def test_extras_of_a_package_in_a_folder(tmp_path: Path) -> None:
    library = MEMBER + "[project.optional-dependencies]\nweb = ['b>=1']\nall = ['shared-lib[web]', 'c']\n"
    texts = {"libs/shared/pyproject.toml": library, "libs/shared/shared_lib.py": ""}
    assert read(tmp_path, {**texts, "requirements.txt": "./libs/shared[all]\n"}) == (
        "b>=1",
        "c",
        "shared-lib[all]",
    )
    (package,) = find_local(read_declared(tmp_path), tmp_path)
    assert package.name == "shared-lib"
