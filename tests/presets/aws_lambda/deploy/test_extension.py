"""Resources of the project's own in the stack: the file `infra/aws.yaml`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from nitro_presets.aws_lambda.deploy.extend import extend_template
from nitro_presets.aws_lambda.deploy.extension import (
    DATA_TYPES,
    Extension,
    merge_extension,
    read_extension,
)
from nitro_presets.aws_lambda.deploy.template import render_template
from nitro_presets.aws_lambda.gateway.permissions import read_roles
from nitro_py.errors import BuildError
from nitro_py.preset import BuildInput, Manifest, NitroConfig
from tests.bundles import plan_project, write_files
from tests.capabilities import require_program
from tests.docs.pages import find_blocks
from tests.presets.aws_lambda.deploy.stacks import FULL, read_template

FILE = "infra/aws.yaml"
PAGE = "docs/deployment.md"
HELLO = """
    from nitro_py import Event, define_handler

    @define_handler
    async def handler(event: Event) -> str:
        return "hello"
    """
EVERYTHING = """
Parameters:
  Size: {Type: String, Default: small, AllowedValues: [small, large]}
Mappings:
  Sizes:
    small: {Days: 1}
    large: {Days: 7}
Conditions:
  Large: !Equals [!Ref Size, large]
Resources:
  # The queue of what is to be done.
  Work:
    Type: AWS::SQS::Queue
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties:
      MessageRetentionPeriod: 86400
  Watch:
    Type: AWS::CloudWatch::Alarm
    Condition: Large
    DependsOn: [Work]
    Properties:
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions:
        - {Name: FunctionName, Value: !Ref HttpFunction}
      AlarmDescription: !Sub "Errors of ${HttpFunction}, role ${HttpRole.Arn}, ${!literally}"
      EvaluationPeriods: !FindInMap [Sizes, !Ref Size, Days]
      ComparisonOperator: GreaterThanThreshold
      Threshold: 3
      Period: 60
      Statistic: Sum
Outputs:
  WorkUrl:
    Value: !Ref Work
  WatchName:
    Condition: Large
    Value: !GetAtt Watch.Arn
"""


def extend(text: str) -> str:
    """Read an extension and merge it into the largest stack."""
    return merge_extension(render_template(FULL), read_extension(FILE, text.encode()))


def refuse(text: str) -> BuildError:
    """Return why an extension is refused."""
    build = BuildInput(NitroConfig(), Manifest("production", ()), {}, {}, frozenset(), files={FILE: text.encode()})
    with pytest.raises(BuildError) as refused:
        extend_template(build, render_template(FULL))
    assert refused.value.file == FILE
    return refused.value


def lay_out(root: Path, text: str, config: str = "") -> Path:
    """Write a project with an extension."""
    config = f'preset = "aws-lambda"\naws.cloudfront = false\n{config}'
    return write_files(root, {"nitro.toml": config, "handlers/hello.get.py": HELLO, FILE: text})


def test_every_section_is_merged_and_refers_both_ways() -> None:
    before = read_template(render_template(FULL))
    after = read_template(extend(EVERYTHING))
    own = read_template(EVERYTHING)
    for section in ("Conditions", "Mappings", "Outputs", "Parameters", "Resources"):
        assert after[section] == before.get(section, {}) | own[section]
    assert set(after) == set(before) | {"Mappings"}


def test_template_without_an_extension_is_as_it_was(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "# Nothing yet.\n")
    empty = plan_project(root).bundle.files["template.yaml"]
    (root / FILE).unlink()
    assert plan_project(root).bundle.files["template.yaml"] == empty


def test_build_merges_the_file_and_checks_it(tmp_path: Path) -> None:
    plan = plan_project(lay_out(tmp_path, EVERYTHING))
    template = read_template(plan.bundle.files["template.yaml"].decode())
    assert template["Resources"]["Work"]["Type"] == "AWS::SQS::Queue"
    assert not any("cfn-lint" in note or FILE in note for note in plan.bundle.notes)


def test_another_file_can_be_named(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "Broken", 'aws.extend = "cloud/stack.yaml"\n')
    with pytest.raises(BuildError, match=r"`cloud/stack\.yaml`, which is not there") as refused:
        plan_project(root)
    assert (refused.value.file, refused.value.line) == ("nitro.toml", 3)
    write_files(root, {"cloud/stack.yaml": EVERYTHING})
    template = read_template(plan_project(root).bundle.files["template.yaml"].decode())
    assert "Work" in template["Resources"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("Resources:\n  A: [", 2, "This is no YAML"),
        ("Resources:\n\tA: 1\n", 2, "This is no YAML"),
        ("- Resources\n", 1, "no part of a template"),
        (
            "Outputs:\nResourcse:\n  A: {Type: X}\n",
            2,
            "Unknown section `Resourcse`: expected one of `Conditions`, `M",
        ),
        ("Transform: AWS::Serverless-2016-10-31\n", 1, "Unknown section `Transform`"),
        ("Resources: {}\nResources: {}\n", 2, "`Resources` stands here twice: at infra/aws.yaml:1, too."),
        ("Resources:\n  my-table: {Type: AWS::SNS::Topic}\n", 2, "`my-table` cannot be a name"),
        ("Resources:\n  A: AWS::SNS::Topic\n", 2, "`Resources.A` is no table"),
        ("Resources:\n\n  A: {Properties: {}}\n", 3, "`Resources.A` has no `Type`"),
        ("Resources: [A]\n", 1, "`Resources` has no names"),
        ("Resources:\n  A: &a {Type: AWS::SNS::Topic}\n  B: *a\n", 3, "`*a` is an alias"),
        ("Outputs:\n  A:\n    Value: !Reff Work\n", 3, "`!Reff` is no function of CloudFormation"),
    ],
)
def test_what_is_no_part_of_a_template_is_refused(text: str, line: int, message: str) -> None:
    refused = refuse(text)
    assert refused.line == line
    assert message in refused.message


def test_name_that_ours_has_is_refused_with_both_places() -> None:
    refused = refuse("Resources:\n  # Notes.\n  Table: {Type: AWS::DynamoDB::Table}\n")
    found = re.fullmatch(
        r"`Table` is taken: it stands in `Resources` already, at template\.yaml:(\d+)\.", refused.message
    )
    assert found is not None
    assert render_template(FULL).splitlines()[int(found[1]) - 1] == "  Table:"
    assert refused.line == 3
    assert "aws.overrides" in str(refused.hint)


@pytest.mark.parametrize("name", ["AlarmTopicGiven", "Url", "AlarmTopic"])
def test_name_of_every_section_can_clash(name: str) -> None:
    section, body = {
        "AlarmTopicGiven": ("Conditions", "!Equals [a, b]"),
        "Url": ("Outputs", "{Value: a}"),
        # A parameter and a resource may not share a name either.
        "AlarmTopic": ("Resources", "{Type: AWS::SNS::Topic}"),
    }[name]
    assert f"`{name}` is taken" in refuse(f"{section}:\n  {name}: {body}\n").message


def test_name_that_the_file_has_twice_is_refused_with_both_places() -> None:
    text = "Parameters:\n  A: {Type: String}\nResources:\n  A: {Type: AWS::SNS::Topic}\n"
    refused = refuse(text)
    assert {"infra/aws.yaml:4", "infra/aws.yaml:2"} == {
        f"{refused.file}:{refused.line}",
        refused.message.partition(" at ")[2].rstrip("."),
    }


@pytest.mark.parametrize(
    ("value", "name", "what"),
    [
        ("!Ref Tabel", "Tabel", "resource or parameter"),
        ("{Ref: Tabel}", "Tabel", "resource or parameter"),
        ("!GetAtt Tabel.Arn", "Tabel", "resource"),
        ("!GetAtt [Tabel, Arn]", "Tabel", "resource"),
        ("{'Fn::GetAtt': Tabel.Arn}", "Tabel", "resource"),
        ('!Sub "${Table.Arn}/${Tabel}"', "Tabel", "resource or parameter"),
        ('!Sub ["${Own}/${Tabel.Arn}", {Own: a}]', "Tabel", "resource"),
        ("!If [Large, a, b]", "Large", "condition"),
        ("!FindInMap [Sizes, a, b]", "Sizes", "mapping"),
        ('!Join ["", [!Select [0, [!Ref Tabel]]]]', "Tabel", "resource or parameter"),
    ],
)
def test_name_that_nothing_defines_is_refused(value: str, name: str, what: str) -> None:
    refused = refuse(f"Outputs:\n  A:\n    Value: {value}\n")
    assert refused.line == 3
    assert f"names `{name}`, which is no {what} of the stack: expected one of" in refused.message
    choices = re.findall(r"`([^`]+)`", refused.message.partition("expected one of")[2])
    assert choices == sorted(choices)
    if name == "Tabel":
        assert refused.hint == "Did you mean `Table`?"


@pytest.mark.parametrize("attribute", ["Condition: Tabel", "DependsOn: Tabel", "DependsOn: [Table, Tabel]"])
def test_attribute_that_names_nothing_is_refused(attribute: str) -> None:
    refused = refuse(f"Resources:\n  A:\n    Type: AWS::SNS::Topic\n    {attribute}\n")
    assert (refused.line, "`Tabel`" in refused.message) == (4, True)


def test_property_that_there_is_not_is_refused_with_its_line_and_choices(tmp_path: Path) -> None:
    text = "Resources:\n  A:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueNam: a\n"
    with pytest.raises(BuildError) as refused:
        plan_project(lay_out(tmp_path, text))
    assert (refused.value.file, refused.value.line) == (FILE, 5)
    message = refused.value.message
    assert "`QueueNam` is no property here: expected one of `ContentBasedDeduplication`, " in message
    assert "`QueueName`" in message
    # What CloudFormation only returns cannot be set.
    assert "`QueueUrl`" not in message


def test_data_that_would_go_with_the_stack_is_told(tmp_path: Path) -> None:
    text = "Resources:\n  Files: {Type: AWS::S3::Bucket}\n  Topic: {Type: AWS::SNS::Topic}\n"
    (note,) = (note for note in plan_project(lay_out(tmp_path, text)).bundle.notes if FILE in note)
    assert note.startswith("`Files` (infra/aws.yaml:2) has no `DeletionPolicy` and `UpdateReplacePolicy`: ")
    assert {"AWS::DynamoDB::Table", "AWS::RDS::DBInstance"} < DATA_TYPES
    protected = "Resources:\n  F: {Type: AWS::S3::Bucket, DeletionPolicy: Retain, UpdateReplacePolicy: Retain}\n"
    assert list(read_extension(FILE, protected.encode()).describe_unprotected_data()) == []


@pytest.mark.parametrize("kind", ["DynamoDB::Table", "S3::Bucket", "SQS::Queue"])
def test_resource_that_the_page_shows_has_six_lines_and_builds(tmp_path: Path, kind: str) -> None:
    (block,) = (block.text for block in find_blocks("yaml", PAGE) if f"    Type: AWS::{kind}\n" in block.text)
    assert len(block.splitlines()) <= 6
    plan = plan_project(lay_out(tmp_path, f"Resources:\n{block}"))
    assert not [note for note in plan.bundle.notes if FILE in note]
    template = read_template(plan.bundle.files["template.yaml"].decode())
    assert [body for body in template["Resources"].values() if body["Type"] == f"AWS::{kind}"]


def test_parameter_without_a_value_is_told() -> None:
    text = "Parameters:\n  Given: {Type: String, Default: a}\n  Open: {Type: String}\n"
    (note,) = read_extension(FILE, text.encode()).describe_open_parameters()
    assert note.startswith("`Open` (infra/aws.yaml:3) has no `Default`")


def test_app_with_all_of_its_own_passes_cfn_lint_and_sam(tmp_path: Path) -> None:
    config = """
        aws.tags.team = "chat"
        aws.domain = {name = "chat.example.com", websocket_name = "live.example.com", hosted_zone = "Z0123456789"}
        aws.environment = {NOTES = "!Ref Notes", PHOTOS = "!Ref Photos", JOBS = "!Ref Jobs"}
        [[aws.statements]]
        Effect = "Allow"
        Action = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource = "!GetAtt Notes.Arn"
        [[aws.statements]]
        Effect = "Allow"
        Action = "s3:GetObject"
        Resource = "!Sub ${Photos.Arn}/*"
        [aws.overrides.HttpFunction.Properties]
        TracingConfig.Mode = "Active"
        [aws.overrides.HttpRole.Properties]
        ManagedPolicyArns = ["arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"]
        """
    shown = [
        block.text for block in find_blocks("yaml", PAGE) if block.text.startswith("  ") and "AWS::" in block.text
    ]
    assert len(shown) == 3
    root = lay_out(tmp_path, "Resources:\n" + "\n".join(shown), dedent(config))
    plan = plan_project(root)
    assert not [note for note in plan.bundle.notes if "cfn-lint" in note or FILE in note]
    text = plan.bundle.files["template.yaml"]
    function = read_template(text.decode())["Resources"]["HttpFunction"]["Properties"]
    assert function["Environment"]["Variables"]["NOTES"] == {"Ref": "Notes"}
    assert function["TracingConfig"] == {"Mode": "Active"}
    (tmp_path / "template.yaml").write_bytes(text)
    (tmp_path / "function.zip").touch()
    command = [str(require_program("sam")), "validate", "--lint", "--template", "template.yaml"]
    environ = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}
    checked = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_empty_file_extends_nothing() -> None:
    assert read_extension(FILE, b"") == Extension(FILE, None)
    assert extend("Resources:\n") == render_template(FULL)


def test_preview_reads_the_roles_beside_a_function_of_the_project(tmp_path: Path) -> None:
    text = """
        Resources:
          Own:
            Type: AWS::Lambda::Function
            Properties:
              Handler: index.handler
              Role: arn:aws:iam::123456789012:role/own
              Runtime: python3.13
              Code: {ZipFile: "handler = print"}
          Allowed:
            Type: AWS::IAM::Policy
            Properties:
              PolicyName: own
              Roles: [!Ref HttpRole]
              PolicyDocument:
                Version: "2012-10-17"
                Statement: {Effect: Allow, Action: "sns:Publish", Resource: "*"}
        """
    root = lay_out(tmp_path, text)
    template = tmp_path / "template.yaml"
    template.write_bytes(plan_project(root).bundle.files["template.yaml"])
    roles = read_roles(template, {})
    assert set(roles) == {"nitro_http.handler"}
    assert any(statement.covers_action("sns:Publish") for statement in roles["nitro_http.handler"].statements)


def test_build_without_yaml_names_the_extra(tmp_path: Path) -> None:
    root = lay_out(tmp_path, EVERYTHING)
    program = "import sys; sys.modules['yaml'] = None; from nitro_py.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "build"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "nitropy-kit[aws]" in done.stderr
    assert "Traceback" not in done.stderr
