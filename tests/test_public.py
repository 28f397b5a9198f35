"""The package's names: each is loaded when it is asked for, and all of them are there."""

from __future__ import annotations

import ast
import importlib
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nitro_py


def list_imports() -> dict[str, str]:
    """List the names that type checkers see, by the module that each is imported from."""
    tree = ast.parse(Path(nitro_py.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    # Others do not make a name public (PEP 484, "Stub files").
    assert all(alias.name == alias.asname for node in imports for alias in node.names)
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def run_python(code: str) -> str:
    """Run a program in a new process and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_type_checkers_see_the_names_that_are_there() -> None:
    imports = list_imports()
    assert sorted(imports) == sorted(nitro_py.__all__)
    for name, module in imports.items():
        assert getattr(nitro_py, name) is getattr(importlib.import_module(module), name), name


def test_package_loads_nothing_until_it_is_asked() -> None:
    loaded = run_python("import sys, nitro_py; print([name for name in sys.modules if 'nitro_py.' in name])")
    assert loaded == "[]\n"


def test_names_are_found_in_an_archive(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "packages"), "zip", Path(nitro_py.__file__).parent.parent, "nitro_py")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'packages.zip')!r})\n"
    code += "import nitro_py; print(nitro_py.__file__, nitro_py.Headers.__module__)"
    assert run_python(code).split() == [f"{tmp_path}/packages.zip/nitro_py/__init__.py", "nitro_py.headers"]


def test_star_gives_all_names() -> None:
    names = run_python("from nitro_py import *\nprint(*sorted(name for name in dir() if name[0] != '_'))")
    assert names.split() == sorted(nitro_py.__all__)


def test_names_are_listed_before_they_are_loaded() -> None:
    missing = run_python("import nitro_py; print(set(nitro_py.__all__) - set(dir(nitro_py)))")
    assert missing == "set()\n"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'nitro_py' has no attribute 'define_handlers'$"):
        nitro_py.define_handlers  # type: ignore[attr-defined]  # noqa: B018
    assert (
        run_python("""
try:
    from nitro_py import define_handlers
except ImportError as error:
    print(error.name, error.msg.partition(" (")[0])
""")
        == "nitro_py cannot import name 'define_handlers' from 'nitro_py'\n"
    )


def test_values_can_be_pickled() -> None:
    upgrade = nitro_py.Upgrade(protocol="chat.v2", context={"user": "ada"})
    assert pickle.loads(pickle.dumps(upgrade)) == upgrade


# The members that the portable contract names, sections "WebSocket" and "Server-sent events".
MEMBERS = {
    nitro_py.Peer: {
        "buffered_amount",
        "close",
        "context",
        "id",
        "namespace",
        "params",
        "protocol",
        "publish",
        "ready_state",
        "remote_address",
        "request",
        "send",
        "subscribe",
        "terminate",
        "topics",
        "unsubscribe",
        "wait_for_drain",
    },
    nitro_py.EventStream: {"close", "flush", "on_closed", "pause", "push", "push_comment", "resume", "send"},
}


@pytest.mark.parametrize("type", MEMBERS, ids=lambda type: type.__name__)
def test_public_classes_show_what_users_call(type: type) -> None:
    assert {name for name in dir(type) if not name.startswith("_")} == MEMBERS[type]


@pytest.mark.anyio
async def test_event_stream_has_no_other_attributes() -> None:
    names = {name for name in vars(nitro_py.EventStream()) if not name.startswith("_")}
    assert names == set()


def test_no_module_hides_a_name() -> None:
    # Importing `nitro_py.x` sets the attribute `x` of the package, whatever the package gives by that name.
    modules = {entry.name.partition(".")[0] for entry in Path(nitro_py.__file__).parent.iterdir()}
    assert not modules & set(nitro_py.__all__)
