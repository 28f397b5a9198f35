from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nitro_presets.aws_lambda.preset import SHIPPED as SHIPPED_TO_AWS
from tests.checkout import ROOT, list_files

# One forbidden import for each wall: who imports, what it imports, and the contract that must break.
VIOLATIONS = [
    ("nitro_py.runtime.app", "nitro_presets.asgi.entry", "nitro_py never imports a preset"),
    ("nitro_py.cli.main", "nitro_presets.asgi.preset", "nitro_py never imports a preset"),
    ("nitro_py.peer", "nitro_py.testing.client", "only tools import build, cli, dev and testing"),
    ("nitro_py.runtime.app", "nitro_py.build.pipeline", "only tools import build, cli, dev and testing"),
    ("nitro_py.server.launch", "nitro_py.build.pipeline", "only tools import build, cli, dev and testing"),
    ("nitro_presets.asgi.preset", "nitro_py.build.pipeline", "only tools import build, cli, dev and testing"),
    ("nitro_presets.asgi.preset", "nitro_py.cli.main", "only tools import build, cli, dev and testing"),
    ("nitro_py.build.pipeline", "nitro_py.dev.watch", "cli stands on dev and testing, and these on build"),
    ("nitro_py.dev.watch", "nitro_py.testing.client", "cli stands on dev and testing, and these on build"),
    ("nitro_py.testing.client", "nitro_py.cli.main", "cli stands on dev and testing, and these on build"),
    ("nitro_py.peer", "nitro_py.preset", "only presets import nitro_py.preset"),
    ("nitro_py.cli.main", "nitro_py.preset", "only presets import nitro_py.preset"),
    ("nitro_presets.asgi.entry", "nitro_py.preset", "what a preset ships never imports the build side"),
    ("nitro_presets.asgi.entry", "nitro_presets.asgi.preset", "what a preset ships never imports the build side"),
    (
        "nitro_presets.aws_lambda.store",
        "nitro_presets.asgi.preset",
        "what a preset ships never imports the build side",
    ),
    ("nitro_py.peer", "nitro_py.server.launch", "only processes with sockets import server"),
    ("nitro_py.runtime.app", "nitro_py.server.launch", "only processes with sockets import server"),
    ("nitro_py.brokers.registry", "nitro_py.server.launch", "only processes with sockets import server"),
    ("nitro_presets.aws_lambda.store", "nitro_py.server.launch", "only processes with sockets import server"),
    ("nitro_py.peer", "nitro_py.brokers.registry", "only server and tools import brokers"),
    ("nitro_py.runtime.app", "nitro_py.brokers.registry", "only server and tools import brokers"),
    ("nitro_py.runtime.app", "nitro_py.stores.registry", "only storages and tools import stores"),
    ("nitro_py.server.launch", "nitro_py.stores.registry", "only storages and tools import stores"),
    ("nitro_presets.asgi.entry", "nitro_presets.other.entry", "presets never import each other"),
]
# Modules that keep every contract, and what each of them imports.
MODULES = {
    "nitro_py.__main__": "nitro_py.cli.main",
    "nitro_py.brokers.registry": "",
    "nitro_py.build.pipeline": "nitro_py.brokers.registry",
    "nitro_py.cli.main": "nitro_py.dev.watch",
    "nitro_py.dev.watch": "nitro_py.build.pipeline",
    "nitro_py.peer": "nitro_py.runtime.app",
    "nitro_py.preset": "nitro_py.build.pipeline",
    "nitro_py.runtime.app": "",
    "nitro_py.runtime.asgi.application": "nitro_py.brokers.registry",
    "nitro_py.server.launch": "nitro_py.brokers.registry",
    "nitro_py.storages": "nitro_py.stores.registry",
    "nitro_py.stores.registry": "",
    "nitro_py.testing.client": "nitro_py.build.pipeline",
    "nitro_presets.asgi.entry": "nitro_py.server.launch",
    "nitro_presets.asgi.preset": "nitro_py.preset",
    "nitro_presets.other.entry": "nitro_py.server.launch",
}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]
SHIPPED = next(found for found in CONTRACTS if "what a preset ships" in found["name"])["source_modules"]


def lint_imports(*roots: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the `pyproject.toml` in the first root against the packages in all of them."""
    command = Path(sys.executable).with_name("lint-imports")
    path = os.pathsep.join(str(root) for root in roots)
    return subprocess.run(
        [command, "--no-cache"],
        cwd=roots[0],
        env=os.environ | {"PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def write_packages(root: Path) -> None:
    """Write packages that keep every contract, with the contracts of this checkout."""
    shutil.copy(ROOT / "pyproject.toml", root)
    named = [
        module
        for contract in CONTRACTS
        for key in ("source_modules", "allowed_importers")
        for module in contract.get(key, ())
    ]
    for module in {**{name: "" for name in named if "*" not in name and name.count(".") > 1}, **MODULES}:
        file = root.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        for package in list(file.relative_to(root).parents)[:-1]:
            (root / package / "__init__.py").touch()
        imported = MODULES.get(module)
        file.write_text(f"import {imported}\n" if imported else "")


def test_checkout_keeps_the_walls() -> None:
    checked = lint_imports(ROOT, ROOT / "presets")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_package_is_seen() -> None:
    # import-linter passes over a folder without `__init__.py`, and over every wall in it. Templates and the
    # conformance suite's app are no packages of ours.
    folders = {
        file.parent
        for file in list_files("nitro_py/*.py", "presets/nitro_presets/*.py")
        if "templates" not in file.parts and "app" not in file.parts
    }
    assert sorted(str(folder) for folder in folders if not (ROOT / folder / "__init__.py").exists()) == []


def test_packages_without_violation_keep_the_walls(tmp_path: Path) -> None:
    write_packages(tmp_path)
    checked = lint_imports(tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("importer", "imported", "contract"), VIOLATIONS)
def test_violation_breaks_its_wall(tmp_path: Path, importer: str, imported: str, contract: str) -> None:
    write_packages(tmp_path)
    file = tmp_path.joinpath(*importer.split(".")).with_suffix(".py")
    file.write_text(f"import {imported}\n")
    checked = lint_imports(tmp_path)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert f"{contract} BROKEN" in checked.stdout


def test_all_that_ships_in_a_function_is_behind_its_wall() -> None:
    shipped = {f"nitro_presets.aws_lambda.{name.removesuffix('.py')}" for name in SHIPPED_TO_AWS}
    assert shipped - {*SHIPPED} == {"nitro_presets.aws_lambda.entry"}
    assert "nitro_presets.*.entry" in SHIPPED
