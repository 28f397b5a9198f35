"""The settings of the preset `aws-lambda`: the table `aws`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from nitro_presets.aws_lambda.deploy.domain import DomainTable
from nitro_presets.aws_lambda.deploy.function_environment import FunctionVariables
from nitro_presets.aws_lambda.deploy.function_settings import FunctionsTable, VpcTable
from nitro_presets.aws_lambda.deploy.secret_references import SecretReferences
from nitro_presets.aws_lambda.deploy.stages import AlarmTopic, StageName, StageTable
from nitro_presets.aws_lambda.deploy.statements import Statements
from nitro_py.preset import Count, File, Seconds, SettingsTable
from nitro_py.runtime.settings import LogLevel

# What CloudFormation takes.
_MAX_TAGS = 50
_MAX_TAG_KEY = 128
_MAX_TAG_VALUE = 256


# What a validator raises is the phrase that follows "expected" in the error.
def _check_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > _MAX_TAGS:
        raise ValueError(f"at most {_MAX_TAGS} tags")
    for key, value in tags.items():
        if not 1 <= len(key) <= _MAX_TAG_KEY or key.lower().startswith("aws:"):
            raise ValueError(f"names of 1 to {_MAX_TAG_KEY} characters that do not begin with `aws:`")
        if len(value) > _MAX_TAG_VALUE:
            raise ValueError(f"values of at most {_MAX_TAG_VALUE} characters")
    return tags


Tags = Annotated[dict[str, str], AfterValidator(_check_tags)]


class AwsSettings(SettingsTable):
    """Settings of the preset `aws-lambda`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")] = Field(
        default="nitro-app", description="Name of the stack and prefix of its resources."
    )
    python: Annotated[str, Field(pattern=r"^3\.(1[1-9]|[2-9][0-9])$")] | None = Field(
        default=None, description="Python of the functions; by default the build's own.", examples=["3.13"]
    )
    architecture: Literal["arm64", "x86_64"] | None = Field(
        default=None, description="Processor of the functions; by default the build's own.", examples=["arm64"]
    )
    memory: Annotated[int, Field(ge=128, le=10240)] = Field(
        default=512, description="Memory of a function, in MB."
    )
    streaming: Literal["none", "function-url"] = Field(
        default="none", description="How answers stream; without it a route that streams is refused."
    )
    stream_seconds: Annotated[float, Field(gt=0, le=890)] = Field(
        default=60.0, description="Seconds after which a stream ends, for the client to come again."
    )
    binary: Literal["none", "base64"] = Field(
        default="none", description="How binary WebSocket messages travel: not at all, or in a JSON envelope."
    )
    ordered: bool = Field(
        default=False, description="Keeps a peer's messages in order, through an SQS FIFO queue."
    )
    cloudfront: bool = Field(
        default=True, description="Puts HTTP and WebSocket on one host, with the local paths."
    )
    public: Literal["function", "s3"] = Field(
        default="function",
        description="What serves `public/`: the HTTP function, or a private bucket behind CloudFront.",
    )
    shards: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1,
        description="Parts that a topic's subscribers are spread over; a deployed stack keeps at least as many.",
    )
    fan_out_threshold: Count = Field(
        default=500, description="Subscribers of a topic above which publishing is spread over invocations."
    )
    sweep_calls: Annotated[int, Field(ge=0, le=20_000)] = Field(
        default=1000,
        description="Calls, every five minutes, that ask for connections whose end was not told; 0 = none.",
    )
    keep_headers: Annotated[tuple[Literal["authorization", "cookie"], ...], Field(strict=False)] = Field(
        default=(), description="Headers with secrets that hooks may read after the upgrade, stored until then."
    )
    throttle_rate: Count = Field(
        default=2000, description="Requests a second that the HTTP API and the WebSocket API each take."
    )
    throttle_burst: Count = Field(
        default=2000, description="Requests that each API takes at once, above the rate."
    )
    log_days: Count = Field(default=14, description="Days that logs are kept.")
    domain: DomainTable = Field(default=DomainTable(), description="Domain of the stack.")
    extend: File = Field(
        default="infra/aws.yaml",
        description="File with resources of your own, merged into the template if it is there.",
    )
    overrides: dict[str, dict[str, JsonValue]] = Field(
        default={}, description="Changes of generated resources, by logical id and attribute."
    )
    tags: Tags = Field(default={}, description="Tags of the stack, which its resources get, by `nitropy deploy`.")

    environment: FunctionVariables = Field(
        default={},
        description="Variables of both functions: text, or what CloudFormation computes, such as `!Ref Table`.",
    )
    functions: FunctionsTable = Field(default=FunctionsTable(), description="Each function by itself.")
    log_level: LogLevel | None = Field(
        default=None,
        description="Lowest level that Lambda keeps, in logs of JSON, which `log.format` asks for, too.",
        examples=["info"],
    )
    vpc: VpcTable = Field(default=VpcTable(), description="A network of yours that both functions reach.")
    secrets: SecretReferences = Field(
        default={},
        description="Variables of both functions whose values Parameter Store or Secrets Manager keeps, such as "
        "`ssm:/app/api-key`.",
    )
    secrets_refresh: Seconds = Field(
        default=300.0, description="Seconds after which secrets are read again; 0 = never."
    )
    statements: Statements = Field(
        default=(), description="What the roles of both functions allow besides, as statements of IAM."
    )

    alarms: AlarmTopic | None = Field(
        default=None,
        description="ARN of the SNS topic that alarms go to; empty = none, unset = as deployed.",
    )
    stages: dict[StageName, StageTable] = Field(
        default={}, description="Settings of stages, by name: each is a stack of its own, `NAME-STAGE`."
    )
