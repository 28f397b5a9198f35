"""Settings of the functions themselves: `aws.functions`, `aws.vpc` and what is logged."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

from nitro_presets.aws_lambda.deploy.function_environment import ComputedText
from nitro_py.preset import NitroConfig, SettingsTable
from nitro_py.runtime.settings import LogLevel

# What Lambda calls the levels, the lowest first.
LAMBDA_LEVELS: dict[LogLevel, str] = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARN",
    "error": "ERROR",
}
# What Lambda needs for its network interfaces; the first needs every resource.
_NETWORK_ACTIONS = (
    "ec2:DescribeNetworkInterfaces",
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


# What a validator raises is the phrase that follows "expected" in the error.
def _check_id(value: str | dict[str, JsonValue], prefix: str) -> str | dict[str, JsonValue]:
    if isinstance(value, str) and not value.startswith(prefix):
        raise ValueError(f"an id that starts with `{prefix}`, or a computed one, such as `!Ref Name`")
    return value


Subnet = Annotated[ComputedText, AfterValidator(lambda value: _check_id(value, "subnet-"))]
SecurityGroup = Annotated[ComputedText, AfterValidator(lambda value: _check_id(value, "sg-"))]


class FunctionTable(SettingsTable):
    """What differs between the functions."""

    memory: Annotated[int, Field(ge=128, le=10240)] | None = Field(
        default=None, description="Memory of this function, in MB; by default `aws.memory`.", examples=[1024]
    )
    timeout: Annotated[int, Field(ge=3, le=900)] | None = Field(
        default=None, description="Seconds that an event may take.", examples=[20]
    )


class FunctionsTable(SettingsTable):
    """The functions."""

    http: FunctionTable = Field(default=FunctionTable(), description="The function of HTTP routes.")
    websocket: FunctionTable = Field(default=FunctionTable(), description="The function of sockets.")


class VpcTable(SettingsTable):
    """The network that the functions reach."""

    subnets: Annotated[tuple[Subnet, ...], Field(strict=False, max_length=16)] = Field(
        default=(), description="Private subnets that the functions are in.", examples=[["subnet-0a1b2c3d"]]
    )
    security_groups: Annotated[tuple[SecurityGroup, ...], Field(strict=False, max_length=5)] = Field(
        default=(), description="Security groups of the functions.", examples=[["sg-0a1b2c3d"]]
    )


def find_log_level(config: NitroConfig, level: LogLevel | None) -> str | None:
    """Return the lowest level of Lambda's JSON logs, in Lambda's words; `None` for logs of text.

    Args:
        config: The configuration.
        level: The setting `aws.log_level`.
    """
    if level is not None:
        return LAMBDA_LEVELS[level]
    if config.log.format != "json":
        return None
    order = list(LAMBDA_LEVELS)
    levels: list[LogLevel] = [config.log.level or "info", *config.log.levels.values()]
    # Lambda drops what is lower, whatever the app's loggers let through.
    return LAMBDA_LEVELS[min(levels, key=order.index)]


def list_network_statements(vpc: VpcTable) -> list[dict[str, Any]]:
    """List the statements that let Lambda make network interfaces, and the code of the functions none."""
    if not vpc.subnets:
        return []
    functions = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"
    needed = {"Action": list(_NETWORK_ACTIONS), "Resource": ["*"]}
    condition = {"ArnLike": {"lambda:SourceFunctionArn": {"Fn::Sub": functions}}}
    return [{"Effect": "Allow", **needed}, {"Effect": "Deny", **needed, "Condition": condition}]


def describe_network(vpc: VpcTable, *, table: bool, sockets: bool, ordered: bool, secrets: set[str]) -> str | None:
    """Describe what must be reached from the functions' network; `None` if they are in none.

    Args:
        vpc: The network.
        table: Whether the stack has a table.
        sockets: Whether there are sockets.
        ordered: Whether their messages come through a queue.
        secrets: The services that keep secrets.
    """
    if not vpc.subnets:
        return None
    needed = {"`dynamodb` (a gateway)": table, "`lambda`": sockets, "`sqs`": sockets and ordered}
    needed |= dict.fromkeys((f"`{service}`" for service in sorted(secrets)), True)
    listed = ", ".join(name for name, there in needed.items() if there)
    note = "The functions are in a VPC: what they call on the internet needs a NAT gateway"
    if listed:
        note += f", and of AWS, without one, VPC endpoints for {listed}"
    if sockets:
        note += (
            ". Posts to sockets always need the NAT gateway: no endpoint reaches a WebSocket API, and one for "
            "`execute-api` with private DNS stands in the way"
        )
    return note
