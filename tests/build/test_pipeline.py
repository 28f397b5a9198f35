"""The build as a whole: pure until it writes, and all or nothing when it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nitro_py.build.config.load import load_config
from nitro_py.build.pipeline import choose_preset, plan_build, write_plan
from nitro_py.build.preset import VendoredDependencies
from nitro_py.errors import BuildError, ConfigError, NitroError
from tests.bundles import build_project, copy_demo, plan_project, write_files

HELLO = "from nitro_py import define_handler\n\n@define_handler\ndef handler(event): ...\n"
CHAT = "from nitro_py import define_websocket_handler\n\nhandler = define_websocket_handler()\n"


def fail(root: Path, files: dict[str, str]) -> NitroError:
    """Write a project that cannot be built, and return the error."""
    write_files(root, files)
    with pytest.raises(NitroError) as caught:
        plan_project(root)
    return caught.value


def list_bytes(folder: Path) -> dict[str, bytes]:
    """Read a folder: path → bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_plan_is_pure(tmp_path: Path) -> None:
    root = copy_demo(tmp_path)
    before = list_bytes(root)
    first, second = plan_project(root), plan_project(root)
    assert first.manifest == second.manifest
    assert first.bundle == second.bundle
    assert list_bytes(root) == before


def test_stages_are_told(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO})
    stages: list[str] = []
    loaded = load_config(tmp_path, mode="production", overrides={}, environ={})
    sizes = write_plan(
        plan_build(loaded, choose_preset(loaded, {}), progress=stages.append), progress=stages.append
    )
    assert stages == [
        "Scanning handlers",
        "Loading 1 route",
        "Validating",
        "Collecting sources",
        "Emitting `asgi`",
        "Writing",
    ]
    assert sizes == {path: len(data) for path, data in sorted(list_bytes(tmp_path / ".output").items())}


def test_bundle_holds_what_it_should(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO, "public/x.txt": "x", "README.md": "no"})
    files = set(plan_project(tmp_path).bundle.files)
    expected = {
        "handlers/a.py",
        "public/x.txt",
        "manifest.json",
        "requirements.txt",
        "nitro_server.py",
        "__main__.py",
    }
    assert {f"server/{name}" for name in expected} <= files
    assert "server/nitro_presets/asgi/entry.py" in files
    assert {path.split("/")[1] for path in files} == {"handlers", "public", "nitro_py", "nitro_presets"} | {
        name for name in expected if "/" not in name
    }
    shipped = {path.split("/")[2] for path in files if path.startswith("server/nitro_py/")}
    assert not shipped & {"build", "cli", "dev", "testing", "__pycache__"}
    assert "server/nitro_presets/asgi/preset.py" not in files


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("handlers/a.py", "def broken(:"),
        ("handlers/b.py", CHAT),
        ("nitro.toml", "no such = 1"),
        ("handlers/c.py", ""),
    ],
)
def test_failed_plan_keeps_the_last_good_output(tmp_path: Path, file: str, text: str) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO})
    before = list_bytes(build_project(tmp_path))
    fail(tmp_path, {file: text})
    assert list_bytes(tmp_path / ".output") == before


def test_failed_vendoring_keeps_the_last_good_output(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO})
    output = build_project(tmp_path)
    before = list_bytes(output)
    plan = plan_project(tmp_path)
    missing = VendoredDependencies(
        "server/vendor", (f"gone @ {(tmp_path / 'gone-1.0-py3-none-any.whl').as_uri()}",)
    )
    with pytest.raises(BuildError, match="gone"):
        write_plan(replace(plan, bundle=replace(plan.bundle, vendor=missing)))
    assert list_bytes(output) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".output", "handlers"]


def test_new_build_replaces_all_of_the_last(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO, "handlers/b.py": HELLO})
    output = build_project(tmp_path)
    (tmp_path / "handlers/b.py").unlink()
    assert build_project(tmp_path) == output
    assert not (output / "server/handlers/b.py").exists()


@pytest.mark.parametrize("target", ["../outside.txt", "nitro.toml", "handlers/a.py"])
def test_link_out_of_public(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside.txt").write_text("secret")
    root = write_files(tmp_path / "project", {"handlers/a.py": HELLO, "nitro.toml": "", "public/ok.txt": ""})
    (root / "public/link.txt").symlink_to(f"../{target}")
    error = fail(root, {})
    assert isinstance(error, BuildError)
    assert "`public/link.txt` is a" in error.message
    assert error.file == "public/link.txt"
    assert error.hint is not None


def test_link_inside_public_is_followed(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO, "public/one.txt": "1"})
    (tmp_path / "public/two.txt").symlink_to("one.txt")
    assert plan_project(tmp_path).bundle.files["server/public/two.txt"] == b"1"


def test_secrets_never_travel(tmp_path: Path) -> None:
    secrets = (".env", ".env.local", ".git/config", "key.pem", "sub/.npmrc")
    files = {f"{folder}/{name}": "SECRET" for folder in ("public", "handlers", "shop") for name in secrets}
    code = {"shop/__init__.py": "", "handlers/a.py": "import shop\n" + HELLO, "public/ok.txt": ""}
    plan = plan_project(write_files(tmp_path, files | code))
    assert not [path for path, data in plan.bundle.files.items() if data == b"SECRET"]
    assert plan.manifest.public.keys() == {"/ok.txt"}


@pytest.mark.parametrize(
    ("file", "text", "named", "table"),
    [
        ("nitro.toml", "output_dir = '.output'\n", "nitro.toml", "[experimental]"),
        ("README.md", "", "nitro.toml", "[experimental]"),
        ("pyproject.toml", "[tool.nitropy]\n", "pyproject.toml", "[tool.nitropy.experimental]"),
    ],
)
def test_websocket_without_the_flag_prints_two_lines(
    tmp_path: Path, file: str, text: str, named: str, table: str
) -> None:
    error = fail(tmp_path, {file: text, "handlers/api/chat.py": CHAT})
    assert str(error) == (
        "`handlers/api/chat.py` is a WebSocket route, and WebSocket is off.\n"
        "  at handlers/api/chat.py\n"
        f"  hint: Add these two lines to `{named}`:\n    {table}\n    websocket = true"
    )
    # The two lines are true.
    write_files(tmp_path, {named: f"{text}{table}\nwebsocket = true\n"})
    assert plan_project(tmp_path).manifest.routes[0].kind == "websocket"


def test_included_files_that_are_not_there(tmp_path: Path) -> None:
    config = "ignore = []\ninclude = [\n    'data/*.json',\n    'data/*.jsn',\n]\n"
    error = fail(tmp_path, {"nitro.toml": config, "data/a.json": "1", "handlers/a.get.py": HELLO})
    assert isinstance(error, ConfigError)
    assert error.message == '`include[1]`: expected a glob that fits files of the project, got `"data/*.jsn"`.'
    assert (error.file, error.line) == ("nitro.toml", 2)


def test_mounted_sockets_without_the_flag(tmp_path: Path) -> None:
    mounted = """
        from nitro_py import mount_asgi
        from starlette.applications import Starlette
        from starlette.routing import WebSocketRoute

        handler = mount_asgi(Starlette(routes=[WebSocketRoute("/", print)]))
        """
    error = fail(tmp_path, {"handlers/shop.py": mounted})
    assert error.message == "`handlers/shop.py` mounts a WebSocket route, and WebSocket is off."


def test_live_reload_on_a_path_that_a_route_serves(tmp_path: Path) -> None:
    config = "[dev]\nport = 4000\n[dev.hmr]\nport = 4000\npath = '/files/live'\n"
    error = fail(tmp_path, {"nitro.toml": config, "handlers/files/[name].get.py": HELLO})
    assert isinstance(error, ConfigError)
    assert '`handlers/files/[name].get.py` serves this one, got `"/files/live"`' in error.message
    assert (error.file, error.line) == ("nitro.toml", 5)
    write_files(tmp_path, {"nitro.toml": config.replace("/files/", "/other/")})
    assert plan_project(tmp_path).manifest.routes[0].path == "/files/[name]"


def test_file_of_the_project_in_the_place_of_one_of_the_bundle(tmp_path: Path) -> None:
    error = fail(tmp_path, {"handlers/a.py": "import nitro_server\n" + HELLO, "nitro_server.py": ""})
    assert isinstance(error, BuildError)
    assert error.file == "nitro_server.py"
