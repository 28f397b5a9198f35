"""One base image and one image of the demo for all tests: making them takes longest."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.build.pipeline import write_plan
from tests.bundles import copy_demo, plan_project
from tests.presets.container.engine import SHELLS, Engine, make_rootfs, open_engine, run

BASE = "localhost/base:latest"
DEMO = "localhost/demo:latest"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Return the tools that build and run images."""
    with open_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def base_image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an image with Python and pip, and name it."""
    rootfs = tmp_path_factory.mktemp("base") / "rootfs"
    make_rootfs(rootfs)
    engine.add_folder(BASE, rootfs)
    shutil.rmtree(rootfs)
    return BASE


@pytest.fixture(scope="session")
def bare_base(engine: Engine, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an OCI layout of the base without a shell and without pip."""
    work = engine.buildah("from", "--pull-never", base_image).stdout.strip()
    root = Path(engine.buildah("mount", work).stdout.strip())
    for folder in ("bin", "usr/bin"):
        for name in (*SHELLS, "pip", "pip3"):
            (root / folder / name).unlink(missing_ok=True)
    engine.buildah("umount", work)
    layout = tmp_path_factory.mktemp("layout") / "base"
    engine.buildah("commit", "--quiet", "--rm", work, f"oci:{layout}:latest")
    return layout


@pytest.fixture(scope="session")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the repository's own handlers, and return the output folder."""
    plan = plan_project(copy_demo(tmp_path_factory.mktemp("demo")), preset="container")
    write_plan(plan)
    return plan.output


@pytest.fixture(scope="session")
def demo_image(
    engine: Engine, base_image: str, demo_output: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Build the demo's image with its Dockerfile, and name it."""
    folder = tmp_path_factory.mktemp("pip")
    wheels, settings = folder / "wheels", folder / "pip.conf"
    python = engine.find_python(base_image)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    command += ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp"]
    command += ["--requirement", str(demo_output / "server/requirements.txt")]
    run(*command)
    # The build sees no index, as it may be on a machine that has none.
    settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    options = (f"--secret=id=pip,src={settings}", f"--volume={wheels}:/wheels:ro", "--layers")
    engine.build(demo_output, base_image, DEMO, *options)
    return DEMO
