"""Changes of generated resources: the setting `aws.overrides`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from nitro_presets.aws_lambda.deploy.extend import ExtendedTemplate, extend_template
from nitro_presets.aws_lambda.deploy.overrides import ATTRIBUTES, Overrides
from nitro_presets.aws_lambda.deploy.template import render_template
from nitro_py.build.config.load import load_config
from nitro_py.errors import BuildError, ConfigError
from nitro_py.preset import BuildInput, Manifest, Place
from nitro_py.runtime.manifest import read_manifest
from tests.bundles import build_project, plan_project, write_files
from tests.docs.pages import find_blocks
from tests.presets.aws_lambda.deploy.stacks import FULL, read_template

PAGE = "docs/deployment.md"
CHAT = """
    from nitro_py import Message, Peer, define_websocket_handler

    async def message(peer: Peer, message: Message) -> None:
        await peer.send("hi")

    handler = define_websocket_handler(message=message)
    """
HELLO = """
    from nitro_py import Event, define_handler

    @define_handler
    async def handler(event: Event) -> str:
        return "hello"
    """
CONFIG = 'preset = "aws-lambda"\nexperimental.websocket = true\n'


def override(config: str) -> str:
    """Apply changes, written as TOML, to the largest stack."""
    return Overrides(tomllib.loads(config), lambda key: Place()).apply(render_template(FULL))


def find_resource(template: str, name: str) -> dict[str, Any]:
    """Return a resource of a template."""
    resource: dict[str, Any] = read_template(template)["Resources"][name]
    return resource


def lay_out(root: Path, config: str) -> Path:
    """Write a project with one route of each kind."""
    files = {"nitro.toml": CONFIG + config, "handlers/hello.get.py": HELLO, "handlers/chat.py": CHAT}
    return write_files(root, files)


def extend(root: Path, config: str) -> ExtendedTemplate:
    """Extend the largest stack as a build with these settings does."""
    loaded = load_config(lay_out(root, config), mode="production", overrides={}, environ={})
    build = BuildInput(loaded.config, Manifest("production", ()), {}, {}, frozenset(), place=loaded.place)
    return extend_template(build, render_template(FULL))


def refuse(root: Path, config: str) -> BuildError:
    """Return why settings are refused, at the last line of `nitro.toml`."""
    with pytest.raises(BuildError) as refused:
        extend(root, config)
    assert refused.value.file == "nitro.toml"
    assert refused.value.line == len((CONFIG + config).splitlines())
    return refused.value


def test_tables_are_merged_and_other_values_replaced() -> None:
    before = find_resource(render_template(FULL), "HttpFunction")
    after = find_resource(
        override(
            """
            [HttpFunction]
            DependsOn = ["HttpLogGroup"]
            [HttpFunction.Properties]
            ReservedConcurrentExecutions = 10
            Timeout = 20
            Layers = ["!Ref Tools", "!Sub arn:${AWS::Partition}:lambda:layer"]
            LoggingConfig = { LogFormat = "JSON" }
            [HttpFunction.Properties.Environment.Variables]
            MODE = "!FindInMap [Modes, a, b]"
            NITRO_TABLE = {Ref = "Own"}
            """
        ),
        "HttpFunction",
    )
    own = after["Properties"]
    variables = own["Environment"]["Variables"]
    assert variables == before["Properties"]["Environment"]["Variables"] | {
        "MODE": {"Fn::FindInMap": ["Modes", "a", "b"]},
        "NITRO_TABLE": {"Ref": "Own"},
    }
    assert own["LoggingConfig"] == {"LogGroup": {"Ref": "HttpLogGroup"}, "LogFormat": "JSON"}
    assert own["Layers"] == [{"Ref": "Tools"}, {"Fn::Sub": "arn:${AWS::Partition}:lambda:layer"}]
    assert (own["ReservedConcurrentExecutions"], own["Timeout"], own["MemorySize"]) == (10, 20, 512)
    assert after["DependsOn"] == ["HttpLogGroup"]
    assert after["Metadata"] == before["Metadata"]


def test_function_is_replaced_as_a_whole() -> None:
    template = override(
        '[WebSocketStage.Properties]\nDescription = {Ref = "A"}\n[Table.Properties]\nTableName = "!Ref Name"\n'
    )
    assert find_resource(template, "WebSocketStage")["Properties"]["Description"] == {"Ref": "A"}
    assert find_resource(template, "Table")["Properties"]["TableName"] == {"Ref": "Name"}


def test_nothing_but_the_named_resource_changes() -> None:
    before = render_template(FULL).splitlines()
    for name in read_template(render_template(FULL))["Resources"]:
        after = override(f'{name}.DeletionPolicy = "Retain"\n').splitlines()
        start = before.index(f"  {name}:")
        assert after[: start + 1] == before[: start + 1]
        rest = next(number for number in range(start + 1, len(before)) if re.match(r" {0,2}\S", before[number]))
        assert after[after.index(before[rest], start + 1) :] == before[rest:]
        left, right = read_template("\n".join(before)), read_template("\n".join(after))
        left["Resources"][name]["DeletionPolicy"] = "Retain"
        assert left == right


def test_deployment_finds_the_package_in_a_changed_function() -> None:
    template = override('[HttpFunction.Properties]\nTracingConfig.Mode = "Active"\n')
    assert len(re.findall(r"^ +Code: function\.zip$", template, re.MULTILINE)) == 2


def test_build_applies_the_changes_and_the_package_stays_the_same(tmp_path: Path) -> None:
    plain = build_project(lay_out(tmp_path / "plain", ""))
    changed = build_project(
        lay_out(
            tmp_path / "changed", '[aws]\ntags.team = "a"\n[aws.overrides.Sweep.Properties]\nState = "DISABLED"\n'
        )
    )
    template = (changed / "template.yaml").read_text(encoding="utf-8")
    assert find_resource(template, "Sweep")["Properties"]["State"] == "DISABLED"
    assert (changed / "function.zip").read_bytes() == (plain / "function.zip").read_bytes()
    assert "overrides" not in str(read_manifest(changed / "server").settings)


def test_resource_that_there_is_not_is_refused_with_the_choices(tmp_path: Path) -> None:
    refused = refuse(tmp_path, 'aws.overrides.HttpFuncton.DeletionPolicy = "Retain"\n')
    names = re.findall(r"`(\w+)`", refused.message.partition("expected one of")[2])
    assert names == sorted(names)
    assert {"HttpFunction", "Table", "WebSocketFunction"} < set(names)
    assert refused.hint == "Did you mean `HttpFunction`?"


def test_attribute_that_there_is_not_is_refused_with_the_choices(tmp_path: Path) -> None:
    refused = refuse(tmp_path, "[aws.overrides.HttpFunction]\nReservedConcurrentExecutions = 10\n")
    assert refused.message.endswith(f"expected one of {', '.join(f'`{name}`' for name in ATTRIBUTES)}.")
    assert refused.hint == "Properties stand in `[aws.overrides.HttpFunction.Properties]`."


def test_property_that_there_is_not_is_refused_with_the_choices(tmp_path: Path) -> None:
    refused = refuse(tmp_path, "[aws.overrides.HttpFunction.Properties]\nReservedConcurency = 10\n")
    assert "`ReservedConcurency` is no property here: expected one of `Architectures`, " in refused.message
    assert "`ReservedConcurrentExecutions`" in refused.message


def test_property_within_a_property_is_checked_too(tmp_path: Path) -> None:
    refused = refuse(tmp_path, "[aws.overrides.HttpFunction.Properties]\nTracingConfig.Mod = 'Active'\n")
    assert "`Mod` is no property here: expected one of `Mode`." in refused.message


def test_value_that_cloudformation_does_not_take_is_refused(tmp_path: Path) -> None:
    refused = refuse(tmp_path, "[aws.overrides.HttpFunction.Properties]\nTracingConfig.Mode = 'Activ'\n")
    assert "'Activ' is not one of" in refused.message


def test_name_that_nothing_defines_is_refused(tmp_path: Path) -> None:
    refused = refuse(tmp_path, "[aws.overrides.HttpFunction]\nProperties.Layers = ['!Ref Tools']\n")
    assert "`!Ref` names `Tools`, which is no resource or parameter of the stack" in refused.message


def test_change_refers_to_a_resource_of_the_project(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "[aws.overrides.HttpErrorsAlarm.Properties]\nAlarmActions = ['!Ref Alarms']\n")
    write_files(root, {"infra/aws.yaml": "Resources:\n  Alarms: {Type: AWS::SNS::Topic}\n"})
    template = plan_project(root).bundle.files["template.yaml"].decode()
    assert find_resource(template, "HttpErrorsAlarm")["Properties"]["AlarmActions"] == [{"Ref": "Alarms"}]


@pytest.mark.parametrize("name", ["Architectures", "Code", "Handler", "Runtime"])
def test_what_follows_from_the_package_is_refused(tmp_path: Path, name: str) -> None:
    refused = refuse(tmp_path, f"[aws.overrides.HttpFunction.Properties]\n{name} = 'x'\n")
    assert refused.message == f"`{name}` of `HttpFunction` cannot be changed."


@pytest.mark.parametrize("tags", ['"aws:x" = "y"', '"" = "y"', f'a = "{"b" * 257}"'])
def test_tag_that_cloudformation_does_not_take_is_refused(tmp_path: Path, tags: str) -> None:
    with pytest.raises(ConfigError, match=r"aws\.tags"):
        plan_project(lay_out(tmp_path, f"[aws.tags]\n{tags}\n"))


def test_changes_that_the_page_shows_are_taken(tmp_path: Path) -> None:
    (block,) = (block.text for block in find_blocks("toml", PAGE) if "aws.overrides" in block.text)
    template, notes = extend(tmp_path, block)
    assert notes == ()
    for name, changes in tomllib.loads(block)["aws"]["overrides"].items():
        properties = find_resource(template, name)["Properties"]
        for key, value in changes["Properties"].items():
            assert properties[key] == value or value.items() <= properties[key].items()
