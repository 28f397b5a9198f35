from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nitro_py.build.bundle.dependencies import pin_requirements
from nitro_py.build.bundle.sources import Sources, collect_sources
from nitro_py.errors import BuildError
from tests.build.project_files import install, write_texts


def collect(root: Path, texts: dict[str, str], *, include: tuple[str, ...] = ()) -> Sources:
    write_texts(root, texts)
    return collect_sources(root, "handlers", include=include)


def test_handlers_travel_with_their_data_and_without_secrets(tmp_path: Path) -> None:
    found = collect(
        tmp_path,
        {
            "handlers/b.py": "import json\nimport nitro_py.sse",
            "handlers/_page.html": "<p>",
            "handlers/__pycache__/b.pyc": "",
            "handlers/.env": "KEY=1",
            "handlers/server.pem": "",
            "handlers/a/[id].py": "from .._page import x",
            "other/c.py": "",
            "d.py": "",
        },
    )
    assert list(found.files) == ["handlers/_page.html", "handlers/a/[id].py", "handlers/b.py"]
    assert found.files["handlers/_page.html"] == b"<p>"
    assert found.imports == frozenset()


@pytest.mark.parametrize(
    ("statement", "texts", "files"),
    [
        ("import shop", {"shop.py": ""}, ["shop.py"]),
        ("import shop", {"src/shop.py": ""}, ["src/shop.py"]),
        ("import shop.db", {"shop/__init__.py": "", "shop/a.sql": ""}, ["shop/__init__.py", "shop/a.sql"]),
        (
            "from shop import db",
            {"src/shop/__init__.py": "", "src/shop/db.py": ""},
            ["src/shop/__init__.py", "src/shop/db.py"],
        ),
        ("from lib.deep import a", {"lib/deep/a.py": "", "lib/a.txt": ""}, ["lib/a.txt", "lib/deep/a.py"]),
        ("import lib.a", {"src/lib/a.py": ""}, ["src/lib/a.py"]),
        ("import shop", {"shop.py": "", "src/shop.py": "x"}, ["shop.py"]),
        ("import shop", {"shop/__init__.py": "", "shop/.env": "", "shop/a.pyc": ""}, ["shop/__init__.py"]),
        ("def f():\n  import shop", {"shop.py": "import goods", "goods.py": ""}, ["goods.py", "shop.py"]),
    ],
)
def test_project_packages_travel(tmp_path: Path, statement: str, texts: dict[str, str], files: list[str]) -> None:
    found = collect(tmp_path, {"handlers/a.py": statement, **texts})
    assert [path for path in found.files if path != "handlers/a.py"] == files
    assert found.imports == frozenset()


def test_imports_are_followed_from_file_to_file(tmp_path: Path) -> None:
    found = collect(
        tmp_path,
        {
            "handlers/api/a.py": "from ._helpers import x",
            "handlers/api/_helpers.py": "from shop.deep.db import y",
            "src/shop/__init__.py": "import packaging.version",
            "src/shop/deep/__init__.py": "from . import goods",
            "src/shop/deep/db.py": "from ..prices import z",
            "src/shop/deep/goods.py": "import rich",
            "src/shop/prices.py": "import starlette",
            "src/shop/tests/test_shop.py": "import pytest, not_there",
        },
    )
    assert found.imports == {"packaging", "rich", "starlette"}
    assert "src/shop/tests/test_shop.py" in found.files


def test_star_imports_the_modules_of_a_package(tmp_path: Path) -> None:
    texts = {"handlers/a.py": "from shop import *", "shop/__init__.py": "", "shop/b.py": "import rich"}
    assert collect(tmp_path, texts).imports == {"rich"}


def test_entries_are_where_imports_start(tmp_path: Path) -> None:
    write_texts(tmp_path, {"handlers/a.py": "import rich", "handlers/a_test.py": "import not_there"})
    found = collect_sources(tmp_path, "handlers", entries=["handlers/a.py"])
    assert found.imports == {"rich"}
    assert "handlers/a_test.py" in found.files


def test_optional_imports_need_not_be_there(tmp_path: Path) -> None:
    text = "try:\n  import not_there, rich\nexcept ImportError:\n  pass\nif TYPE_CHECKING:\n  import mypy"
    assert collect(tmp_path, {"handlers/a.py": text}).imports == {"rich"}


def test_unknown_import_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        collect(tmp_path, {"handlers/a.py": "import shop", "src/shop.py": "\nimport not_there.at_all"})
    assert str(caught.value) == (
        "`not_there` is imported, but it is neither in the project nor installed.\n"
        "  at src/shop.py:2\n"
        "  hint: Install the package that provides `not_there`, which may have another name."
    )


def test_module_from_outside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_texts(tmp_path, {"outside/loose_module.py": ""})
    monkeypatch.syspath_prepend(str(tmp_path / "outside"))
    with pytest.raises(BuildError, match="from outside the project") as caught:
        collect(tmp_path / "project", {"handlers/a.py": "import loose_module"})
    assert caught.value.line == 1


def test_installed_package_goes_before_a_folder_without_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "goods", "1.0", modules=("goods/__init__.py",))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = collect(tmp_path / "project", {"handlers/a.py": "import goods", "goods/script.py": ""})
    assert list(found.files) == ["handlers/a.py"]
    assert found.imports == {"goods"}


def test_folder_with_the_name_of_a_module_of_python(tmp_path: Path) -> None:
    found = collect(tmp_path, {"handlers/a.py": "import code", "code/script.py": ""})
    assert list(found.files) == ["handlers/a.py"]
    with pytest.raises(BuildError, match="`queue` is one of Python's own modules") as caught:
        collect(tmp_path, {"handlers/a.py": "\nimport queue", "queue.py": ""})
    assert (caught.value.file, caught.value.line) == ("handlers/a.py", 2)


def test_namespace_package_ships_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    install(site, "cloudstore", "1.0", modules=("cloud/store/__init__.py",))
    install(site, "cloudqueue", "1.0", modules=("cloud/queue/__init__.py", "cloud/queue/v1.py"))
    install(site, "cloudauth", "1.0", modules=("cloud/auth.py",))
    monkeypatch.syspath_prepend(str(site))
    texts = {"handlers/a.py": "from cloud import store\nimport cloud.queue.v1\n"}
    found = collect(tmp_path / "project", texts)
    assert pin_requirements(found.imports, []) == ("cloudqueue==1.0", "cloudstore==1.0")


def test_output_and_public_never_travel(tmp_path: Path) -> None:
    texts = {"handlers/a.py": "", "dist/b.py": "", "public/c.css": "", "handlers/static/d.css": ""}
    write_texts(tmp_path, texts)
    found = collect_sources(tmp_path, "handlers", include=("**",), output_dir="dist", public_dir="handlers/static")
    assert list(found.files) == ["handlers/a.py", "public/c.css"]
    write_texts(tmp_path, {"handlers/a.py": "import dist.b"})
    with pytest.raises(BuildError, match="`dist` is imported"):
        collect_sources(tmp_path, "handlers", output_dir="dist")


def test_include_of_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    found = collect(tmp_path, {"handlers/a.py": ""}, include=("a" * 300,))
    assert (list(found.files), found.unmatched) == (["handlers/a.py"], (0,))


def test_include_adds_files(tmp_path: Path) -> None:
    texts = {"templates/deep/a.html": "", "data/b.json": "", "data/.env": "", "data/c.txt": "", "LICENSE": ""}
    texts["handlers/a.py"] = ""
    globs = ("templates/**", "data/*.json", "data/.e*", "LICENSE", "missing/*")
    found = collect(tmp_path, texts, include=globs)
    assert list(found.files) == ["LICENSE", "data/b.json", "handlers/a.py", "templates/deep/a.html"]
    assert [globs[index] for index in found.unmatched] == ["data/.e*", "missing/*"]
    assert "data/.env" in found.secrets
    found = collect(tmp_path, texts, include=("data/.env",))
    assert (found.files["data/.env"], found.unmatched) == (b"", ())


def test_two_files_with_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"handlers/a.py": "import shared", "libs/shared/__init__.py": "", "shared/b.txt": "2"}
    texts["libs/shared/b.txt"] = "1"
    monkeypatch.syspath_prepend(str(tmp_path / "libs"))
    with pytest.raises(BuildError, match="have the same place in the bundle"):
        collect(tmp_path, texts, include=("shared/b.txt",))


@pytest.mark.parametrize(
    "statement", ["from ..shop import db", "from shop import db", "from src.shop import db", "import src.shop.db"]
)
def test_handlers_beside_a_package_in_src(tmp_path: Path, statement: str) -> None:
    texts = {"src/handlers/a.py": statement, "src/shop/db.py": "import rich", "src/shop/__init__.py": ""}
    write_texts(tmp_path, texts)
    found = collect_sources(tmp_path, "src/handlers")
    assert sorted(found.files) == sorted(texts)
    assert found.imports == {"rich"}


def test_handlers_inside_a_package(tmp_path: Path) -> None:
    write_texts(
        tmp_path,
        {
            "src/app/__init__.py": "",
            "src/app/db.py": "import rich",
            "src/app/handlers/a.py": "from ..db import x",
            "src/app/handlers/b.py": "from app.db import x",
        },
    )
    files = collect_sources(tmp_path, "src/app/handlers").files
    # Once, whatever it is called.
    assert sorted(files) == [
        "src/app/__init__.py",
        "src/app/db.py",
        "src/app/handlers/a.py",
        "src/app/handlers/b.py",
    ]


def test_links_that_leave_the_project(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write_texts(tmp_path, {"outside/shop.py": "", "project/handlers/a.py": "import shop"})
    (root / "shop.py").symlink_to(tmp_path / "outside/shop.py")
    with pytest.raises(BuildError, match="is a link that leaves the project"):
        collect_sources(root, "handlers")
    (root / "shop.py").unlink()
    (root / "shop").symlink_to(tmp_path / "outside")
    with pytest.raises(BuildError, match="`shop` is a link that leaves the project"):
        collect_sources(root, "handlers")


def test_nothing_is_imported(tmp_path: Path) -> None:
    collect(tmp_path, {"handlers/a.py": "import side_effect", "side_effect.py": "raise SystemExit"})
    assert "side_effect" not in sys.modules
