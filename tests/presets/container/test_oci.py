"""The image that `--oci` writes: inspected by skopeo, copied into a storage, and run where there is no shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.testing.conformance import ServerTarget
from tests.bundles import copy_demo
from tests.cli.commands import succeed
from tests.presets.container.chat import check_chat, check_clock
from tests.presets.container.engine import SHELLS, Container, Engine, run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

IMAGE = "localhost/written:latest"


@pytest.fixture(scope="module")
def written(bare_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the demo's image twice, from two folders, and return the file."""
    files = []
    for name in ("one", "two"):
        root = copy_demo(tmp_path_factory.mktemp(name))
        succeed(root, "build", "--preset", "container", "--oci", "image.tar", "--base", str(bare_base))
        files.append(root / "image.tar")
    assert files[0].read_bytes() == files[1].read_bytes()
    return files[0]


@pytest.fixture(scope="module")
def container(engine: Engine, written: Path) -> Iterator[Container]:
    """Run it, with more time for its stop than podman gives it."""
    run("skopeo", "copy", "--quiet", f"oci-archive:{written}", engine.name_in_storage(IMAGE))
    with engine.start(IMAGE, environ={"NITRO_SERVER__GRACE": "3600"}) as container:
        yield container


def test_skopeo_reads_it(written: Path) -> None:
    config = json.loads(run("skopeo", "inspect", "--config", f"oci-archive:{written}:latest").stdout)
    assert config["config"]["Entrypoint"] == ["python3", "/app/server"]
    assert "Cmd" not in config["config"]
    manifest = json.loads(run("skopeo", "inspect", "--raw", f"oci-archive:{written}:latest").stdout)
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) >= 4
    # The same archive as Docker reads it.
    docker = json.loads(run("skopeo", "inspect", "--config", f"docker-archive:{written}:nitro-app:latest").stdout)
    assert docker == config


async def test_chat_works(container: Container) -> None:
    target = ServerTarget(container.url)
    await check_chat(target, target)
    await check_clock(target)


def test_no_shell_is_needed(engine: Engine, container: Container) -> None:
    code = f"import shutil; print([name for name in {SHELLS} if shutil.which(name)])"
    assert engine.podman("exec", container.name, "python3", "-c", code).stdout.strip() == "[]"


def test_stop_is_graceful(container: Container) -> None:
    status = container.stop()
    assert (status, "Traceback" in container.read_log()) == (0, False)
