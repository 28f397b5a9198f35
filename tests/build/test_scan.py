from __future__ import annotations

import re
from pathlib import Path

import pytest

from nitro_py.build.scan import Scan, check_names, scan_handlers
from nitro_py.capabilities import Mode
from nitro_py.errors import BuildError
from tests.build.project_files import write_files, write_texts


def scan(root: Path, *files: str, ignore: tuple[str, ...] = (), mode: Mode = "production") -> Scan:
    write_files(root, *(f"handlers/{file}" for file in files))
    return scan_handlers(root, "handlers", ignore, mode)


@pytest.mark.parametrize(
    ("file", "path", "methods", "mode"),
    [
        ("index.py", "/", (), "all"),
        ("index.get.py", "/", ("GET",), "all"),
        ("api/index.py", "/api", (), "all"),
        ("index/a.py", "/index/a", (), "all"),
        ("api/ws/chat.py", "/api/ws/chat", (), "all"),
        ("api/users/[id].get.py", "/api/users/[id]", ("GET",), "all"),
        ("[org]/[repo]/index.patch.py", "/[org]/[repo]", ("PATCH",), "all"),
        ("files/[...slug].py", "/files/[...slug]", (), "all"),
        ("files/[...get].py", "/files/[...get]", (), "all"),
        ("x/[...].head.py", "/x/[...]", ("HEAD",), "all"),
        ("[...].py", "/[...]", (), "all"),
        ("(group)/api/(more)/a.py", "/api/a", (), "all"),
        ("(group)/index.py", "/", (), "all"),
        ("(a).py", "/(a)", (), "all"),
        ("a.get.prod.py", "/a", ("GET",), "production"),
        ("a.prod.py", "/a", (), "production"),
        ("[id].delete.prod.py", "/[id]", ("DELETE",), "production"),
        ("get.py", "/get", (), "all"),
        ("prod.options.py", "/prod", ("OPTIONS",), "all"),
        ("get.get.py", "/get", ("GET",), "all"),
        ("name.foo.py", "/name.foo", (), "all"),
        ("robots.txt.py", "/robots.txt", (), "all"),
        ("a.set.py", "/a.set", (), "all"),
        ("example.net.py", "/example.net", (), "all"),
        ("a.GET.get.py", "/a.GET", ("GET",), "all"),
        ("messages.pot.get.py", "/messages.pot", ("GET",), "all"),
        ("a.prod.get.py", "/a.prod", ("GET",), "all"),
        ("caf%C3%A9.py", "/café", (), "all"),
        ("cafe\u0301.py", "/caf\u00e9", (), "all"),
        ("日本.put.py", "/日本", ("PUT",), "all"),
    ],
)
def test_name_says_the_route(tmp_path: Path, file: str, path: str, methods: tuple[str, ...], mode: str) -> None:
    (route,) = scan(tmp_path, file).routes
    assert (route.file, route.path, route.methods, route.mode) == (f"handlers/{file}", path, methods, mode)


def test_what_is_not_a_route(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        "a.py",
        "_helpers.py",
        "__init__.py",
        ".hidden.py",
        "_parts/b.py",
        ".git/c.py",
        "__pycache__/a.py",
        "page.html",
        "a.pyi",
        "api/a_test.py",
        "drafts/deep/d.py",
        ignore=("**/*_test.py", "drafts"),
    )
    assert [route.file for route in found.routes] == ["handlers/a.py"]


def test_middleware_and_plugins_stand_at_the_root_of_the_handlers(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        "middleware/20_auth.py",
        "middleware/10_log.py",
        "middleware/_helpers.py",
        "middleware/deep/a.py",
        "middleware/off.py",
        "plugins/db.py",
        "api/plugins/list.py",
        ignore=("middleware/off.py",),
    )
    assert found.middleware == ("handlers/middleware/10_log.py", "handlers/middleware/20_auth.py")
    assert found.plugins == ("handlers/plugins/db.py",)
    assert [route.path for route in found.routes] == ["/api/plugins/list"]


def test_routes_are_sorted_by_path(tmp_path: Path) -> None:
    found = scan(tmp_path, "(z)/a.py", "b.post.py", "b.get.py", "index.py")
    assert [route.file for route in found.routes] == [
        "handlers/index.py",
        "handlers/(z)/a.py",
        "handlers/b.get.py",
        "handlers/b.post.py",
    ]


@pytest.mark.parametrize(
    ("mode", "files"),
    [
        ("production", ["a.get.py", "a.prod.py"]),
        ("development", ["a.get.dev.py", "a.py", "only.dev.py"]),
    ],
)
def test_file_for_the_mode_replaces_the_one_for_all(tmp_path: Path, mode: Mode, files: list[str]) -> None:
    found = scan(tmp_path, "a.py", "a.prod.py", "a.get.py", "a.get.dev.py", "only.dev.py", mode=mode)
    assert [route.file for route in found.routes] == [f"handlers/{file}" for file in files]


def test_method_beside_every_method_is_no_duplicate(tmp_path: Path) -> None:
    assert len(scan(tmp_path, "a.py", "a.get.py", "[id].get.py", "[name].post.py", "[...all].py").routes) == 5


@pytest.mark.parametrize(
    ("first", "second", "route"),
    [
        ("a.py", "a/index.py", "every method of `/a`"),
        ("(g)/a.get.py", "a.get.py", "GET `/a`"),
        ("u/[id].py", "u/[name].py", "every method of `/u/[name]`"),
        ("u/[id]/a.py", "u/[name]/a.py", "every method of `/u/[name]/a`"),
        ("[...].py", "[...slug].py", "every method of `/[...slug]`"),
        ("a.post.prod.py", "a/index.post.prod.py", "POST `/a` in production"),
        ("a.dev.py", "a/index.dev.py", "every method of `/a` in development"),
        ("caf%C3%A9.py", "café.py", "every method of `/café`"),
    ],
)
def test_duplicate_names_both_files(tmp_path: Path, first: str, second: str, route: str) -> None:
    with pytest.raises(BuildError) as caught:
        scan(tmp_path, first, second)
    error = caught.value
    assert {f"handlers/{first}", f"handlers/{second}"} == set(error.message.split("`")[1:4:2])
    assert error.message.endswith(f"both serve {route}.")
    assert error.hint == "Delete one of them, or give it another name or method."


@pytest.mark.parametrize(
    "name", ["[", "]", "[]", "[a]b", "a[b]", "[a][b]", "[1a]", "[a-b]", "[..a]", "[...1]", "[[a]]", "[a"]
)
def test_wrong_brackets_are_named(tmp_path: Path, name: str) -> None:
    for file in (f"api/{name}.get.py", f"{name}/a.py"):
        with pytest.raises(BuildError, match="is not a parameter") as caught:
            scan(tmp_path / file, file)
        assert f"`{name}` in `handlers/{file}`" in caught.value.message
        assert caught.value.file == f"handlers/{file}"


@pytest.mark.parametrize(
    ("file", "written", "meant"),
    [
        ("x.gte.py", "gte", "get"),
        ("x.GET.py", "GET", "get"),
        ("x.Post.dev.py", "Post", "post"),
        ("x.psot.py", "psot", "post"),
        ("[id].delet.py", "delet", "delete"),
        ("api/[...].option.py", "option", "options"),
    ],
)
def test_method_that_is_written_wrong(tmp_path: Path, file: str, written: str, meant: str) -> None:
    with pytest.raises(BuildError, match=f"`{written}` in `handlers/{re.escape(file)}` is not a method") as caught:
        scan(tmp_path, file)
    assert caught.value.file == f"handlers/{file}"
    assert f".{meant}.py`?" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["{id}", "{id:int}", "<id>", "<int:id>", ":id"])
def test_parameter_in_the_syntax_of_others(tmp_path: Path, name: str) -> None:
    for file in (f"{name}.get.py", f"{name}/a.py"):
        with pytest.raises(BuildError, match="is not how a parameter is written") as caught:
            scan(tmp_path / file, file)
        assert caught.value.file == f"handlers/{file}"
        assert caught.value.hint == "Write `[id]`."


@pytest.mark.parametrize("file", ["[...x]/a.py", "[...]/index.py", "a/[...x]/(g)/index.py"])
def test_catch_all_is_the_last(tmp_path: Path, file: str) -> None:
    with pytest.raises(BuildError, match="takes the rest of the path") as caught:
        scan(tmp_path, file)
    assert caught.value.file == f"handlers/{file}"


@pytest.mark.parametrize(("file", "name"), [("[id]/[id].py", "id"), ("[_]/[...].py", "_")])
def test_parameter_stands_once(tmp_path: Path, file: str, name: str) -> None:
    with pytest.raises(BuildError, match=f"The parameter `{name}` stands twice"):
        scan(tmp_path, file)


@pytest.mark.parametrize("name", ["a%2Fb", "%5Bid%5D", "%2E%2E", "%ff"])
def test_name_decodes_to_one_segment(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="does not decode to one segment"):
        scan(tmp_path, f"{name}.py")


@pytest.mark.parametrize("there", [False, True])
def test_missing_folder(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "handlers").write_text("a file")
    with pytest.raises(BuildError, match="There is no folder `handlers`") as caught:
        scan_handlers(tmp_path, "handlers", (), "production")
    assert "nitropy init" in str(caught.value)


def test_other_folder(tmp_path: Path) -> None:
    write_files(tmp_path, "src/routes/a.py", "src/routes/plugins/p.py")
    found = scan_handlers(tmp_path, "src/routes", (), "production")
    assert [(route.file, route.path) for route in found.routes] == [("src/routes/a.py", "/a")]
    assert found.plugins == ("src/routes/plugins/p.py",)


def test_link_out_of_the_project(tmp_path: Path) -> None:
    write_files(tmp_path, "outside/a.py", "project/handlers/b.py")
    (tmp_path / "project/handlers/api").symlink_to(tmp_path / "outside")
    with pytest.raises(BuildError, match="leaves the project") as caught:
        scan_handlers(tmp_path / "project", "handlers", (), "production")
    assert caught.value.file == "handlers/api"


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("foo.fetch.py", "`foo.py` serves every method."),
        ("foo.TRACE.py", "`foo.py` serves every method."),
        ("foo.ws.py", "`foo.py` serves every method."),
        ("foo.production.py", "Did you mean `foo.prod.py`?"),
    ],
)
def test_what_is_meant_as_a_method(tmp_path: Path, file: str, hint: str) -> None:
    with pytest.raises(BuildError) as caught:
        scan(tmp_path, file)
    assert f"in `handlers/{file}` is not a method" in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("file", "message", "hint"),
    [
        ("a.get.post.py", "names the methods `get` and `post`", "Write one file for each, or `a.py`"),
        ("b/a.put.put.py", "names the methods `put` and `put`", "Write one file for each, or `a.py`"),
        ("index.get.head.dev.py", "names the methods `get` and `head`", "Write one file for each, or `index.py`"),
    ],
)
def test_second_methods(tmp_path: Path, file: str, message: str, hint: str) -> None:
    with pytest.raises(BuildError, match=message) as caught:
        scan(tmp_path, file)
    assert (caught.value.hint or "").startswith(hint)


MIDDLEWARE = "from nitro_py import define_middleware\n\n\n@define_middleware\nasync def check(event, next): ...\n"
PLUGIN = "import nitro_py\n\n\n@nitro_py.define_plugin\nasync def database():\n    yield\n"


@pytest.mark.parametrize(
    ("file", "text", "home"),
    [
        ("middleware/auth.py", MIDDLEWARE, "handlers/middleware"),
        ("plugins/database.py", PLUGIN, "handlers/plugins"),
        ("handlers/middleware/more/auth.py", MIDDLEWARE, "handlers/middleware"),
        ("handlers/plugins/more/database.py", PLUGIN, "handlers/plugins"),
    ],
)
def test_what_lies_where_it_never_runs(tmp_path: Path, file: str, text: str, home: str) -> None:
    write_texts(tmp_path, {file: text})
    with pytest.raises(BuildError) as caught:
        scan(tmp_path, "a.py")
    assert caught.value.file == file
    assert f"that never runs: they are looked for in `{home}/`" in caught.value.message


def test_what_is_imported_from_elsewhere_runs(tmp_path: Path) -> None:
    texts = {
        "middleware/auth.py": MIDDLEWARE,
        "plugins/helper.py": "VALUE = 1\n",
        "handlers/middleware/auth.py": "from middleware.auth import check\n",
    }
    write_texts(tmp_path, texts)
    assert scan(tmp_path, "a.py").middleware == ("handlers/middleware/auth.py",)


@pytest.mark.parametrize(
    "file",
    ["token.py", "types.py", "src/json.py", "logging/__init__.py", "uvicorn.py", "starlette/__init__.py"],
)
def test_name_of_a_module_that_is_needed(tmp_path: Path, file: str) -> None:
    write_texts(tmp_path, {file: ""})
    with pytest.raises(BuildError) as caught:
        check_names(tmp_path)
    named = file.removesuffix("/__init__.py")
    assert caught.value.file == named
    assert caught.value.hint == f"Rename `{named}`."


@pytest.mark.parametrize("file", ["tokens.py", "handlers/token.py", "types/a.txt", "test/__init__.py", "json.txt"])
def test_name_that_hides_nothing(tmp_path: Path, file: str) -> None:
    write_texts(tmp_path, {file: ""})
    check_names(tmp_path)
