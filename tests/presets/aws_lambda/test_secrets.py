"""The setting `aws.secrets`: the functions against moto's services, the template, and the preview."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest

from nitro_presets.aws_lambda.gateway.local_dynamodb import LocalDynamoDb
from nitro_py.build.config.load import load_config
from nitro_py.errors import BuildError, ConfigError
from tests.benchmarks.lambda_cold import CREDENTIALS
from tests.bundles import build_project, plan_project, write_files
from tests.cli.commands import fail
from tests.presets.aws_lambda.deploy.stacks import read_template
from tests.presets.aws_lambda.gateways import run_gateway
from tests.presets.aws_lambda.http.project import make_event
from tests.presets.aws_lambda.lambda_runtime.api import RuntimeAPI, run_function, serve_api

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

# As many parameters as take two calls.
PARAMETERS = {f"P{number}": f"value-of-parameter-{number}" for number in range(12)}
SECRET = "value-of-secret"
HANDLER = """
    import os

    from nitro_py import Event, define_handler

    # What is there before the app is loaded.
    EARLY = os.environ.get("PASSWORD")

    @define_handler
    async def handler(event: Event) -> dict[str, str | None]:
        return {"early": EARLY, **{name: os.environ[name] for name in ("PASSWORD", "P0", "P11")}}
    """
SETTINGS = "\n".join(
    (
        'preset = "aws-lambda"',
        "aws.cloudfront = false",
        "aws.secrets_refresh = {refresh}",
        "[aws.secrets]",
        'PASSWORD = "secretsmanager:app/password"',
        *(f'{name} = "ssm:/app/{name}"' for name in PARAMETERS),
        "",
    )
)
INFRA = """
    Resources:
      Password:
        Type: AWS::SecretsManager::Secret
        DeletionPolicy: Delete
        UpdateReplacePolicy: Delete
        Properties:
          GenerateSecretString:
            PasswordLength: 40
    """


def build(folder: Path, refresh: float = 300.0) -> Path:
    """Build the app and return its output folder."""
    files = {"nitro.toml": SETTINGS.format(refresh=refresh), "handlers/read.get.py": HANDLER}
    return build_project(write_files(folder, files))


def make_client(service: str, url: str) -> Any:
    """Make boto3's client of a service of moto."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client(service, region_name="eu-central-1", endpoint_url=url, **keys)


@asynccontextmanager
async def run_services() -> AsyncIterator[str]:
    """Run moto with the parameters and the secret, and return its URL."""
    async with LocalDynamoDb() as services:

        def fill() -> None:
            for name, value in PARAMETERS.items():
                make_client("ssm", services.url).put_parameter(
                    Name=f"/app/{name}", Value=value, Type="SecureString"
                )
            make_client("secretsmanager", services.url).create_secret(Name="app/password", SecretString=SECRET)

        await asyncio.to_thread(fill)
        yield services.url


def make_environ(output: Path, url: str) -> dict[str, str]:
    """Return the variables that the stack would give the function, with moto as AWS."""
    function = json.loads((output / "nitro.json").read_text(encoding="utf-8"))["functions"]["http"]
    environ: dict[str, str] = function["environment"]
    return {**CREDENTIALS, **environ, "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": url}


@asynccontextmanager
async def run_app(output: Path, url: str) -> AsyncIterator[tuple[RuntimeAPI, asyncio.subprocess.Process]]:
    """Run the HTTP function with moto as AWS."""
    environ = make_environ(output, url)
    async with serve_api() as api, run_function(output / "server", "nitro_http.handler", api, environ) as process:
        yield api, process


async def read(api: RuntimeAPI) -> dict[str, str]:
    """Ask the handler for its secrets."""
    answer = await api.whole(make_event("httpapi", "/read"))
    body: dict[str, str] = json.loads(answer.json()["body"])
    return body


async def test_secrets_are_there_before_the_app_is_loaded_and_nowhere_else(tmp_path: Path) -> None:
    output = build(tmp_path)
    server = output / "server"
    expected = {"PASSWORD": SECRET, "P0": PARAMETERS["P0"], "P11": PARAMETERS["P11"]}
    async with run_services() as url, run_app(output, url) as (api, _):
        assert await read(api) == {"early": SECRET, **expected}
    assert "value-of" not in (server / "log").read_text(encoding="utf-8")
    for file in ("template.yaml", "nitro.json", "server/manifest.json"):
        assert "value-of" not in (output / file).read_text(encoding="utf-8")


async def test_new_values_come_with_an_event_after_the_time_of_a_refresh(tmp_path: Path) -> None:
    output = build(tmp_path, refresh=0.001)
    async with run_services() as url, run_app(output, url) as (api, _):
        assert (await read(api))["PASSWORD"] == SECRET
        client = make_client("secretsmanager", url)
        await asyncio.to_thread(client.put_secret_value, SecretId="app/password", SecretString="rotated")
        assert await read(api) == {
            "early": SECRET,
            "PASSWORD": "rotated",
            "P0": PARAMETERS["P0"],
            "P11": PARAMETERS["P11"],
        }
        # What cannot be read again keeps its value.
        await asyncio.to_thread(make_client("ssm", url).delete_parameter, Name="/app/P0")
        assert (await read(api))["P0"] == PARAMETERS["P0"]
    log = (output / "server/log").read_text(encoding="utf-8")
    assert "Secrets keep their values, as they cannot be read again: `P0` cannot be read" in log


@pytest.mark.parametrize("missing", ["PASSWORD", "P3"])
async def test_missing_secret_fails_the_start_by_name(tmp_path: Path, missing: str) -> None:
    output = build(tmp_path)
    async with run_services() as url:
        if missing == "PASSWORD":
            client = make_client("secretsmanager", url)
            await asyncio.to_thread(client.delete_secret, SecretId="app/password", ForceDeleteWithoutRecovery=True)
        else:
            await asyncio.to_thread(make_client("ssm", url).delete_parameter, Name=f"/app/{missing}")
        async with run_app(output, url) as (api, process):
            post = await api.next_post()
            await post.until(lambda: post.complete)
            assert post.path.endswith("/init/error")
            assert f"`{missing}`" in post.json()["errorMessage"]
            assert await process.wait() == 1


def test_preview_reads_secrets_from_variables_of_this_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = build(tmp_path)
    values = {"PASSWORD": "local", **PARAMETERS}
    with run_gateway(output, environment=values) as url:
        assert httpx.get(f"{url}/read", timeout=60).json()["early"] == "local"
    assert [record.message for record in caplog.records if "[iam]" in record.message] == []
    del values["P7"]
    with pytest.raises(AssertionError, match="secret `P7`"), run_gateway(output, environment=values):
        pass
    # Without the statement the call is denied, as on AWS.
    template = output / "template.yaml"
    text = template.read_text(encoding="utf-8")
    assert text.count("ssm:GetParameters") == 1
    template.write_text(text.replace("ssm:GetParameters", "ssm:GetParameter"), encoding="utf-8")
    with run_gateway(output, environment={**values, "P7": "7"}) as url:
        assert httpx.get(f"{url}/read", timeout=60).status_code == 500
    assert any("perform: ssm:GetParameters on resource" in record.message for record in caplog.records)


def test_roles_may_read_these_secrets_only(tmp_path: Path) -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shared-AbCdEf"
    settings = f"""
        preset = "aws-lambda"
        [aws.secrets]
        KEY = "ssm:/app/key"
        BARE = "ssm:bare"
        OWN = "secretsmanager:!Ref Password"
        NAMED = "secretsmanager:app/named"
        SHARED = "secretsmanager:{arn}"
        """
    files = {"nitro.toml": settings, "infra/aws.yaml": INFRA, "handlers/read.get.py": HANDLER}
    plan = plan_project(write_files(tmp_path, files))
    resources = read_template(plan.bundle.files["template.yaml"].decode())["Resources"]
    policies = resources["HttpRole"]["Properties"]["Policies"]
    (policy,) = [one["PolicyDocument"] for one in policies if one["PolicyName"] == "secrets"]
    start = "arn:${AWS::Partition}:"
    account = "${AWS::Region}:${AWS::AccountId}"
    assert policy["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["ssm:GetParameters"],
            "Resource": [
                {"Fn::Sub": f"{start}ssm:{account}:parameter/app/key"},
                {"Fn::Sub": f"{start}ssm:{account}:parameter/bare"},
            ],
        },
        {
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": [
                {"Ref": "Password"},
                {"Fn::Sub": f"{start}secretsmanager:{account}:secret:app/named-??????"},
                arn,
            ],
        },
    ]
    variable = resources["HttpFunction"]["Properties"]["Environment"]["Variables"]["NITRO_SECRETS"]["Fn::Sub"]
    assert json.loads(variable)["names"]["OWN"] == "secretsmanager:${Password}"
    assert "server/nitro_presets/aws_lambda/app_secrets.py" in plan.bundle.files


def test_app_without_secrets_has_no_code_for_them(tmp_path: Path) -> None:
    files = {"nitro.toml": 'preset = "aws-lambda"\n', "handlers/read.get.py": HANDLER}
    plan = plan_project(write_files(tmp_path, files))
    assert "server/nitro_presets/aws_lambda/app_secrets.py" not in plan.bundle.files
    assert "NITRO_SECRETS" not in plan.bundle.files["template.yaml"].decode()


@pytest.mark.parametrize("reference", ["", "/app/key", "ssm:", "ssm:a b", "vault:x", "secretsmanager:!GetAtt A.B"])
def test_what_is_no_reference_is_refused(tmp_path: Path, reference: str) -> None:
    write_files(tmp_path, {"nitro.toml": f'preset = "aws-lambda"\n[aws.secrets]\nKEY = "{reference}"\n'})
    with pytest.raises(ConfigError, match="expected `ssm:` with the name or ARN") as caught:
        load_config(tmp_path, mode="production", overrides={}, environ={})
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 3)


def test_name_is_a_variable_or_a_secret(tmp_path: Path) -> None:
    settings = 'preset = "aws-lambda"\n[aws.environment]\nKEY = "1"\n[aws.secrets]\nKEY = "ssm:/key"\n'
    with pytest.raises(BuildError, match="`KEY` stands in") as caught:
        plan_project(write_files(tmp_path, {"nitro.toml": settings, "handlers/read.get.py": HANDLER}))
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 5)


def test_more_secrets_than_lambda_takes_are_refused(tmp_path: Path) -> None:
    lines = "\n".join(f'SECRET_{number} = "ssm:/{"x" * 200}"' for number in range(16))
    settings = f'preset = "aws-lambda"\n[aws.secrets]\n{lines}\n'
    with pytest.raises(BuildError, match=r"take 3,\d+ bytes of variables: expected at most 3,072") as caught:
        plan_project(write_files(tmp_path, {"nitro.toml": settings, "handlers/read.get.py": HANDLER}))
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 3)


def test_secret_that_stands_in_the_settings_is_not_shown(tmp_path: Path) -> None:
    text = 'preset = "aws-lambda"\n[aws.secrets]\nDATABASE = "correct horse battery"\n'
    error = fail(write_files(tmp_path, {"nitro.toml": text, "handlers/read.get.py": HANDLER}), "build")
    assert "nitro.toml:3" in error
    assert "`ssm:` with the name or ARN of a parameter" in error
    assert "horse" not in error
