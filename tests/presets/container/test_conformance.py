"""The preset `container` keeps the contract: the suite's app in a container that may do nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.testing.conformance import APP, JOURNAL, ServerTarget
from nitro_py.testing.conformance.suite import Conformance
from nitro_py.testing.conformance.suite.limits import Limits
from tests.cli.commands import succeed
from tests.presets.container.engine import Engine, run

# One process, which may write no file.
MEMORY = {"NITRO_STORAGE__DEFAULT__DRIVER": "memory", "NITRO_STORAGE__OTHER__DRIVER": "memory"}
IMAGE = "localhost/suite:latest"

# Making the base is a part of whichever test comes first.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def target(engine: Engine, bare_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerTarget]:
    """Run the suite's app in a container."""
    folder = tmp_path_factory.mktemp("suite")
    journal = folder / "journal"
    journal.mkdir()
    # The one folder that the user `nobody`, who runs the app, may write.
    journal.chmod(0o777)
    shutil.copytree(APP, folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    succeed(folder / "app", "build", "--preset", "container", "--oci", "image.tar", "--base", str(bare_base))
    run("skopeo", "copy", "--quiet", f"oci-archive:{folder / 'app/image.tar'}", engine.name_in_storage(IMAGE))
    mount = (f"--volume={journal}:/journal",)
    with engine.start(IMAGE, options=mount, environ={JOURNAL: "/journal", **MEMORY}) as container:
        yield ServerTarget(container.url)
        assert container.stop() == 0


class TestContainer(Conformance, Limits):
    """The whole suite: the preset declares every capability."""
