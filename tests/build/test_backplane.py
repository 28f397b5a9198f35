"""The backplane's settings: what a build refuses, and what travels."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from nitro_py.errors import BuildError, ConfigError
from nitro_py.runtime.manifest import Manifest
from nitro_py.runtime.settings import BackplaneSettings, Settings
from tests.bundles import plan_project, write_files

HELLO = "from nitro_py import define_handler\n\n@define_handler\ndef handler(event): ...\n"


def fail(root: Path, config: str) -> str:
    """Plan a build that is refused, and return the error."""
    write_files(root, {"handlers/a.py": HELLO, "nitro.toml": config})
    with pytest.raises(ConfigError) as caught:
        plan_project(root)
    return str(caught.value)


def test_unknown_backplane_is_refused(tmp_path: Path) -> None:
    assert fail(tmp_path, 'backplane = "kafka"') == (
        "Unknown backplane `kafka`: expected one of `local`, `memory`, `nats`, `postgres`, `redis`.\n"
        "  at nitro.toml:1\n"
        "  hint: Install the package that provides it, or correct the name."
    )


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@cache", "nats://hunter2@broker:4222", "redis://cache/0?password=hunter2"]
)
def test_url_with_a_secret_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    assert fail(tmp_path, f'backplane = "redis"\nbackplane_url = "{url}"') == (
        "`backplane_url` names a user, password or token, and bundles hold none: expected only the host.\n"
        "  at nitro.toml:2\n"
        "  hint: Leave it out here, and set `NITRO_BACKPLANE_URL=...` where the bundle runs."
    )


def test_url_of_another_broker_is_refused(tmp_path: Path) -> None:
    assert fail(tmp_path, 'backplane = "nats"\nbackplane_url = "redis://cache"') == (
        "`backplane_url` leads to no such broker: expected `nats://…`, `tls://…`, `ws://…`, `wss://…`, "
        "got `redis://…`.\n"
        "  at nitro.toml:2\n"
        "  hint: Set `NITRO_BACKPLANE_URL=nats://HOST`."
    )


@pytest.mark.parametrize(("name", "package"), [("redis", "redis=="), ("nats", "nats-py==")])
def test_client_and_settings_travel(tmp_path: Path, name: str, package: str) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO})
    requirements = plan_project(tmp_path).bundle.files["server/requirements.txt"].decode()
    assert package not in requirements
    url = f"{name}://broker"
    bundle = plan_project(tmp_path, backplane=name, backplane_url=url, backplane_prefix="shop").bundle
    assert package in bundle.files["server/requirements.txt"].decode()
    settings = Manifest.from_json(bundle.files["server/manifest.json"].decode()).settings
    assert Settings.from_json(settings, {}).backplane == BackplaneSettings(name, url, "shop")


@pytest.mark.parametrize(
    ("preset", "setting", "module", "extra"),
    [
        ("asgi", 'backplane = "redis"', "redis", "redis"),
        ("asgi", 'backplane = "nats"', "nats", "nats"),
        ("asgi", "metrics = true", "prometheus_client", "metrics"),
        # Its replicas are joined by Redis if nothing else is set.
        ("container", "", "redis", "redis"),
    ],
)
def test_extra_that_is_missing_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
    setting: str,
    module: str,
    extra: str,
) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO, "nitro.toml": setting})
    packages = tmp_path / "packages"
    packages.mkdir()
    site = sysconfig.get_path("purelib")
    for entry in Path(site).iterdir():
        if not entry.name.startswith(module):
            (packages / entry.name).symlink_to(entry)
    monkeypatch.setattr(sys, "path", [str(packages) if path == site else path for path in sys.path])
    with pytest.raises(BuildError) as caught:
        plan_project(tmp_path, preset=preset)
    assert str(caught.value) == (
        f"`{module}` is not installed.\n"
        f'  hint: Run `pip install "nitropy-kit[{extra}]"` in the environment that builds.'
    )


def test_backplane_on_aws_is_said_to_have_no_use(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": HELLO})
    plan = plan_project(tmp_path, preset="aws-lambda", backplane="redis")
    assert (
        "`backplane` (`redis`) has no use here: DynamoDB carries topics to every connection" in plan.bundle.notes
    )
    assert plan.bundle.vendor is not None
    assert not any(line.startswith("redis") for line in plan.bundle.vendor.requirements)
