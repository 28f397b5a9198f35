"""What the tools that know Dockerfiles, compose and Kubernetes say of what the build writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from nitro_presets.container.files import render_files
from nitro_presets.container.preset import preset
from nitro_py.build.config.schema import PresetTable, make_models

PROGRAMS = Path(sys.executable).parent
SETTINGS = make_models((PresetTable(preset.settings_table, preset.name, preset.settings),)).settings
SERVED = "registry.example:5000/team/chat_room:1.2"


def render(folder: Path, *, vendored: bool = False, backplane: str = "memory") -> Path:
    """Write what stands beside `server/`, and return the folder."""
    config = SETTINGS.model_validate({"container": {"image": SERVED}, "backplane": backplane})
    for name, data in render_files(config, vendored=vendored).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def read(file: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment."""
    command = [str(PROGRAMS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("vendored", [False, True])
def test_hadolint_has_nothing_to_say(tmp_path: Path, vendored: bool) -> None:
    file = render(tmp_path, vendored=vendored) / "Dockerfile"
    linted = run("hadolint", "--no-color", "--failure-threshold", "style", file)
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stdout + linted.stderr


def test_hadolint_reads_the_dockerfile(tmp_path: Path) -> None:
    file = render(tmp_path) / "Dockerfile"
    file.write_text(file.read_text().replace("CMD []", "CMD sleep 1"))
    assert "DL3025" in run("hadolint", "--no-color", file).stdout


@pytest.mark.parametrize("backplane", ["memory", "redis", "nats", "another"])
def test_compose_file_is_what_compose_expects(tmp_path: Path, backplane: str) -> None:
    file = render(tmp_path, backplane=backplane) / "compose.yaml"
    checked = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    file.write_text(file.read_text().replace("replicas: 2", "replica: 2"))
    assert "replica" in run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file).stdout


@pytest.mark.parametrize("kind", ["deployment", "service"])
def test_manifests_are_what_kubernetes_expects(tmp_path: Path, kind: str) -> None:
    manifest = read(render(tmp_path) / f"k8s/{kind}.yaml")
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    manifest["spec"]["unknown"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="unknown"):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_names_agree_wherever_they_stand(tmp_path: Path) -> None:
    folder = render(tmp_path)
    deployment, service = read(folder / "k8s/deployment.yaml"), read(folder / "k8s/service.yaml")
    compose = read(folder / "compose.yaml")
    assert compose["name"] == deployment["metadata"]["name"] == service["metadata"]["name"] == "chat-room"
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == compose["services"]["app"]["image"] == SERVED
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    assert f"app:{ports['http']};" in (folder / "nginx.conf").read_text()
    assert f"EXPOSE {ports['http']}\n" in (folder / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("backplane", "name", "url"),
    [
        # Two replicas need one, whether the settings say so or not.
        ("memory", "redis", "redis://broker:6379"),
        ("redis", "redis", "redis://broker:6379"),
        ("nats", "nats", "nats://broker:4222"),
    ],
)
def test_replicas_are_joined_by_the_broker(tmp_path: Path, backplane: str, name: str, url: str) -> None:
    folder = render(tmp_path, backplane=backplane)
    services = read(folder / "compose.yaml")["services"]
    assert services["app"]["environment"]["NITRO_BACKPLANE"] == name
    assert services["app"]["environment"]["NITRO_BACKPLANE_URL"] == url
    assert services["app"]["depends_on"].keys() <= services.keys() == {"app", "broker", "proxy"}
    (container,) = read(folder / "k8s/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["NITRO_BACKPLANE"]["value"] == name
    # A URL with a password has no place in a file that is shared.
    assert "secretKeyRef" in variables["NITRO_BACKPLANE_URL"]["valueFrom"]


def test_broker_that_nobody_knows_here_is_asked_for(tmp_path: Path) -> None:
    services = read(render(tmp_path, backplane="another") / "compose.yaml")["services"]
    assert services.keys() == {"app", "proxy"}
    assert services["app"]["environment"]["NITRO_BACKPLANE_URL"].startswith("${NITRO_BACKPLANE_URL:?")


def test_platforms_wait_for_the_apps_own_goodbye(tmp_path: Path) -> None:
    config = SETTINGS.model_validate({"server": {"grace": 20.5}})
    files = render_files(config, vendored=False)
    assert yaml.safe_load(files["compose.yaml"])["services"]["app"]["stop_grace_period"] == "26s"
    pod = yaml.safe_load(files["k8s/deployment.yaml"])["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] - pause > 20.5


def test_dockerfile_runs_nothing_through_a_shell(tmp_path: Path) -> None:
    for vendored in (False, True):
        lines = (render(tmp_path, vendored=vendored) / "Dockerfile").read_text().splitlines()
        words = [line for line in lines if line.startswith(("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"))]
        assert words
        assert [line for line in words if "[" not in line or not line.endswith("]")] == []


@pytest.mark.parametrize("image", ["Chat", "chat:", "1chat", "a//b", "chat@sha256:00", "", "chat room"])
def test_wrong_name_of_an_image_is_refused(image: str) -> None:
    with pytest.raises(ValueError, match=r"`name`, `name:tag` or `registry/name:tag`"):
        SETTINGS.model_validate({"container": {"image": image}})
