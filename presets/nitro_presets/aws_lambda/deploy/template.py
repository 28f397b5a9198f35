"""The CloudFormation template of a bundle's stack, `template.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nitro_presets.aws_lambda.deploy.intrinsics import write_value
from nitro_presets.aws_lambda.deploy.public_bucket import PublicBucket, write_edge_files
from nitro_presets.aws_lambda.deploy.statements import write_policy
from nitro_presets.aws_lambda.stack_variables import STACK_VARIABLES
from nitro_py.errors import BuildError
from nitro_py.preset import fill_part, join_parts, quote, read_part

HttpEvents = Literal["none", "http-api", "function-url"]

# The template beside `server/`, and the function package that it names.
TEMPLATE = "template.yaml"
ARCHIVE = "function.zip"
STAGE = "prod"
# The bucket of the public files in the stack.
PUBLIC_BUCKET = "PublicBucket"
# The retention periods that CloudWatch Logs accepts.
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922)


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of the stack.

    Args:
        name: The host of pages, and of sockets too behind CloudFront.
        websocket_name: The host of sockets without CloudFront.
        hosted_zone: The id of the zone that gets the records; without one they are made by hand.
        certificate: The ARN of a certificate; without one the stack makes it.
    """

    name: str
    websocket_name: str
    hosted_zone: str | None = None
    certificate: str | None = None


# The parameter of the topic that alarms are sent to, which every template has.
ALARM_TOPIC = "AlarmTopic"
# What stages may differ in, by the mark in the template: the parameter, which is there if a stage sets it, and the
# setting.
STAGE_PARAMETERS = {
    "http_memory": ("HttpMemory", "memory"),
    "log_retention_days": ("LogDays", "log_days"),
    "throttle_burst": ("ThrottleBurst", "throttle_burst"),
    "throttle_rate": ("ThrottleRate", "throttle_rate"),
    "websocket_memory": ("WebSocketMemory", "memory"),
}
# The start of the parameters of variables that stages differ in.
STAGE_VARIABLE = "StageVariable"


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """The parts of the stack.

    Args:
        name: The app's name, for the description.
        python_version: The Python version of the functions, such as `3.13`.
        architecture: The processor of the functions.
        websocket: Whether there are WebSocket routes.
        storage: Whether storages are kept in the table.
        http: The source of HTTP events.
        streaming: Whether responses stream, which only a Function URL can.
        cloudfront: Whether there is a CloudFront distribution.
        ordered: Whether messages go through an SQS FIFO queue.
        public: The bucket of the public files; `None` if the function serves them.
        websocket_memory: The memory of the WebSocket function, in MB.
        http_memory: The memory of the HTTP function, in MB.
        websocket_timeout: The time-out in seconds, up to 900; API Gateway waits for at most 29.
        http_timeout: The time-out in seconds, up to 900; an HTTP API waits for at most 30.
        shards: The parts that a topic's subscribers are spread over.
        throttle_rate: The requests a second that a stage of an API takes.
        throttle_burst: The requests that it takes at once.
        log_retention_days: One of `LOG_RETENTION_DAYS`.
        domain: The domain of the stack.
        alarm_topic: The ARN of the topic that alarms are sent to, where the stack sets no other.
        stage_settings: The settings, of `STAGE_PARAMETERS`, that stages differ in.
        stage_variables: The parameters of the variables that stages differ in, and what other stacks have.
        websocket_environment: Environment variables of the function besides `STACK_VARIABLES`, as text or as what
            CloudFormation computes.
        http_environment: Environment variables of the function besides `STACK_VARIABLES`, likewise.
        log_level: The lowest level of logs in JSON, in Lambda's words; without one logs are text.
        subnets: The subnets of the functions, if they are in a VPC.
        security_groups: Their security groups.
        policies: Statements of IAM that the roles of the functions have besides, by the name of a policy.

    Raises:
        BuildError: The options contradict each other.

    Example:
        >>> TemplateOptions(name="chat", python_version="3.13").http
        'http-api'
    """

    name: str
    python_version: str
    architecture: Literal["arm64", "x86_64"] = "arm64"
    websocket: bool = True
    storage: bool = False
    http: HttpEvents = "http-api"
    streaming: bool = False
    cloudfront: bool = True
    ordered: bool = False
    public: PublicBucket | None = None
    websocket_memory: int = 512
    http_memory: int = 512
    websocket_timeout: int = 60
    http_timeout: int = 30
    shards: int = 1
    throttle_rate: int = 2000
    throttle_burst: int = 2000
    log_retention_days: int = 14
    alarm_topic: str = ""
    stage_settings: frozenset[str] = frozenset()
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    domain: Domain | None = None
    websocket_environment: Mapping[str, object] = field(default_factory=dict)
    http_environment: Mapping[str, object] = field(default_factory=dict)
    log_level: str | None = None
    subnets: Sequence[object] = ()
    security_groups: Sequence[object] = ()
    policies: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.websocket and self.http == "none":
            raise BuildError("There is no route to deploy.")
        if self.streaming and self.http != "function-url":
            raise BuildError("Answers stream through a function URL only.", hint='Set `http` to "function-url".')
        if self.ordered and not self.websocket:
            raise BuildError("There are no messages to keep in order, as there is no WebSocket route.")
        if self.public is not None and (not self.cloudfront or self.http == "none"):
            raise BuildError("A bucket of public files needs CloudFront, and a function for what it lacks.")
        if self.log_retention_days not in LOG_RETENTION_DAYS:
            raise BuildError(
                f"CloudWatch does not keep logs for {self.log_retention_days} days.",
                hint=f"It keeps them for {', '.join(map(str, LOG_RETENTION_DAYS))} days.",
            )


def render_template(options: TemplateOptions) -> str:
    """Render the stack's template, for CloudFormation and SAM.

    Args:
        options: The parts of the stack.

    Returns:
        YAML. `Code: function.zip` names the package beside it, which `nitropy deploy` and `sam deploy` upload.

    Example:
        >>> render_template(TemplateOptions(name="chat", python_version="3.13")).splitlines()[0]
        'AWSTemplateFormatVersion: "2010-09-09"'
    """
    holds = frozenset(_list_conditions(options))
    values = {
        "architecture": options.architecture,
        "default_origin": "websocket" if options.http == "none" else "http",
        "description": quote(f"{options.name}, built by nitropy-kit"),
        "http_memory": str(options.http_memory),
        "http_timeout": str(options.http_timeout),
        "log_level": options.log_level or "",
        "log_retention_days": str(options.log_retention_days),
        "runtime": f"python{options.python_version}",
        "shards": str(options.shards),
        "stage": STAGE,
        "throttle_burst": str(options.throttle_burst),
        "throttle_rate": str(options.throttle_rate),
        "visibility": str(options.websocket_timeout),
        "websocket_memory": str(options.websocket_memory),
        "websocket_timeout": str(options.websocket_timeout),
        "alarm_topic": quote(options.alarm_topic),
        **_list_domain_values(options.domain),
    }
    defaults = {
        mark: values[mark] for mark, (_, setting) in STAGE_PARAMETERS.items() if setting in options.stage_settings
    }
    values.update({mark: f"!Ref {STAGE_PARAMETERS[mark][0]}" for mark in defaults})
    blocks = {
        "vpc": f"SubnetIds: {write_value(options.subnets)}\n"
        f"SecurityGroupIds: {write_value(options.security_groups)}\n",
        "policies": "".join(write_policy(name, one) for name, one in options.policies.items()),
        "cloudfront_function": write_edge_function(options),
        "http_environment": _write_environment(options.http_environment),
        "public_behaviors": _write_behaviors(options.public or PublicBucket()),
        "public_function": _read_part("cloudfront-public-function.js"),
        "websocket_environment": _write_environment(options.websocket_environment),
    }
    parts = [fill_part(_read_part(name), holds, values, blocks) for name in _list_parts(options)]
    return join_parts(
        [*parts, *_declare_parameters(parts, defaults), *_declare_variables(options.stage_variables)]
    )


def _declare_parameters(parts: Sequence[str], defaults: Mapping[str, str]) -> Iterator[str]:
    """Declare the parameters that stages differ in, where the parts use them."""
    for mark, default in sorted(defaults.items()):
        name, setting = STAGE_PARAMETERS[mark]
        if any(f"!Ref {name}\n" in part for part in parts):
            yield (
                f"Parameters:\n  {name}:\n    Type: Number\n    Default: {default}\n"
                f"    Description: The setting `aws.{setting}` of the stage.\n"
            )


def _declare_variables(variables: Mapping[str, str]) -> Iterator[str]:
    """Declare the parameters of the variables that stages differ in."""
    for name, default in sorted(variables.items()):
        yield (
            f"Parameters:\n  {name}:\n    Type: String\n    Default: {quote(default)}\n"
            f"    Description: A variable of the stage.\n"
        )


def write_edge_function(options: TemplateOptions) -> str:
    """Write the CloudFront function, which picks the origin of a request."""
    values = {"stage": STAGE, **write_edge_files(options.public or PublicBucket())}
    return fill_part(_read_part("cloudfront-function.js"), frozenset(_list_conditions(options)), values, {})


def _write_behaviors(bucket: PublicBucket) -> str:
    part = _read_part("cloudfront-behavior.yaml")
    return "".join(fill_part(part, frozenset(), {"pattern": quote(f"{one}*")}, {}) for one in bucket.folders)


def _list_conditions(options: TemplateOptions) -> Iterator[str]:
    if options.http != "none":
        yield "http"
        yield options.http.replace("-", "_")
    if options.websocket or options.storage:
        yield "table"
    for name in ("websocket", "storage", "streaming", "cloudfront", "ordered"):
        if getattr(options, name):
            yield name
    if options.domain is not None:
        yield from _list_domain_conditions(options, options.domain)
    if options.log_level is not None:
        yield "json_logs"
    if options.subnets:
        yield "vpc"
    if options.public is not None:
        yield "public_s3"
        if options.public.folders:
            yield "public_folders"
    if options.websocket or options.public is not None:
        yield "edge_origins"
    # CloudFormation refuses an empty `Variables`.
    if options.websocket or options.storage or options.cloudfront or _write_environment(options.http_environment):
        yield "http_variables"


def _list_parts(options: TemplateOptions) -> Iterator[str]:
    yield "base.yaml"
    if options.websocket or options.storage:
        yield "table.yaml"
    if options.websocket:
        yield "websocket-api.yaml"
        yield "websocket.yaml"
    if options.ordered:
        yield "ordered.yaml"
    if options.http != "none":
        yield "http.yaml"
        yield f"{options.http}.yaml"
    if options.cloudfront:
        yield "cloudfront.yaml"
    if options.domain is not None:
        yield from _list_domain_parts(options, options.domain)
    if options.public is not None:
        yield "public.yaml"


def _list_domain_values(domain: Domain | None) -> dict[str, str]:
    if domain is None:
        return {}
    return {
        "certificate": domain.certificate or "",
        "domain": domain.name,
        "hosted_zone": domain.hosted_zone or "",
        "websocket_domain": domain.websocket_name,
    }


def _list_domain_conditions(options: TemplateOptions, domain: Domain) -> Iterator[str]:
    yield "domain"
    if domain.certificate is not None:
        yield "certificate"
    if domain.hosted_zone is not None:
        yield "hosted_zone"
    if options.websocket and not options.cloudfront:
        yield "socket_domain"
        if options.http != "none" and domain.websocket_name != domain.name:
            yield "two_domains"


def _list_domain_parts(options: TemplateOptions, domain: Domain) -> Iterator[str]:
    if domain.certificate is None:
        yield "domain.yaml"
    if options.cloudfront:
        yield "domain-cloudfront.yaml"
        return
    if options.http == "http-api":
        yield "domain-http-api.yaml"
    if options.websocket:
        yield "domain-websocket-api.yaml"


def _read_part(name: str) -> str:
    return read_part("nitro_presets.aws_lambda", "aws", name)


def _write_environment(variables: Mapping[str, object]) -> str:
    kept = {name: value for name, value in sorted(variables.items()) if name not in STACK_VARIABLES}
    return "".join(f"{name}: {write_value(value)}\n" for name, value in kept.items())
