"""The template in Terraform and CDK, as the page about deployments shows it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nitro_presets.aws_lambda.deploy.lint import lint
from nitro_presets.aws_lambda.deploy.template import render_template
from tests.capabilities import require_program
from tests.docs.pages import find_blocks
from tests.presets.aws_lambda.deploy.stacks import OPTIONS, read_template

PAGE = "docs/deployment.md"
STACK = OPTIONS["websocket+http-api+made"]
PLACE = {"S3Bucket": "packages", "S3Key": "chat/1.zip"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write what a build writes."""
    output = tmp_path / ".output"
    output.mkdir()
    (output / "template.yaml").write_text(render_template(STACK), encoding="utf-8")
    (output / "function.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    return tmp_path


def list_functions(template: dict[str, Any]) -> dict[str, Any]:
    """Return the places of the functions' packages."""
    resources = template["Resources"].items()
    return {
        name: body["Properties"]["Code"] for name, body in resources if body["Type"] == "AWS::Lambda::Function"
    }


def find_expression() -> str:
    """Return the expression of the template's body on the page."""
    (block,) = find_blocks("hcl", PAGE)
    found = re.search(r"template_body = (replace\(.*?^  \))$", block.text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return (
        found[1]
        .replace("aws_s3_object.package.bucket", "local.bucket")
        .replace("aws_s3_object.package.key", "local.key")
    )


def test_terraform_puts_the_place_of_the_package_into_the_template() -> None:
    # Done here, as CI has no Terraform: both know this syntax of regular expressions.
    found = re.search(r'"/(.+)/",\n +"(.+)",', find_expression())
    assert found is not None
    pattern = found[1].replace("\\\\", "\\")
    new = found[2].replace("${local.bucket}", PLACE["S3Bucket"]).replace("${local.key}", PLACE["S3Key"])
    text = re.sub(pattern, new.replace("$1", r"\g<1>"), render_template(STACK))
    assert list_functions(read_template(text)) == {"HttpFunction": PLACE, "WebSocketFunction": PLACE}
    assert lint(text) == []


@pytest.mark.skipif(
    shutil.which("terraform") is None, reason="Terraform is in no archive that CI may install from."
)
def test_terraform_itself_does_so_too(project: Path) -> None:
    place = 'locals {\n  bucket = "packages"\n  key    = "chat/1.zip"\n}\n'
    program = f'{place}\noutput "body" {{\n  value = {find_expression()}\n}}\n'
    (project / "main.tf").write_text(program, encoding="utf-8")
    (block,) = find_blocks("hcl", PAGE)
    environ = os.environ | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}

    def run(*arguments: str, given: str | None = None) -> str:
        command = ["terraform", *arguments]
        done = subprocess.run(
            command, cwd=project, env=environ, input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("fmt", "-", given=block.text) == block.text
    run("init", "-no-color")
    run("apply", "-auto-approve", "-no-color")
    body = json.loads(run("output", "-json"))["body"]["value"]
    assert list_functions(read_template(body)) == {"HttpFunction": PLACE, "WebSocketFunction": PLACE}


def test_cdk_includes_the_template(project: Path) -> None:
    (block,) = (block.text for block in find_blocks("python", PAGE) if "CfnInclude" in block.text)
    (project / "app.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [require_program("cdk-python"), "app.py"],
        cwd=project,
        env=os.environ | {"CDK_OUTDIR": "out"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = (project / "out" / "chat.template.json").read_text(encoding="utf-8")
    template = json.loads(text)
    ours = read_template(render_template(STACK))
    assert {name: template["Resources"][name]["Type"] for name in ours["Resources"]} == {
        name: body["Type"] for name, body in ours["Resources"].items()
    }
    assert ours["Outputs"].keys() <= template["Outputs"].keys()
    for place in list_functions(template).values():
        assert place["S3Key"].endswith(".zip")
        assert (project / "out" / f"asset.{place['S3Key']}").is_file()
    assert [finding for finding in lint(text) if finding.level == "error"] == []
