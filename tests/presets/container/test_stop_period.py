"""How long platforms let a container stop: the pause before the signal, the app's grace, and a margin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nitro_presets.container.files import render_files
from nitro_py.build.config.load import load_config


def find_number(text: bytes, name: str) -> int:
    """Return the one number that a field of a YAML file has."""
    (value,) = re.findall(rf"^ *{name}: (\d+)s?$", text.decode(), re.MULTILINE)
    return int(value)


@pytest.mark.parametrize(("grace", "rounded"), [(30.0, 30), (7.2, 8), (0.5, 1), (600.0, 600)])
@pytest.mark.parametrize("vendored", [False, True])
def test_platforms_wait_for_the_pause_and_for_the_whole_stop(
    tmp_path: Path, grace: float, rounded: int, vendored: bool
) -> None:
    (tmp_path / "nitro.toml").write_text(f'preset = "container"\nserver.grace = {grace}\n')
    config = load_config(tmp_path, mode="production", overrides={}, environ={}).config
    files = render_files(config, vendored=vendored)
    deployment = files["k8s/deployment.yaml"]
    # Kubernetes counts the pause before the signal as a part of the period; compose has no pause.
    assert find_number(deployment, "seconds") == 5
    assert find_number(deployment, "terminationGracePeriodSeconds") == 5 + rounded + 5
    assert find_number(files["compose.yaml"], "stop_grace_period") == rounded + 5
