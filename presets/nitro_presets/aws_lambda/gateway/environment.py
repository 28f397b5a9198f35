"""The environment variables of a function's process: its own, Lambda's, and the URLs of the services."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nitro_presets.aws_lambda import stack_variables
from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.deploy.intrinsics import show_value
from nitro_presets.aws_lambda.deploy.secret_references import find_resource
from nitro_presets.aws_lambda.gateway.bundle import Function, LocalBundle
from nitro_presets.aws_lambda.gateway.own_tables import STACK_TABLE
from nitro_presets.aws_lambda.gateway.permissions import resolve_value
from nitro_presets.aws_lambda.gateway.router import ROOT
from nitro_presets.aws_lambda.gateway.secrets_api import make_secret_arn
from nitro_presets.aws_lambda.gateway.websocket_events import WebSocketEvents

ACCOUNT = "000000000000"
REGION = "eu-central-1"
# Those of whoever runs the gateway, who may call anything.
CREDENTIALS = Credentials("ASIALOCAL0GATEWAY000", "local-secret", "local-token")
API = WebSocketEvents(id="localapi00", stage="prod", domain=f"localapi00.execute-api.{REGION}.amazonaws.com")
QUEUE = "nitro-messages.fifo"
# The starts of ARNs.
FUNCTIONS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
TABLES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
# The region and account of the ARNs of secrets.
SECRET_ARNS = f"{REGION}:{ACCOUNT}"
CALLBACKS = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API.id}/{API.stage}"
# The variables that a process gets from our own environment.
_INHERITED = ("HOME", "LD_LIBRARY_PATH", "PATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class ServiceUrls:
    """The URLs of the services, with the table and the secret of the stack.

    Args:
        url: The gateway's URL.
        table: The name of the table.
        secret: The value of `NITRO_ORIGIN_SECRET`.
        own_tables: The names of the project's own tables, by their logical ids.
    """

    url: str
    table: str
    secret: str
    own_tables: Mapping[str, str] = field(default_factory=dict)

    @property
    def callback_url(self) -> str:
        """The URL of the `@connections` API."""
        return f"{self.url}{ROOT}/{API.stage}"

    @property
    def database_url(self) -> str:
        """The URL of DynamoDB."""
        return f"{self.url}{ROOT}/dynamodb"

    @property
    def queue_url(self) -> str:
        """The URL of the queue."""
        return f"{self.url}{ROOT}/sqs/{ACCOUNT}/{QUEUE}"


def make_command(bundle: LocalBundle) -> list[str]:
    """Return the command of a function's process.

    `-S` leaves out installed packages: on Lambda there is only what the function package holds.
    """
    return [sys.executable, "-S", "-u", str(bundle.bootstrap)]


def make_environment(
    function: Function, bundle: LocalBundle, services: ServiceUrls, added: Mapping[str, str], number: int
) -> dict[str, str]:
    """Return the environment variables of a function's process, without the Runtime API's address.

    Args:
        function: The function.
        bundle: The function's bundle.
        services: The URLs of the services.
        added: More variables; they replace none of the stack's and of Lambda's, but those that this machine
            does not know.
        number: The process's number.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    credentials = make_credentials(function)
    today = datetime.now(UTC).strftime("%Y/%m/%d")
    environment = {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        # Lambda's file system is read-only.
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_TASK_ROOT": str(bundle.server),
        "_HANDLER": function.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{today}/[$LATEST]{number:032x}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token or "",
        "AWS_ENDPOINT_URL_LAMBDA": f"{services.url}{ROOT}",
    }
    if bundle.cloudfront:
        environment[stack_variables.ORIGIN_SECRET] = services.secret
    if bundle.has_table:
        environment[stack_variables.TABLE] = services.table
    if bundle.has_table or services.own_tables:
        environment["AWS_ENDPOINT_URL_DYNAMODB"] = services.database_url
    if "websocket" in bundle.functions:
        environment |= {
            stack_variables.CALLBACK_URL: services.callback_url,
            stack_variables.WEBSOCKET_FUNCTION: "websocket",
        }
        if bundle.functions["websocket"].ordered:
            environment["AWS_ENDPOINT_URL_SQS"] = f"{services.url}{ROOT}/sqs"
            environment[stack_variables.QUEUE_URL] = services.queue_url
    if function.log_level is not None:
        environment |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": function.log_level}
    if bundle.secrets:
        environment["AWS_ENDPOINT_URL_SSM"] = f"{services.url}{ROOT}/ssm"
        environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = f"{services.url}{ROOT}/secretsmanager"
    names = list_names(bundle, services.table, services.own_tables)
    own = {name: resolve_value(value, names) for name, value in function.environment.items()}
    # Secrets come through the function's own calls, as on AWS.
    given = {name: value for name, value in added.items() if name not in bundle.secrets}
    return {**given, **{name: value for name, value in own.items() if value is not None}, **environment}


def describe_unresolved(
    bundle: LocalBundle, own_tables: Mapping[str, str], added: Mapping[str, str]
) -> Iterator[str]:
    """Describe the variables that have no value on this machine.

    Args:
        bundle: The bundle.
        own_tables: The names of the project's own tables, by their logical ids.
        added: The variables that are given, which such variables take their value from.
    """
    names = list_names(bundle, "table", own_tables)
    for name, value in bundle.computed.items():
        if name not in added and resolve_value(value, names) is None:
            yield f"`{name}` is `{show_value(value)}`, which this machine does not know: set `{name}` in `.env`"


def make_credentials(function: Function) -> Credentials:
    """Return the credentials of a function's role."""
    return Credentials(f"ASIALOCAL0{function.name.upper():0<10}", "local-secret", "local-token")


def list_names(bundle: LocalBundle, table: str, own_tables: Mapping[str, str]) -> dict[str, str]:
    """List what the template's resources and pseudo parameters are called on this machine.

    Args:
        bundle: The bundle.
        table: The name of the table.
        own_tables: The names of the project's own tables, by their logical ids.

    Returns:
        The values of `!Ref NAME` and `!GetAtt NAME.ATTRIBUTE`.
    """
    names = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::URLSuffix": "amazonaws.com",
        "MessageQueue.Arn": make_queue_arn(),
        "WebSocketApi": API.id,
    }
    for id, name in ((STACK_TABLE, table), *own_tables.items()):
        names |= {id: name, f"{id}.Arn": f"{TABLES}{name}"}
    for reference in bundle.secrets.values():
        resource = find_resource(reference)
        if resource is not None:
            names[resource] = make_secret_arn(reference, SECRET_ARNS)
    for name, id in (("http", "HttpFunction"), ("websocket", "WebSocketFunction")):
        if name in bundle.functions:
            names |= {id: name, f"{id}.Arn": make_arn(bundle.functions[name])}
    return names


def make_arn(function: Function) -> str:
    """Return a function's ARN."""
    return f"{FUNCTIONS}{function.name}"


def make_queue_arn() -> str:
    """Return the queue's ARN."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}"
