"""`nitropy build --oci`, as its user types it: the image it writes, and what it says of what cannot be."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import NITROPY, fail, make_project, run_nitropy, succeed
from tests.presets.container.layouts import PATH, make_base

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OCI = ("build", "--preset", "container", "--oci", "image.tar")
# What the app says of itself, and what the base says that must not hold for the app.
PROCESS = {
    "Env": [PATH, "PYTHONUNBUFFERED=0", "LANG=C.UTF-8"],
    "Entrypoint": ["/entrypoint.sh"],
    "Cmd": ["python3"],
    "User": "somebody",
    "WorkingDir": "/srv",
    "ExposedPorts": {"80/tcp": {}},
    "Labels": {"org.opencontainers.image.version": "3.11", "maintainer": "somebody"},
    "StopSignal": "SIGINT",
    "Volumes": {"/data": {}},
    "OnBuild": ["RUN false"],
}


def read_image(file: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """Read an archive: manifest, configuration, all files."""
    with tarfile.open(file) as archive:
        files = {
            member.name: opened.read() for member in archive if (opened := archive.extractfile(member)) is not None
        }
    (found,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/{found['digest'].replace(':', '/')}"])
    return manifest, json.loads(files[f"blobs/{manifest['config']['digest'].replace(':', '/')}"]), files


def list_layer(files: dict[str, bytes], digest: str, folder: Path) -> dict[str, tarfile.TarInfo]:
    """List what a layer holds."""
    file = folder / "layer"
    file.write_bytes(files[f"blobs/{digest.replace(':', '/')}"])
    with tarfile.open(file) as archive:
        return {member.name: member for member in archive}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a project twice onto the same base, the second time elsewhere."""
    roots = [make_project(tmp_path_factory.mktemp("one")), make_project(tmp_path_factory.mktemp("two") / "deeper")]
    for root in roots:
        make_base(root / "base", process=PROCESS, architecture=ARCHITECTURE, history=[{"created_by": "base"}])
        succeed(root, *OCI, "--base", "base")
    assert (roots[0] / "image.tar").read_bytes() == (roots[1] / "image.tar").read_bytes()
    return roots[0]


@pytest.mark.slow
def test_image_runs_the_app_and_nothing_of_the_base(project: Path) -> None:
    _, document, _ = read_image(project / "image.tar")
    assert document["config"] == {
        "Env": [PATH, "PYTHONUNBUFFERED=1", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"],
        "Entrypoint": ["python3", "/app/server"],
        "User": "65532:65532",
        "WorkingDir": "/app",
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"maintainer": "somebody", "org.opencontainers.image.title": "nitro-app"},
        "StopSignal": "SIGTERM",
        "Volumes": {"/data": {}},
        "Healthcheck": {
            "Test": ["CMD", "python3", "-I", "-S", "/app/server/nitro_presets/container/health.py"],
            "Interval": 10_000_000_000,
            "Timeout": 3_000_000_000,
            "StartPeriod": 20_000_000_000,
        },
    }
    assert (document["os"], document["architecture"]) == ("linux", ARCHITECTURE)
    filled = [entry["created_by"] for entry in document["history"] if not entry.get("empty_layer")]
    assert filled == ["base", "nitropy build --oci # dependencies", "nitropy build --oci # app"]


def test_layers_are_the_bases_then_the_dependencies_then_the_app(project: Path, tmp_path: Path) -> None:
    manifest, document, files = read_image(project / "image.tar")
    layers = [list_layer(files, layer["digest"], tmp_path) for layer in manifest["layers"]]
    assert len(layers) == len(document["rootfs"]["diff_ids"]) == 3
    assert set(layers[0]) == {"usr/bin/python3", "usr/bin/python3.11"}
    vendored = "app/server/vendor/"
    assert all(name.startswith(vendored) for name in layers[1] if not layers[1][name].isdir())
    assert f"{vendored}uvicorn/__init__.py" in layers[1]
    assert not any(name.startswith(vendored) for name in layers[2])
    assert {"app/server/__main__.py", "app/server/handlers/api/chat.py"} <= set(layers[2])
    for layer in layers[1:]:
        assert {(item.uid, item.gid, item.mtime) for item in layer.values()} == {(0, 0, 0)}
        assert {oct(item.mode) for item in layer.values()} <= {"0o755", "0o644"}


def test_docker_loads_it_too(project: Path) -> None:
    manifest, _, files = read_image(project / "image.tar")
    (image,) = json.loads(files["manifest.json"])
    assert image["RepoTags"] == ["nitro-app:latest"]
    assert image["Config"] == f"blobs/{manifest['config']['digest'].replace(':', '/')}"
    assert all(name in files for name in image["Layers"])


def test_result_is_said(project: Path) -> None:
    shown = json.loads(succeed(project, *OCI, "--base", "base", "--json"))["image"]
    with tarfile.open(project / "image.tar") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        assert shown["digest"] == json.loads(index.read())["manifests"][0]["digest"]
    assert shown["image"] == "nitro-app:latest"
    assert shown["platform"] == f"linux/{ARCHITECTURE}, Python 3.11"


def test_dependencies_are_the_bases_not_the_builds(tmp_path: Path) -> None:
    root = make_project(
        tmp_path / "app", {"nitro.toml": "experimental.websocket = true\ncontainer.image = 'a/b:1'\n"}
    )
    # Another than the build's own.
    minor = 12 if sys.version_info[:2] == (3, 13) else 13
    links = {"usr/local/bin/python3": f"python3.{minor}", "lib/ld-musl-aarch64.so.1": ""}
    make_base(root / "base", links, architecture="arm64")
    shown = succeed(root, *OCI, "--base", "base")
    assert f"linux/arm64, Python 3.{minor}, musl" in shown
    manifest, document, files = read_image(root / "image.tar")
    assert document["architecture"] == "arm64"
    names = set(list_layer(files, manifest["layers"][1]["digest"], tmp_path))
    assert any(name.endswith(f".cpython-3{minor}-aarch64-linux-musl.so") for name in names)
    # Only the Python that runs it could have written it.
    assert not [name for name in names if name.endswith(".pyc")]
    assert "byte code" in shown
    assert json.loads(files["manifest.json"])[0]["RepoTags"] == ["a/b:1"]


def test_other_presets_make_no_images(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    assert fail(root, "build", "--preset", "asgi", "--oci", "image.tar", "--base", ".") == (
        "`--base` is an option of the preset `container`, not of the preset `asgi`.\n"
        "  hint: Leave it out, or use `--preset container`.\n"
    )
    assert not (root / ".output").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--oci", "image.tar"], "`--oci` needs the image to build on.\n"),
        (["--base", "base"], "`--base` is for an image.\n"),
        (["--oci", "image.tar", "--base", "nowhere"], "There is no base image `nowhere`.\n"),
        (["--oci", "handlers", "--base", "base"], "`handlers` is a folder.\n"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, arguments: list[str], message: str) -> None:
    root = make_project(tmp_path)
    make_base(root / "base", architecture=ARCHITECTURE)
    error = fail(root, "build", "--preset", "container", *arguments)
    assert error.startswith(message)
    assert "hint: " in error
    assert not (root / ".output").exists()


def test_failed_build_keeps_the_last_image(project: Path) -> None:
    before = (project / "image.tar").read_bytes()
    make_base(project / "old", {"usr/bin/python3": "python3.9"}, architecture=ARCHITECTURE)
    assert fail(project, *OCI, "--base", "old") == (
        "The base image has Python 3.9: expected 3.11 or later.\n"
        "  at old\n"
        "  hint: Take an image of Python, such as `python:3.13-slim`, or one that has it as `python3`.\n"
    )
    assert (project / "image.tar").read_bytes() == before
    assert not list(project.glob(".image.tar-*"))


def test_no_room_for_the_work(project: Path) -> None:
    before = (project / "image.tar").read_bytes()
    # Files of the bundle are smaller than that, in blocks of 512 bytes, and layers are larger.
    limited = f'ulimit -f 1000 && exec "{NITROPY}" {" ".join(OCI)} --base base'
    done = subprocess.run(["sh", "-c", limited], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "error: The image cannot be made in `" in done.stderr
    assert done.stderr.count("File too large") == 1
    assert "\n  hint: Make room there, or set `TMPDIR`" in done.stderr
    assert (project / "image.tar").read_bytes() == before


def test_options_are_in_the_help(tmp_path: Path) -> None:
    shown = run_nitropy(tmp_path, "build", "--help").stdout
    assert "--oci" in shown
    assert "--base" in shown
