"""A preset of a third party has what a built-in one has: settings, options, a schema, a bundle that runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.bundles import write_files
from tests.cli.commands import fail, make_project, run_nitropy, succeed
from tests.presets.outside.conftest import PACKAGE

FLAG = "experimental.websocket = true\n"


@pytest.fixture
def environ(site: Path) -> dict[str, str]:
    """Return variables by which Python finds the installed preset."""
    return {"PYTHONPATH": str(site)}


def build(root: Path, environ: dict[str, str], text: str, *, mode: str = "production") -> dict[str, object]:
    """Build with the preset, and return what it made of its settings."""
    project = make_project(root, {"nitro.toml": FLAG + text})
    succeed(project, "build", "--preset", "cloud-run", "--mode", mode, environ=environ)
    service: dict[str, object] = json.loads((project / ".output/service.json").read_text())
    return service


@pytest.mark.parametrize(
    ("text", "variables", "region", "instances"),
    [
        ("", {}, "europe-west1", 2),
        ("cloud_run.instances = 7\n", {}, "europe-west1", 7),
        ("[cloud_run]\nregion = 'us-central1'\n", {"NITRO_CLOUD_RUN__INSTANCES": "5"}, "us-central1", 5),
        ("cloud_run.instances = 7\n[production.cloud_run]\ninstances = 9\n", {}, "europe-west1", 9),
        ("[development.cloud_run]\ninstances = 9\n", {}, "europe-west1", 2),
    ],
)
def test_settings_come_from_files_sections_and_variables(
    tmp_path: Path, environ: dict[str, str], text: str, variables: dict[str, str], region: str, instances: int
) -> None:
    assert build(tmp_path, environ | variables, text) == {"region": region, "maxInstances": instances}


@pytest.mark.parametrize("preset", ["cloud-run", "asgi"])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "[cloud_run]\ninstances = 0\n",
            "`cloud_run.instances`: expected an integer of at least 1, got `0`.\n"
            "  at nitro.toml:2\n"
            "  hint: Write `instances = 2`, for example.\n",
        ),
        (
            "[cloud_run]\nregion = 'mars'\n",
            '`cloud_run.region`: expected one of `"europe-west1"`, `"us-central1"`, got `"mars"`.\n'
            "  at nitro.toml:2\n"
            '  hint: Write `region = "europe-west1"`, for example.\n',
        ),
        (
            "[cloud_run]\ninstance = 3\n",
            "Unknown key `cloud_run.instance` in `nitro.toml`: expected one of `instances`, `region`, "
            "got `instance`.\n"
            "  at nitro.toml:2\n"
            "  hint: Did you mean `cloud_run.instances`?\n",
        ),
        (
            "cloud_run = 3\n",
            "`cloud_run`: expected a table, got `3`.\n"
            "  at nitro.toml:1\n"
            "  hint: Write its keys below a line `[cloud_run]`.\n",
        ),
    ],
)
def test_wrong_settings_are_explained_whatever_is_built(
    tmp_path: Path, environ: dict[str, str], preset: str, text: str, error: str
) -> None:
    root = write_files(tmp_path, {"nitro.toml": text})
    assert fail(root, "check", "--preset", preset, environ=environ) == error


def test_wrong_variable_is_explained(tmp_path: Path, environ: dict[str, str]) -> None:
    error = fail(make_project(tmp_path), "check", environ=environ | {"NITRO_CLOUD_RUN__INSTANCES": "x"})
    assert error.startswith(
        '`cloud_run.instances` from `NITRO_CLOUD_RUN__INSTANCES`: expected an integer of at least 1, got `"x"`.\n'
    )
    error = fail(make_project(tmp_path), "check", environ=environ | {"NITRO_CLOUD_RUN__INSTANCE": "1"})
    assert "expected one of `NITRO_CLOUD_RUN__INSTANCES`, `NITRO_CLOUD_RUN__REGION`, got" in error
    assert error.endswith("hint: Did you mean `NITRO_CLOUD_RUN__INSTANCES`?\n")


def test_table_without_its_preset_names_the_presets_that_have_one(tmp_path: Path, environ: dict[str, str]) -> None:
    root = write_files(tmp_path, {"nitro.toml": "[harbor]\nberths = 3\n"})
    message, place, hint = fail(root, "check", environ=environ).splitlines()
    assert message.startswith("Unknown key `harbor` in `nitro.toml`: expected one of `aws`, ")
    assert message.endswith(", got `harbor`.")
    assert "`cloud_run`" in message
    assert place == "  at nitro.toml:1"
    assert hint == (
        "  hint: Install the preset that has this table. Of those that are installed, `aws-lambda` has `[aws]`, "
        "`cloud-run` has `[cloud_run]`, `container` has `[container]`."
    )
    assert "`cloud-run`" not in fail(root, "check")


def test_schema_has_the_settings(tmp_path: Path, environ: dict[str, str]) -> None:
    schema = json.loads(succeed(tmp_path, "config", "schema", environ=environ))
    assert schema["properties"]["cloud_run"] == {
        "$ref": "#/$defs/CloudRunSettings",
        "default": {"region": "europe-west1", "instances": 2},
        "description": "The preset `cloud-run`.",
    }
    assert schema["$defs"]["CloudRunSettings"]["properties"]["region"]["enum"] == ["europe-west1", "us-central1"]
    assert "cloud_run" in schema["$defs"]["NitroConfig"]["properties"]
    assert "cloud_run" not in json.loads(succeed(tmp_path, "config", "schema"))["properties"]


def test_is_imported_only_if_it_is_built_or_has_a_table(tmp_path: Path, environ: dict[str, str]) -> None:
    log = tmp_path / "imports"
    environ = environ | {"CLOUD_RUN_IMPORTS": str(log)}
    root = make_project(tmp_path / "app")
    succeed(root, "check", "--preset", "asgi", environ=environ)
    succeed(root, "routes", environ=environ)
    write_files(root, {"nitro.toml": FLAG + "aws.memory = 256\n"})
    succeed(root, "check", "--preset", "asgi", environ=environ)
    assert not log.exists()
    write_files(root, {"nitro.toml": FLAG + "cloud_run.instances = 3\n"})
    succeed(root, "check", "--preset", "asgi", environ=environ)
    assert log.read_text() == "imported\n"


def test_options_are_read_and_refused_by_name(tmp_path: Path, environ: dict[str, str]) -> None:
    root = make_project(tmp_path)
    succeed(root, "build", "--preset", "cloud-run", environ=environ)
    rows = dict(line.split() for line in succeed(root, "deploy", environ=environ).splitlines())
    assert rows == {"output": "value", "region": "europe-west1", "service": "app", "traffic": "100"}
    given = ("--service", "shop", "--traffic=5", "--region", "us-central1")
    rows = dict(line.split() for line in succeed(root, "deploy", *given, environ=environ).splitlines())
    assert rows == {"output": "value", "region": "us-central1", "service": "shop", "traffic": "5"}
    assert fail(root, "deploy", "--bucket", "b", environ=environ) == (
        "`--bucket` is an option of the preset `aws-lambda`, not of the preset `cloud-run`.\n"
        "  hint: Leave it out, or use `--preset aws-lambda`.\n"
    )
    wrong = run_nitropy(root, "deploy", "--traffic", "half", environ=environ)
    assert (wrong.returncode, "--traffic" in wrong.stderr, "Traceback" in wrong.stderr) == (2, True, False)
    assert "No such option: --service" in run_nitropy(root, "deploy", "--service", "shop").stderr


def test_options_are_in_the_help(tmp_path: Path, environ: dict[str, str]) -> None:
    # Lines are broken at hyphens too.
    shown = "".join(succeed(tmp_path, "deploy", "--help", environ=environ).split())
    for text in (
        "--traffic PERCENT Percent of the requests that the new version gets (the preset `cloud-run`).",
        "Region to deploy to (the presets `aws-lambda`, `cloud-run`).",
    ):
        assert text.replace(" ", "") in shown


def test_folder_of_the_project_has_settings_too(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"nitro.toml": FLAG + "[cloud_run]\ninstances = 4\n"})
    shutil.copytree(PACKAGE / "cloud_run", root / "cloud_run", ignore=shutil.ignore_patterns("__pycache__"))
    succeed(root, "build", "--preset", "./cloud_run")
    assert json.loads((root / ".output/service.json").read_text())["maxInstances"] == 4
    # The table is there whatever is built, and its preset is named after it.
    succeed(root, "check", "--preset", "asgi")
    write_files(root, {"nitro.toml": FLAG + "preset = './cloud_run'\n[cloud_run]\ninstance = 4\n"})
    assert "Did you mean `cloud_run.instances`?" in fail(root, "check")
    assert "cloud_run" in json.loads(succeed(root, "config", "schema"))["properties"]
