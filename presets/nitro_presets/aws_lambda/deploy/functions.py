"""The functions that a bundle asks for, as `nitro.json` and the template of the stack have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from pydantic import JsonValue

from nitro_presets.aws_lambda.deploy.domain import read_domain
from nitro_presets.aws_lambda.deploy.function_environment import LIMIT, OWN_BYTES, count_bytes
from nitro_presets.aws_lambda.deploy.function_settings import find_log_level, list_network_statements
from nitro_presets.aws_lambda.deploy.public_bucket import PublicBucket
from nitro_presets.aws_lambda.deploy.secret_references import list_statements, write_variable
from nitro_presets.aws_lambda.deploy.stages import list_stage_settings, name_parameter, name_variables
from nitro_presets.aws_lambda.deploy.statements import to_policy
from nitro_presets.aws_lambda.deploy.target import LambdaTarget
from nitro_presets.aws_lambda.deploy.template import TemplateOptions
from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_presets.aws_lambda.stack_variables import CALLBACK_URL, QUEUE_URL, SECRETS, TABLE, WEBSOCKET_FUNCTION
from nitro_py.preset import BuildError, BuildInput, NitroConfig, uses_storage
from nitro_py.runtime.manifest import Manifest

# Where Lambda unpacks the package.
HOME = "/var/task"
# The program that starts the functions.
WRAPPER = "nitro_wrapper.sh"
WRAPPER_VARIABLE = "AWS_LAMBDA_EXEC_WRAPPER"
# What the stack tells the functions.
STACK_NEEDS = (CALLBACK_URL, TABLE, WEBSOCKET_FUNCTION)
# Seconds that a function may take: API Gateway waits for 29; nothing waits for a sweep or a fan-out.
SOCKET_TIMEOUT = 60
# A message whose invocation dies holds its peer's queue up for as long, and hardly any longer.
ORDERED_TIMEOUT = 30
HTTP_TIMEOUT = 30
STREAM_MARGIN = 10


def describe_functions(build: BuildInput) -> dict[str, dict[str, object]]:
    """Describe the functions that the manifest asks for, as `nitro.json` has them."""
    settings = build.config.table(AwsSettings)
    environment = list_variables(settings)
    functions: dict[str, dict[str, object]] = {}
    if serves_sockets(build.manifest):
        functions["websocket"] = {
            "handler": "nitro_websocket.handler",
            "environment": environment,
            "needs": [*STACK_NEEDS, *([QUEUE_URL] if settings.ordered else [])],
            "timeout": socket_timeout(settings),
            "memory": settings.functions.websocket.memory or settings.memory,
            "log_level": find_log_level(build.config, settings.log_level),
            "secrets": settings.secrets,
            "cloudfront": settings.cloudfront,
            "ordered": settings.ordered,
        }
    if http_event(build) != "none":
        functions["http"] = {
            "handler": "nitro_http.handler",
            "environment": environment,
            "needs": list_needs(build),
            "timeout": http_timeout(build.config),
            "memory": settings.functions.http.memory or settings.memory,
            "log_level": find_log_level(build.config, settings.log_level),
            "secrets": settings.secrets,
            "cloudfront": settings.cloudfront,
            "event": http_event(build),
            "streaming": settings.streaming != "none",
        }
    return functions


def list_needs(build: BuildInput) -> list[str]:
    """List the variables that the HTTP function needs of the stack."""
    if serves_sockets(build.manifest):
        return list(STACK_NEEDS)
    return [TABLE] if uses_storage(build) else []


def make_options(build: BuildInput, target: LambdaTarget, bucket: PublicBucket | None = None) -> TemplateOptions:
    """Return what the stack consists of."""
    settings = build.config.table(AwsSettings)
    parameters = name_variables(settings.stages)
    environment = {**list_variables(settings), **{name: {"Ref": one} for name, one in parameters.items()}}
    event = http_event(build)
    return TemplateOptions(
        name=settings.name,
        python_version=target.python_version,
        architecture=target.architecture,
        websocket=serves_sockets(build.manifest),
        storage=uses_storage(build),
        http=event,
        streaming=event == "function-url",
        cloudfront=settings.cloudfront,
        ordered=settings.ordered and serves_sockets(build.manifest),
        public=bucket,
        websocket_memory=settings.functions.websocket.memory or settings.memory,
        http_memory=settings.functions.http.memory or settings.memory,
        websocket_timeout=socket_timeout(settings),
        http_timeout=http_timeout(build.config),
        shards=settings.shards,
        throttle_rate=settings.throttle_rate,
        throttle_burst=settings.throttle_burst,
        log_retention_days=settings.log_days,
        alarm_topic=settings.alarms or "",
        stage_settings=list_stage_settings(settings.stages),
        stage_variables={one: str(settings.environment[name]) for name, one in parameters.items()},
        domain=read_domain(build, settings.domain, cloudfront=settings.cloudfront, http=event),
        websocket_environment=environment,
        http_environment=environment,
        log_level=find_log_level(build.config, settings.log_level),
        subnets=settings.vpc.subnets,
        security_groups=settings.vpc.security_groups,
        policies={
            "network": list_network_statements(settings.vpc),
            "app": [to_policy(statement) for statement in settings.statements],
            "secrets": list(list_statements(settings.secrets)),
        },
    )


def list_variables(settings: AwsSettings) -> Mapping[str, JsonValue]:
    """Return the environment variables of both functions that the build knows."""
    own: dict[str, JsonValue] = {WRAPPER_VARIABLE: f"{HOME}/{WRAPPER}"}
    if settings.secrets:
        own[SECRETS] = cast("JsonValue", write_variable(settings.secrets, settings.secrets_refresh))
    return {**settings.environment, **own}


def check_stages(build: BuildInput) -> None:
    """Refuse a variable of a stage that other stacks have no text for, and more variables than Lambda takes.

    Raises:
        BuildError: That is so.
    """
    settings = build.config.table(AwsSettings)
    owners: dict[str, str] = {}
    for stage, table in settings.stages.items():
        for name in table.environment:
            place = build.place(f"aws.stages.{stage}.environment.{name}")
            if not isinstance(settings.environment.get(name), str):
                raise BuildError(
                    f"The stage `{stage}` sets `{name}`: expected a text of that name in `aws.environment`, too.",
                    file=place.file,
                    line=place.line,
                    hint="It is what the other stages have, and may be empty.",
                )
            other = owners.setdefault(name_parameter(name), name)
            if other != name:
                raise BuildError(
                    f"Stages set `{other}` and `{name}`, which differ by `_` only: expected other names.",
                    file=place.file,
                    line=place.line,
                    hint="Parameters of a template have letters and digits only.",
                )
        size = count_bytes({**settings.environment, **table.environment})
        most = LIMIT - OWN_BYTES
        if table.environment and size > most:
            place = build.place(f"aws.stages.{stage}.environment.{next(iter(table.environment))}")
            raise BuildError(
                f"The variables of the stage `{stage}` take {size:,} bytes: expected at most {most:,}.",
                file=place.file,
                line=place.line,
            )


def check_variables(build: BuildInput) -> None:
    """Refuse a variable that is set twice, and more variables than Lambda takes.

    Raises:
        BuildError: That is so.
    """
    settings = build.config.table(AwsSettings)
    for name in settings.secrets:
        if name in settings.environment:
            place = build.place(f"aws.secrets.{name}")
            message = f"`{name}` stands in `aws.environment` and in `aws.secrets`: expected one of them."
            raise BuildError(message, file=place.file, line=place.line)
    variables = {name: value for name, value in list_variables(settings).items() if name != WRAPPER_VARIABLE}
    size = count_bytes(variables)
    most = LIMIT - OWN_BYTES
    place = build.place(next((f"aws.secrets.{name}" for name in settings.secrets), "aws.environment"))
    if size > most:
        raise BuildError(
            f"`aws.environment` and `aws.secrets` take {size:,} bytes of variables: expected at most {most:,}, as "
            f"Lambda takes {LIMIT:,} with those of the stack.",
            file=place.file,
            line=place.line,
            hint="Keep several values in one secret, or shorten names.",
        )


def serves_sockets(manifest: Manifest) -> bool:
    """Return whether the app has WebSocket routes."""
    return any(route.kind == "websocket" for route in manifest.routes)


def http_event(build: BuildInput) -> Literal["none", "http-api", "function-url"]:
    """Return how HTTP requests come in, if any route answers them."""
    if not build.manifest.public and all(
        route.kind == "websocket" and "http" not in route.hooks for route in build.manifest.routes
    ):
        return "none"
    return "http-api" if build.config.table(AwsSettings).streaming == "none" else "function-url"


def socket_timeout(settings: AwsSettings) -> int:
    """Return the WebSocket function's seconds."""
    return settings.functions.websocket.timeout or (ORDERED_TIMEOUT if settings.ordered else SOCKET_TIMEOUT)


def http_timeout(config: NitroConfig) -> int:
    """Return the HTTP function's seconds: enough for a whole stream where answers stream."""
    settings = config.table(AwsSettings)
    if settings.functions.http.timeout is not None:
        return settings.functions.http.timeout
    return HTTP_TIMEOUT if settings.streaming == "none" else max(HTTP_TIMEOUT, stream_timeout(settings))


def stream_timeout(settings: AwsSettings) -> int:
    """Return the seconds that a whole stream may take."""
    return int(settings.stream_seconds) + STREAM_MARGIN


def check_functions(build: BuildInput) -> None:
    """Refuse a time-out that the function cannot have, and half of a network.

    Raises:
        BuildError: That is so.
    """
    settings = build.config.table(AwsSettings)
    http, websocket = settings.functions.http.timeout, settings.functions.websocket.timeout
    if http is not None and settings.streaming == "none" and http > HTTP_TIMEOUT:
        reason = f"at most {HTTP_TIMEOUT}, as an HTTP API waits no longer"
        raise _refuse(build, "aws.functions.http.timeout", reason, http)
    if http is not None and settings.streaming != "none" and http < stream_timeout(settings):
        reason = f"at least {stream_timeout(settings)}, for `aws.stream_seconds` and the answer's end"
        raise _refuse(build, "aws.functions.http.timeout", reason, http)
    if websocket is not None and settings.ordered and websocket > ORDERED_TIMEOUT:
        reason = f"at most {ORDERED_TIMEOUT} with `aws.ordered`, as a message that dies holds its peer up as long"
        raise _refuse(build, "aws.functions.websocket.timeout", reason, websocket)
    if bool(settings.vpc.subnets) != bool(settings.vpc.security_groups):
        name = "subnets" if settings.vpc.subnets else "security_groups"
        other = "security_groups" if settings.vpc.subnets else "subnets"
        raise _refuse(build, f"aws.vpc.{name}", f"`aws.vpc.{other}`, too", len(getattr(settings.vpc, name)))


def _refuse(build: BuildInput, key: str, expected: str, got: int) -> BuildError:
    place = build.place(key)
    return BuildError(f"`{key}`: expected {expected}, got `{got}`.", file=place.file, line=place.line)
