"""The preset: a function package, and the stack that runs it with API Gateway, Lambda and DynamoDB."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from nitro_presets.aws_lambda.deploy.extend import extend_template
from nitro_presets.aws_lambda.deploy.function_environment import describe_possible_secrets
from nitro_presets.aws_lambda.deploy.function_settings import describe_network
from nitro_presets.aws_lambda.deploy.functions import (
    HOME,
    WRAPPER,
    check_functions,
    check_stages,
    check_variables,
    describe_functions,
    http_event,
    make_options,
    serves_sockets,
)
from nitro_presets.aws_lambda.deploy.public_bucket import (
    UPLOADS,
    check_function,
    plan_bucket,
    stays_in_package,
)
from nitro_presets.aws_lambda.deploy.stages import StageTable, find_stage, list_parameters
from nitro_presets.aws_lambda.deploy.statements import describe_reach
from nitro_presets.aws_lambda.deploy.target import LambdaTarget, find_target, list_others
from nitro_presets.aws_lambda.deploy.template import ARCHIVE, TEMPLATE, render_template, write_edge_function
from nitro_presets.aws_lambda.http.payload import write_body
from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_presets.aws_lambda.websocket.events import PATH_PARAMETER
from nitro_py.capabilities import Capability
from nitro_py.errors import BuildError, UsageError
from nitro_py.preset import (
    MEMORY,
    SERVER,
    VENDOR,
    Alternative,
    BuildInput,
    Bundle,
    Command,
    Deployment,
    Destruction,
    LogLine,
    LogsRequest,
    NitroConfig,
    Option,
    OptionValues,
    OutputsRequest,
    PackagingStep,
    PublishRequest,
    SizeLimit,
    StorageRequest,
    VendoredDependencies,
    build_python,
    collect_runtime,
    find_storage_imports,
    format_size,
    merge_files,
    pin_requirements,
    uses_storage,
)
from nitro_py.runtime.asgi.public_files import PUBLIC_DIR
from nitro_py.runtime.manifest import MANIFEST_NAME, Manifest

SHIPPED = (
    "aws_client",
    "cloudfront_secret.py",
    "entry.py",
    "fanout",
    "foreign_event.py",
    "http",
    "lambda_runtime",
    "lazy_object.py",
    "stack_variables.py",
    "store",
    "websocket",
)
# What of the runtime a function never imports: DynamoDB carries topics, API Gateway holds the sockets, and nothing
# scrapes metrics.
UNUSED = (
    "nitro_py/capabilities.py",
    "nitro_py/runtime/asgi/send_channel.py",
    "nitro_py/runtime/asgi/websocket.py",
    "nitro_py/runtime/closing.py",
    "nitro_py/runtime/hooks/eager.py",
    "nitro_py/runtime/hooks/portable_context.py",
    "nitro_py/runtime/hooks/session.py",
    "nitro_py/runtime/metrics/",
    "nitro_py/runtime/responsive_timeout.py",
    "nitro_py/runtime/topics/backplane_hub.py",
    "nitro_py/runtime/topics/broker_link.py",
)
# What a function imports only where the app has storages, and where one is in another store than the stack's.
STORAGE_DRIVER = "nitro_presets/aws_lambda/store/storage.py"
STORE_FOLDERS = ("brokers", "stores")
STORE_MODULES = ("nitro_py/runtime/responsive_timeout.py",)
# What reads `aws.secrets`, which ships where there are any.
SECRETS_READER = "app_secrets.py"
FUNCTION_FILES = ("nitro_bootstrap.py", "nitro_http.py", "nitro_websocket.py", WRAPPER)
# What the HTTP function's runtime imports, beside what the handlers import.
HTTP_IMPORTS = frozenset({"mangum", "starlette"})
ALWAYS: frozenset[Capability] = frozenset({"http", "peers.reach", "storage", "topics", "websocket"})
# The setting that gives the target a capability, or what there is in place of it.
ADVICE: Mapping[Capability, str] = {
    "streaming": 'Set `aws.streaming = "function-url"`: without it Lambda holds a stream back until it ends.',
    "topics.sse": Alternative("Use a WebSocket route: a Lambda cannot hold a stream that other invocations feed."),
    "websocket.mounted": Alternative(
        "Write its sockets as hooks: a loop that waits for messages cannot live in a Lambda."
    ),
    "websocket.binary": 'Set `aws.binary = "base64"`.',
    "websocket.ordered": "Set `aws.ordered = true`.",
}
# The largest answers of Lambda: as a whole, with its head, and in pieces.
WHOLE_ANSWER = 6 * 1024 * 1024 - 16 * 1024
STREAMED_ANSWER = 200 * 1024 * 1024
# What Lambda takes: unpacked, and as an archive that is sent to it without a bucket.
LIMITS = (
    SizeLimit(SERVER, 250 * 1024 * 1024, "what Lambda unpacks", refused=True),
    SizeLimit(ARCHIVE, 50 * 1024 * 1024, "what Lambda takes without a bucket"),
    SizeLimit(TEMPLATE, 51_200, "what CloudFormation takes without a bucket, as `nitropy deploy` sends it"),
)
# Settings of the stack that no function reads: what they change is no reason for another package.
STACK_SETTINGS = (
    "alarms",
    "domain",
    "environment",
    "extend",
    "functions",
    "log_level",
    "overrides",
    "public",
    "secrets",
    "secrets_refresh",
    "stages",
    "statements",
    "tags",
    "vpc",
)
STACK = Option[str | None]("--stack", str, None, "Name of what is deployed.")
STAGE = Option[str | None]("--stage", str, None, "Stage of `aws.stages` that it is for.")
REGION = Option[str | None]("--region", str, None, "Region to deploy to.")
DEPLOYED_REGION = replace(REGION, help="Region that it is deployed to.")
BUCKET = Option[str | None]("--bucket", str, None, "Bucket that takes the package.")
DEPLOYED_BUCKET = replace(BUCKET, help="Bucket that has taken the packages.")
FUNCTION = Option[str | None]("--function", str, None, "Function to show, `http` or `websocket`; default: both.")


@dataclass(frozen=True, slots=True)
class AwsLambdaPreset:
    """The preset for AWS Lambda."""

    name: str = "aws-lambda"
    summary: str = "Lambda functions behind API Gateway WebSocket, and a function URL or an HTTP API"
    settings: type[AwsSettings] = AwsSettings
    settings_table: str = "aws"
    default_storage: str = "dynamodb"

    @property
    def storage_drivers(self) -> Mapping[str, str]:
        """The driver in the table of the stack."""
        return {"dynamodb": "nitro_presets.aws_lambda.store.storage:DynamoStorageDriver"}

    @property
    def options(self) -> Mapping[Command, tuple[Option[str | None], ...]]:
        """The options of the commands that work with a stack."""
        return {
            "deploy": (STACK, STAGE, REGION, BUCKET),
            "destroy": (STACK, STAGE, DEPLOYED_REGION, DEPLOYED_BUCKET),
            "logs": (STACK, STAGE, DEPLOYED_REGION, FUNCTION),
            "publish": (STACK, STAGE, DEPLOYED_REGION),
            "storage": (STACK, STAGE, DEPLOYED_REGION),
        }

    def capabilities(self, config: NitroConfig) -> frozenset[Capability]:
        """Return what Lambda can do with these settings."""
        able = set(ALWAYS)
        settings = config.table(AwsSettings)
        if settings.streaming != "none":
            able.add("streaming")
        if settings.binary != "none":
            able.add("websocket.binary")
        if settings.ordered:
            able.add("websocket.ordered")
        return frozenset(able)

    def advise(self, capability: Capability) -> str | None:
        """Name the setting that gives Lambda a capability, where there is one."""
        return ADVICE.get(capability)

    def list_files(self, config: NitroConfig) -> tuple[str, ...]:
        """Return the file that extends the stack."""
        return (config.table(AwsSettings).extend,)

    def detect(self, environ: Mapping[str, str]) -> str | None:
        """Look for the build environments of AWS."""
        return next((name for name in ("CODEBUILD_BUILD_ARN", "AWS_SAM_STACK_NAME") if name in environ), None)

    def deploy(self, deployment: Deployment) -> Mapping[str, str]:
        """Deploy the stack with boto3."""
        from nitro_presets.aws_lambda.deploy.deploy import deploy
        from nitro_presets.aws_lambda.deploy.stack import Change

        def show(changes: Sequence[Change]) -> None:
            rows = [(change.action, change.name, change.kind, change.replacement) for change in changes]
            deployment.show_table(("action", "resource", "type", "replaced"), rows)

        return deploy(
            deployment.output,
            stack_name=name_stack(deployment.config, deployment.options),
            region=deployment.options.get(REGION),
            bucket=deployment.options.get(BUCKET),
            tags=deployment.config.table(AwsSettings).tags,
            parameters=choose_parameters(deployment.config, deployment.options),
            dry_run=deployment.dry_run,
            confirm=deployment.confirm,
            report=deployment.report,
            show=show,
        ).outputs

    def list_outputs(self, request: OutputsRequest) -> Mapping[str, str]:
        """Ask CloudFormation for the stack's outputs."""
        from nitro_presets.aws_lambda.deploy.logs import list_outputs

        return list_outputs(name_stack(request.config, request.options), region=request.options.get(REGION))

    def read_logs(self, request: LogsRequest) -> Iterable[LogLine]:
        """Read the functions' logs in CloudWatch."""
        from nitro_presets.aws_lambda.deploy.logs import read_logs

        return read_logs(
            name_stack(request.config, request.options),
            region=request.options.get(DEPLOYED_REGION),
            function=request.options.get(FUNCTION),
            since=request.since,
            follow=request.follow,
        )

    def destroy(self, destruction: Destruction) -> Sequence[str] | None:
        """Delete the stack and its packages with boto3."""
        from nitro_presets.aws_lambda.deploy.destroy import Resource, destroy

        def show(resources: Sequence[Resource]) -> None:
            rows = [(row.name, row.kind, row.fate) for row in resources]
            destruction.show_table(("resource", "type", "what becomes of it"), rows)

        return destroy(
            name_stack(destruction.config, destruction.options),
            region=destruction.options.get(DEPLOYED_REGION),
            bucket=destruction.options.get(DEPLOYED_BUCKET),
            data=destruction.data,
            confirm=destruction.confirm,
            report=destruction.report,
            show=show,
        )

    def publish(self, request: PublishRequest) -> None:
        """Call the deployed WebSocket function with boto3, which publishes."""
        from nitro_presets.aws_lambda.deploy.publish import publish

        publish(
            name_stack(request.config, request.options),
            {"topic": request.topic, "data": request.data, "namespace": request.namespace},
            region=request.options.get(DEPLOYED_REGION),
        )

    def find_storage(self, request: StorageRequest) -> Mapping[str, str]:
        """Find the table of the deployed stack with boto3, or that of a preview."""
        from nitro_presets.aws_lambda.deploy.storage import find_deployed_table, find_local_table

        if request.preview is not None:
            return find_local_table(request.preview)
        return find_deployed_table(
            name_stack(request.config, request.options), region=request.options.get(DEPLOYED_REGION)
        )

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle."""
        settings = build.config.table(AwsSettings)
        bucket = plan_bucket(build, cloudfront=settings.cloudfront) if settings.public == "s3" else None
        packaged = build if bucket is None else leave_uploads_out(build)
        check_public(packaged)
        check_variables(build)
        check_stages(build)
        check_functions(build)
        target = find_target(build.config.table(AwsSettings))
        functions = describe_functions(build)
        options = make_options(build, target, bucket)
        if bucket is not None:
            check_function(write_edge_function(options), build, bucket)
        template, notes = extend_template(build, render_template(options))
        imports = build.imports | (HTTP_IMPORTS if "http" in functions else frozenset())
        imports |= find_storage_imports(build.config, self.storage_drivers)
        elsewhere = {table.driver for table in build.config.storage.values()} - {"", *self.storage_drivers}
        unused = tuple(file for file in UNUSED if not (elsewhere and file in STORE_MODULES))
        unused += () if uses_storage(build) else (STORAGE_DRIVER,)
        secrets = (SECRETS_READER,) if build.config.table(AwsSettings).secrets else ()
        own = {
            **collect_runtime(
                "nitro_presets.aws_lambda",
                *SHIPPED,
                *secrets,
                folders=STORE_FOLDERS if elsewhere else (),
                without=unused,
            ),
            **{f"{PUBLIC_DIR}/{path}": data for path, data in packaged.public.items()},
            MANIFEST_NAME: add_settings(packaged).to_json().encode(),
            **{name: _template(name) for name in FUNCTION_FILES},
        }
        return Bundle(
            files={
                **{f"{SERVER}/{path}": data for path, data in merge_files(build.sources, own).items()},
                **{f"{UPLOADS}/{key}": build.public[key] for key in (bucket.objects if bucket else ())},
                TEMPLATE: template.encode(),
            },
            entry=f"{SERVER}/nitro_bootstrap.py",
            manifest=f"{SERVER}/{MANIFEST_NAME}",
            preview=("python", "-m", "nitro_presets.aws_lambda.gateway", build.config.output_dir),
            deploy=("nitropy", "deploy", "--preset", self.name),
            vendor=VendoredDependencies(
                f"{SERVER}/{VENDOR}",
                pin_requirements(
                    imports, build.declared, markers=target.markers, local=build.local, locked=build.locked
                ),
                python_version=target.python_version,
                platform=target.platform,
                glibc=target.glibc,
                others=list_others(target),
            ),
            package=PackagingStep(
                SERVER,
                archive=ARCHIVE,
                bytecode=target.takes_bytecode,
                home=HOME,
                programs=frozenset({WRAPPER}),
            ),
            notes=(
                *describe_target(target),
                *describe_backplane(build.config),
                *describe_hosts(build),
                *describe_possible_secrets(build.config.table(AwsSettings).environment),
                *describe_reach(build.config.table(AwsSettings).statements),
                *describe_vpc(build),
                *notes,
            ),
            limits=LIMITS,
            extra={"functions": functions, **({"public": bucket.to_json()} if bucket else {})},
        )


def name_stack(config: NitroConfig, options: OptionValues) -> str:
    """Return the name of the stack that a command is for."""
    settings = config.table(AwsSettings)
    name, stage = options.get(STACK), options.get(STAGE)
    if stage is None:
        return name or settings.name
    if name is not None:
        raise UsageError("`--stack` and `--stage` both name the stack.", hint="Leave one of them out.")
    find_stage(settings.stages, stage)
    return f"{settings.name}-{stage}"


def choose_parameters(config: NitroConfig, options: OptionValues) -> dict[str, str]:
    """Return the parameters of the stack that a deployment sets."""
    settings = config.table(AwsSettings)
    stage = options.get(STAGE)
    table = StageTable() if stage is None else find_stage(settings.stages, stage)
    return list_parameters(table, settings.alarms)


def check_public(build: BuildInput) -> None:
    """Refuse a public file that no answer of the function can hold.

    Raises:
        BuildError: There is one.
    """
    streams = build.config.table(AwsSettings).streaming != "none"
    for path, data in build.public.items():
        # What is no text is sent as base64.
        kind = mimetypes.guess_type(path)[0] or ""
        size = len(data) if streams else len(write_body(data, kind)[0].encode())
        most = STREAMED_ANSWER if streams else WHOLE_ANSWER
        if size > most:
            file = f"{build.config.public_dir}/{path}"
            advice = "" if streams else ', or set `aws.streaming = "function-url"`'
            encoded = "" if streams else ", base64 included"
            raise BuildError(
                f"`{file}` has {format_size(len(data))}, and Lambda answers with at most "
                f"{format_size(most)}{encoded}.",
                file=file,
                hint=f'Set `aws.public = "s3"`{advice}.',
            )


def leave_uploads_out(build: BuildInput) -> BuildInput:
    """Return a build without the public files that the functions don't need."""
    return replace(
        build,
        public={path: data for path, data in build.public.items() if stays_in_package(f"/{path}")},
        manifest=build.manifest._replace(
            public={path: digest for path, digest in build.manifest.public.items() if stays_in_package(path)}
        ),
    )


def add_settings(build: BuildInput) -> Manifest:
    """Add `aws.*` to the settings that ship."""
    settings = build.manifest.settings
    table = build.config.table(AwsSettings)
    if table.domain.name is not None and not table.cloudfront:
        # Sockets have another host than the pages.
        websocket = dict(settings.get("websocket", {}))
        origins = [*websocket.get("allowed_origins", ()), f"https://{table.domain.name}"]
        settings = {**settings, "websocket": {**websocket, "allowed_origins": origins}}
    aws = table.model_dump(mode="json", exclude=set(STACK_SETTINGS))
    return build.manifest._replace(settings={**settings, "aws": aws})


def describe_target(target: LambdaTarget) -> tuple[str, ...]:
    """Tell what the package runs on, and whether it carries byte code."""
    notes = [f"Packaged for Python {target.python_version} on {target.architecture}"]
    if not target.takes_bytecode:
        notes.append(
            f"No byte code in the package: this is Python {build_python()}, and the functions' is "
            f"{target.python_version}; building with theirs halves the import of large packages"
        )
    return tuple(notes)


def describe_backplane(config: NitroConfig) -> tuple[str, ...]:
    """Return a note that a backplane has no use here, if one is set."""
    if config.backplane == MEMORY:
        return ()
    return (f"`backplane` (`{config.backplane}`) has no use here: DynamoDB carries topics to every connection",)


def describe_hosts(build: BuildInput) -> tuple[str, ...]:
    """Return a note of what is different without CloudFront, if that is so and there are sockets."""
    settings = build.config.table(AwsSettings)
    if settings.cloudfront or not serves_sockets(build.manifest):
        return ()
    place = f"`WebSocketUrl?{PATH_PARAMETER}=PATH`, which `websocket_url(PATH)` returns"
    note = f"Without CloudFront sockets have a host of their own: they connect to {place}"
    if http_event(build) == "none":
        return (note,)
    if settings.domain.name is not None:
        return (f"{note}. Browsers send them no cookies of the pages",)
    return (
        f"{note}. Browsers send them no cookies of the pages, whose origin must be in `websocket.allowed_origins`",
    )


def describe_vpc(build: BuildInput) -> tuple[str, ...]:
    """Return a note of what the functions must reach from a VPC, if they are in one."""
    settings = build.config.table(AwsSettings)
    sockets = serves_sockets(build.manifest)
    note = describe_network(
        settings.vpc,
        table=sockets or uses_storage(build),
        sockets=sockets,
        ordered=settings.ordered,
        secrets={reference.partition(":")[0] for reference in settings.secrets.values()},
    )
    return () if note is None else (note,)


def _template(name: str) -> bytes:
    return (files("nitro_presets.aws_lambda") / "templates" / f"{name}.txt").read_bytes()


preset = AwsLambdaPreset()
