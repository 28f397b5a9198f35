"""What the tools that know CloudFormation say of the stacks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_presets.aws_lambda.deploy.template import render_template
from tests.capabilities import require_program
from tests.presets.aws_lambda.deploy.stacks import OPTIONS

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
# Between them, every resource in every form.
LARGEST = (
    "websocket+function-url+streaming+cloudfront+ordered+made+public",
    "websocket+http-api+given",
    "websocket+cloudfront",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write every stack, each beside a package."""
    folder = tmp_path_factory.mktemp("stacks")
    for name, options in OPTIONS.items():
        place = folder / name
        place.mkdir()
        (place / "template.yaml").write_text(render_template(options), encoding="utf-8")
        (place / "function.zip").touch()
    return folder


def list_suppressions(text: str) -> Iterator[tuple[str, str, str]]:
    """List which rules are suppressed at which resource, and why."""
    resource = ""
    for block in re.finditer(r"^  (\w+):$|- id: (CKV\w+)\n +comment: (.+)$", text, re.MULTILINE):
        resource = block[1] or resource
        if block[2]:
            yield resource, block[2], block[3]


@pytest.mark.slow
def test_cfn_lint_finds_nothing(folder: Path) -> None:
    command = [str(CFN_LINT), "--include-checks", "I", "--", str(folder / "*" / "template.yaml")]
    linted = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stdout + linted.stderr


def test_cfn_lint_reads_the_stacks(tmp_path: Path) -> None:
    broken = render_template(OPTIONS["http-api"]).replace("PayloadFormatVersion:", "PayloadVersion:")
    file = tmp_path / "template.yaml"
    file.write_text(broken, encoding="utf-8")
    command = [str(CFN_LINT), "--", str(file)]
    linted = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "PayloadVersion" in linted.stdout


@pytest.mark.parametrize("name", LARGEST)
def test_sam_finds_nothing(folder: Path, name: str) -> None:
    command = [str(require_program("sam")), "validate", "--lint", "--template", f"{name}/template.yaml"]
    environ = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}
    checked = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "is a valid SAM Template" in said
    assert not re.search(r"\b[EWI]\d{4}\b", said)


@pytest.mark.parametrize("name", LARGEST)
def test_checkov_finds_nothing_but_what_is_explained(folder: Path, name: str) -> None:
    file = folder / name / "template.yaml"
    command = [str(require_program("checkov")), "--framework", "cloudformation", "--skip-download"]
    command += ["--output", "json", "--file", str(file)]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    results = json.loads(checked.stdout)["results"]
    failed = [f"{row['check_id']} {row['resource']}: {row['check_name']}" for row in results["failed_checks"]]
    assert failed == []
    assert results["passed_checks"]
    assert results["parsing_errors"] == []
    # Each suppression silences something, and says why.
    suppressions = list(list_suppressions(file.read_text(encoding="utf-8")))
    silenced = {(row["resource"].split(".")[1], row["check_id"]) for row in results["skipped_checks"]}
    assert {(resource, rule) for resource, rule, _ in suppressions} == silenced
    assert all(len(reason) > 20 for _, _, reason in suppressions)
