from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import nitro_presets.aws_lambda
from nitro_presets.aws_lambda.deploy.functions import ORDERED_TIMEOUT
from nitro_presets.aws_lambda.deploy.template import TemplateOptions, render_template
from nitro_presets.aws_lambda.stack_variables import STACK_VARIABLES
from nitro_presets.aws_lambda.store.table import INDEX, TTL, table_definition
from nitro_py.errors import BuildError
from tests.presets.aws_lambda.deploy.stacks import FULL, OPTIONS, render_stack

PLAIN = OPTIONS["websocket+http-api"]
SUB = re.compile(r"\$\{(\w+)[.\w]*\}")


def list_values(node: Any, key: str) -> Iterator[Any]:
    """List what stands under a key, anywhere."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from list_values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from list_values(value, key)


def list_references(node: Any) -> Iterator[str]:
    """List the names that a part of a template refers to."""
    yield from list_values(node, "Ref")
    for found in list_values(node, "Fn::GetAtt"):
        yield found[0] if isinstance(found, list) else found.partition(".")[0]
    for found in list_values(node, "Fn::Sub"):
        yield from SUB.findall(found if isinstance(found, str) else found[0])
    for found in list_values(node, "DependsOn"):
        yield from [found] if isinstance(found, str) else found


def sort_resources(template: dict[str, Any]) -> list[str]:
    """Put the resources in the order in which they can be made."""
    resources = template["Resources"]
    graph = {
        name: {used for used in list_references(body) if used in resources} for name, body in resources.items()
    }
    return list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_stack_can_be_made_in_some_order(options: TemplateOptions) -> None:
    template = render_stack(options)
    assert set(sort_resources(template)) == set(template["Resources"])


def test_self_invocation_within_the_role_would_be_a_circle() -> None:
    template = render_stack(PLAIN)
    policy = template["Resources"].pop("WebSocketSelfInvocation")["Properties"]["PolicyDocument"]
    role = template["Resources"]["WebSocketRole"]["Properties"]
    role["Policies"].append({"PolicyName": "self", "PolicyDocument": policy})
    with pytest.raises(CycleError):
        sort_resources(template)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_no_statement_is_for_every_resource(options: TemplateOptions) -> None:
    found = [statement for some in list_values(render_stack(options), "Statement") for statement in some]
    statements = [statement for statement in found if statement["Effect"] == "Allow"]
    resources = [resource for statement in statements for resource in list_values(statement, "Resource")]
    assert resources
    assert "*" not in resources
    actions = [action for statement in statements for action in list_values(statement, "Action")]
    assert not [action for action in actions if "*" in str(action)]


def test_functions_may_do_with_the_table_what_they_do_and_no_more() -> None:
    code = "".join(
        file.read_text(encoding="utf-8") for file in Path(nitro_presets.aws_lambda.__path__[0]).rglob("*.py")
    )
    called = set(re.findall(r'"((?:Batch)?(?:Get|Put|Update|Delete|Write)Item|Query)"', code))
    # Each part of a transaction needs the permission of its own action.
    assert set(re.findall(r'{"(\w+)": {"TableName"|"TransactItems": \[{"(\w+)"', code)) == {
        ("Put", ""),
        ("Delete", ""),
        ("", "Update"),
    }
    roles = render_stack(FULL)["Resources"]
    for role in ("HttpRole", "WebSocketRole"):
        (table,) = (
            statement
            for policy in roles[role]["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            if "dynamodb:Query" in statement["Action"]
        )
        assert set(table["Action"]) == {f"dynamodb:{action}" for action in called}
        # The sweep and `peers()` read the index, and the latter also from HTTP routes.
        assert table["Resource"] == [
            {"Fn::GetAtt": ["Table", "Arn"]},
            {"Fn::Sub": f"${{Table.Arn}}/index/{INDEX}"},
        ]


def test_connections_are_managed_on_this_api_only() -> None:
    resources = [
        statement["Resource"]["Fn::Sub"]
        for found in list_values(render_stack(FULL), "Statement")
        for statement in found
        if statement["Action"] == "execute-api:ManageConnections"
    ]
    assert len(resources) == 2
    assert all(":${WebSocketApi}/prod/" in resource for resource in resources)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_nothing_is_left_to_fill_in(options: TemplateOptions) -> None:
    text = render_template(options)
    assert not re.search(r"<<|>>|(#|//) when ", text)
    assert "\n\n\n" not in text
    assert len(text.encode()) < 51_200 - 2 * 4096, "with both environments it must fit into one request"


def test_same_options_give_the_same_text() -> None:
    shuffled = {"B_NAME": "2", "A_NAME": "1"}
    one = render_template(replace(FULL, http_environment=shuffled))
    assert one == render_template(replace(FULL, http_environment=dict(sorted(shuffled.items()))))


def test_table_is_the_one_that_the_store_defines() -> None:
    properties = render_stack(PLAIN)["Resources"]["Table"]["Properties"]
    definition = table_definition()
    assert {name: properties[name] for name in definition} == definition
    assert properties["TimeToLiveSpecification"] == {"AttributeName": TTL, "Enabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_functions_get_what_the_build_and_the_stack_know() -> None:
    text = 'naïve "👋" $ #\n: {x}'
    given = {"NITRO_SHARDS": "4", "APP_TEXT": text, "NITRO_TABLE": "another"}
    resources = render_stack(replace(FULL, websocket_environment=given, http_environment=given))["Resources"]
    for name, own in (("WebSocketFunction", set()), ("HttpFunction", {"NITRO_WEBSOCKET_FUNCTION"})):
        variables = resources[name]["Properties"]["Environment"]["Variables"]
        assert variables["NITRO_SHARDS"] == "4"
        assert variables["APP_TEXT"] == text
        assert variables["NITRO_TABLE"] == {"Ref": "Table"}
        # Sockets have the host of the pages here.
        shared = STACK_VARIABLES - {"NITRO_SOCKET_URL", "NITRO_WEBSOCKET_FUNCTION"}
        assert set(variables) == {"APP_TEXT", "NITRO_SHARDS"} | shared | own


def test_function_without_variables_has_no_empty_key() -> None:
    properties = render_stack(OPTIONS["http-api"])["Resources"]["HttpFunction"]["Properties"]
    assert "Environment" not in properties


def test_asynchronous_calls_are_never_repeated() -> None:
    resources = render_stack(PLAIN)["Resources"]
    calls = resources["WebSocketAsyncCalls"]["Properties"]
    assert calls["MaximumRetryAttempts"] == 0
    assert calls["MaximumEventAgeInSeconds"] <= 300
    target = resources["WebSocketFunction"]["Properties"]["DeadLetterConfig"]["TargetArn"]
    assert target == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


def test_messages_go_through_the_queue_only_when_ordered() -> None:
    resources = render_stack(FULL)["Resources"]
    targets = {
        resource["Properties"]["RouteKey"]: resource["Properties"]["Target"]["Fn::Sub"]
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route"
    }
    function = "integrations/${WebSocketIntegration}"
    assert targets == {
        "$connect": function,
        "$disconnect": function,
        "$default": "integrations/${MessageIntegration}",
    }
    queue = resources["MessageQueue"]["Properties"]
    assert queue["FifoQueue"] is True
    # Lambda takes no queue whose messages become visible while the function may still run.
    assert queue["VisibilityTimeout"] == FULL.websocket_timeout
    # While it is throttled, a message is received again until the queue drops it.
    assert queue["RedrivePolicy"]["maxReceiveCount"] * ORDERED_TIMEOUT >= queue["MessageRetentionPeriod"]
    plain = render_stack(PLAIN)["Resources"]
    assert plain["DefaultRoute"]["Properties"]["Target"]["Fn::Sub"] == function
    assert "MessageQueue" not in plain


def test_message_template_makes_the_event_of_an_unqueued_message() -> None:
    integration = render_stack(FULL)["Resources"]["MessageIntegration"]["Properties"]
    template = integration["RequestTemplates"][integration["TemplateSelectionExpression"]]
    fields = dict(field.split("=", 1) for field in template.split("&"))
    assert fields["Action"] == "SendMessage"
    assert fields["MessageGroupId"] == "$util.urlEncode($context.connectionId)"
    assert fields["MessageDeduplicationId"] == "$util.urlEncode($context.messageId)"
    assert '"connectionId":"$util.urlEncode($context.connectionId)"' in fields["MessageBody"]
    assert fields["MessageBody"].endswith(
        '"body":"$util.urlEncode($util.base64Encode($input.body))","isBase64Encoded":true}'
    )


def test_access_logs_hold_no_free_text() -> None:
    formats = list(list_values(render_stack(PLAIN), "Format"))
    assert len(formats) == 2
    for text in formats:
        # What API Gateway fills in is not escaped.
        line = json.loads(text.replace('"time":$context.requestTimeEpoch', '"time":"$context.requestTimeEpoch"'))
        assert not [value for value in line.values() if value.lower().endswith("message")]
        assert line["error"] == "$context.error.responseType"


def test_throttles_are_settings() -> None:
    resources = render_stack(replace(PLAIN, throttle_rate=50, throttle_burst=70))["Resources"]
    for stage in ("HttpStage", "WebSocketStage"):
        limits = resources[stage]["Properties"]["DefaultRouteSettings"]
        assert limits == {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 70}


def test_log_role_of_the_region_stays_unless_asked() -> None:
    assert render_stack(PLAIN)["Parameters"]["ApiGatewayLogging"]["Default"] == "false"


def test_function_url_streams_only_when_asked() -> None:
    def mode(name: str) -> object:
        return render_stack(OPTIONS[name])["Resources"]["HttpUrl"]["Properties"]["InvokeMode"]

    assert mode("function-url+streaming") == "RESPONSE_STREAM"
    assert mode("function-url") == "BUFFERED"


def test_function_url_may_be_called_and_the_function_only_through_it() -> None:
    resources = render_stack(OPTIONS["function-url"])["Resources"].values()
    permissions = [
        resource["Properties"] for resource in resources if resource["Type"] == "AWS::Lambda::Permission"
    ]
    for permission in permissions:
        del permission["FunctionName"]
    assert permissions == [
        {"Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"},
        {"Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": True},
    ]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_outputs_say_where_the_app_is(options: TemplateOptions) -> None:
    outputs = set(render_stack(options)["Outputs"])
    assert ("WebSocketUrl" in outputs) == options.websocket
    assert ("TableName" in outputs) == options.websocket
    assert ("Url" in outputs) == (options.http != "none" or options.cloudfront)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"websocket": False, "http": "none"}, "no route to deploy"),
        ({"streaming": True}, "through a function URL only"),
        ({"websocket": False, "ordered": True}, "no messages to keep in order"),
        ({"log_retention_days": 10}, "for 10 days"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        replace(PLAIN, **changes)
