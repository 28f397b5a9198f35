from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path, PurePosixPath

import pytest

from tests.checkout import ROOT, list_files


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from that sdist, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def version() -> str:
    """Read the version that is being built."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def test_wheel_holds_the_packages_and_nothing_else(artifacts: Path, version: str) -> None:
    info = f"nitropy_kit-{version}.dist-info"
    sources = {file.as_posix() for file in list_files("nitro_py")}
    sources |= {file.relative_to("presets").as_posix() for file in list_files("presets/nitro_presets")}
    templates = {
        f"nitro_presets/{preset}/infra/{file.relative_to(folder).as_posix()}"
        for folder, preset in (("infra/aws", "aws_lambda"), ("infra/container", "container"))
        for file in list_files(folder)
    }
    metadata = {
        f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    with zipfile.ZipFile(artifacts / f"nitropy_kit-{version}-py3-none-any.whl") as wheel:
        names = wheel.namelist()
    assert len(names) == len(set(names))
    assert set(names) == sources | templates | metadata
    assert templates
    assert {"nitro_py/py.typed", "nitro_presets/py.typed"} <= sources


def test_wheel_declares_the_command_and_the_presets(artifacts: Path, version: str) -> None:
    with zipfile.ZipFile(artifacts / f"nitropy_kit-{version}-py3-none-any.whl") as wheel:
        text = wheel.read(f"nitropy_kit-{version}.dist-info/entry_points.txt").decode()
        names = set(wheel.namelist())
    points = ConfigParser()
    points.read_string(text)
    assert dict(points["console_scripts"]) == {"nitropy": "nitro_py.cli.main:main"}
    assert points["nitro_py.presets"]["asgi"] == "nitro_presets.asgi.preset:preset"
    assert points["nitro_py.presets"]["container"] == "nitro_presets.container.preset:preset"
    for group in points.sections():
        for target in points[group].values():
            module = PurePosixPath(target.partition(":")[0].replace(".", "/"))
            assert f"{module}.py" in names


def test_sdist_holds_what_the_tests_need_and_nothing_else(artifacts: Path, version: str) -> None:
    root = f"nitropy_kit-{version}"
    with tarfile.open(artifacts / f"{root}.tar.gz") as sdist:
        names = {str(PurePosixPath(member.name).relative_to(root)) for member in sdist if member.isfile()}
    assert names == {file.as_posix() for file in list_files()} | {"PKG-INFO"}


RENDER = """
from nitro_presets.aws_lambda.deploy import template
from nitro_presets.container.files import render_files
from nitro_py.build.config.settings import NitroConfig
print(template.__file__)
print(template.render_template(template.TemplateOptions(name="chat", python_version="3.13")))
for name, data in sorted(render_files(NitroConfig(), vendored=False).items()):
    print(name, data.decode(), sep="\\n")
"""


def test_wheel_and_checkout_render_the_same_templates(artifacts: Path, version: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(artifacts / f"nitropy_kit-{version}-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path)
    rendered: list[str] = []
    for path in (f"{tmp_path}", f"{ROOT}{os.pathsep}{ROOT / 'presets'}"):
        ran = subprocess.run(
            [sys.executable, "-c", RENDER],
            cwd=tmp_path.parent,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        file, _, text = ran.stdout.partition("\n")
        assert Path(file).is_relative_to(path.partition(os.pathsep)[0])
        rendered.append(text)
    assert rendered[0] == rendered[1]
    assert rendered[0].startswith("AWSTemplateFormatVersion:")
    assert "\nkind: Deployment\n" in rendered[0]
