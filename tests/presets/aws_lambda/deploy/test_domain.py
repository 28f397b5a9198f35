"""A domain of the stack: `aws.domain`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from nitro_presets.aws_lambda.deploy.domain import check_region
from nitro_presets.aws_lambda.deploy.template import render_template
from nitro_presets.aws_lambda.gateway.environment import API
from nitro_py.errors import BuildError, ConfigError, UsageError
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.deploy.stacks import GIVEN, MADE, OPTIONS, read_template, render_stack
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

CLOUDFRONT = "websocket+function-url+streaming+cloudfront+ordered"
ZONE = "Z0123456789ABCDEFGHIJ"
CONFIG = 'preset = "aws-lambda"\nexperimental.websocket = true\n'
FILES = {
    "handlers/talk.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            await peer.send("hi")

        handler = define_websocket_handler(message=message)
        """,
    "handlers/where.get.py": """
        from nitro_py import Event, define_handler, websocket_url

        @define_handler
        async def handler(event: Event) -> str:
            return websocket_url("/talk")
        """,
}


def lay_out(root: Path, config: str) -> Path:
    """Write a project with a route of each kind."""
    return write_files(root, {"nitro.toml": CONFIG + config, **FILES})


def list_resources(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of the resources of a type, by logical id."""
    resources = template["Resources"].items()
    return {name: body["Properties"] for name, body in resources if body["Type"] == f"AWS::{kind}"}


def test_distribution_answers_to_the_domain_with_a_certificate_that_the_stack_makes() -> None:
    template = render_stack(OPTIONS[f"{CLOUDFRONT}+made"])
    config = template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    assert config["Aliases"] == [MADE.name]
    assert config["ViewerCertificate"] == {
        "AcmCertificateArn": {"Ref": "DomainCertificate"},
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }
    (certificate,) = list_resources(template, "CertificateManager::Certificate").values()
    assert certificate == {
        "DomainName": MADE.name,
        "ValidationMethod": "DNS",
        "DomainValidationOptions": [{"DomainName": MADE.name, "HostedZoneId": MADE.hosted_zone}],
    }
    records = list_resources(template, "Route53::RecordSet").values()
    assert {record["Type"] for record in records} == {"A", "AAAA"}
    for record in records:
        assert (record["Name"], record["HostedZoneId"]) == (MADE.name, MADE.hosted_zone)
        target = {"DNSName": {"Fn::GetAtt": ["Distribution", "DomainName"]}, "HostedZoneId": "Z2FDTNDATAQYW2"}
        assert record["AliasTarget"] == target
    assert template["Outputs"]["Url"]["Value"] == "https://chat.example.com"
    assert template["Outputs"]["WebSocketUrl"]["Value"] == "wss://chat.example.com"


def test_certificate_that_is_given_is_used_and_records_are_named() -> None:
    template = render_stack(OPTIONS[f"{CLOUDFRONT}+given"])
    config = template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    assert config["ViewerCertificate"]["AcmCertificateArn"] == GIVEN.certificate
    assert list_resources(template, "CertificateManager::Certificate") == {}
    assert list_resources(template, "Route53::RecordSet") == {}
    assert template["Outputs"]["DomainTarget"]["Value"] == {"Fn::GetAtt": ["Distribution", "DomainName"]}


def test_apis_have_a_domain_each_without_cloudfront() -> None:
    template = render_stack(OPTIONS["websocket+http-api+made"])
    domains = list_resources(template, "ApiGatewayV2::DomainName")
    assert {domain["DomainName"] for domain in domains.values()} == {MADE.name, MADE.websocket_name}
    for domain in domains.values():
        (configuration,) = domain["DomainNameConfigurations"]
        assert configuration == {
            "CertificateArn": {"Ref": "DomainCertificate"},
            "EndpointType": "REGIONAL",
            "SecurityPolicy": "TLS_1_2",
        }
    mapped = {
        (domains[mapping["DomainName"]["Ref"]]["DomainName"], mapping["ApiId"]["Ref"], mapping["Stage"]["Ref"])
        for mapping in list_resources(template, "ApiGatewayV2::ApiMapping").values()
    }
    assert mapped == {
        (MADE.name, "HttpApi", "HttpStage"),
        (MADE.websocket_name, "WebSocketApi", "WebSocketStage"),
    }
    (certificate,) = list_resources(template, "CertificateManager::Certificate").values()
    assert certificate["SubjectAlternativeNames"] == [MADE.websocket_name]
    assert [option["DomainName"] for option in certificate["DomainValidationOptions"]] == [
        MADE.name,
        MADE.websocket_name,
    ]
    for record in list_resources(template, "Route53::RecordSet").values():
        source = record["AliasTarget"]["DNSName"]["Fn::GetAtt"][0]
        assert domains[source]["DomainName"] == record["Name"]
        assert record["AliasTarget"]["HostedZoneId"] == {"Fn::GetAtt": [source, "RegionalHostedZoneId"]}
    assert template["Outputs"]["Url"]["Value"] == f"https://{MADE.name}"
    assert template["Outputs"]["WebSocketUrl"]["Value"] == f"wss://{MADE.websocket_name}"
    for function in list_resources(template, "Lambda::Function").values():
        assert function["Environment"]["Variables"]["NITRO_SOCKET_URL"] == f"https://{MADE.websocket_name}"


@pytest.mark.parametrize(
    ("config", "key", "message"),
    [
        ('hosted_zone = "Z0"', "hosted_zone", "has no use without a domain"),
        ('name = "a.test"', "name", "needs a certificate"),
        ('name = "a.test"\ncertificate = "{eu}"', "certificate", "`eu-west-1`, and CloudFront takes"),
        ('name = "a.test"\nhosted_zone = "Z0"\nwebsocket_name = "b.test"', "websocket_name", "with CloudFront"),
        (
            'cloudfront = false\nname = "a.test"\nhosted_zone = "Z0"\nwebsocket_name = "a.test"',
            "websocket_name",
            "share",
        ),
        (
            'cloudfront = false\nstreaming = "function-url"\nname = "a.test"\nhosted_zone = "Z0"',
            "name",
            "function URL",
        ),
    ],
)
def test_what_does_not_fit_is_refused_at_its_line(tmp_path: Path, config: str, key: str, message: str) -> None:
    eu = str(GIVEN.certificate).replace("us-east-1", "eu-west-1")
    lines = [
        f"aws.{line}" if line.startswith(("cloudfront", "streaming")) else f"aws.domain.{line}"
        for line in config.replace("{eu}", eu).splitlines()
    ]
    root = lay_out(tmp_path, "\n".join(lines) + "\n")
    with pytest.raises(BuildError, match=message) as refused:
        plan_project(root)
    assert refused.value.file == "nitro.toml"
    written = (root / "nitro.toml").read_text(encoding="utf-8").splitlines()
    assert written[int(refused.value.line or 0) - 1].startswith(f"aws.domain.{key} ")


@pytest.mark.parametrize(
    "line",
    ['name = "Chat.Example.com"', 'name = "https://a.test"', 'hosted_zone = "a.test"', 'certificate = "arn"'],
)
def test_value_that_aws_does_not_take_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"`aws\.domain\."):
        plan_project(lay_out(tmp_path, f"aws.domain.{line}\n"))


@pytest.mark.parametrize(
    ("name", "region", "message"),
    [
        (f"{CLOUDFRONT}+made", "us-east-1", None),
        (f"{CLOUDFRONT}+made", "eu-west-1", "would make its certificate in `eu-west-1`"),
        (f"{CLOUDFRONT}+given", "eu-west-1", None),
        ("websocket+http-api+made", "eu-west-1", None),
        ("websocket+http-api+given", "us-east-1", None),
        (
            "websocket+http-api+given",
            "eu-west-1",
            "is of `us-east-1`, and API Gateway takes those of its own region",
        ),
        (CLOUDFRONT, "eu-west-1", None),
    ],
)
def test_deployment_refuses_a_region_that_the_certificate_cannot_be_used_in(
    name: str, region: str, message: str | None
) -> None:
    template = render_template(OPTIONS[name])
    if message is None:
        check_region(template, region)
    else:
        with pytest.raises(UsageError, match=message):
            check_region(template, region)


def test_domain_does_not_change_the_package(tmp_path: Path) -> None:
    plain = build_project(lay_out(tmp_path / "plain", ""))
    domain = f'aws.domain.name = "a.test"\naws.domain.hosted_zone = "{ZONE}"\n'
    with_domain = build_project(lay_out(tmp_path / "domain", domain))
    assert (with_domain / "function.zip").read_bytes() == (plain / "function.zip").read_bytes()
    template = read_template((with_domain / "template.yaml").read_text(encoding="utf-8"))
    assert template["Outputs"]["Url"]["Value"] == "https://a.test"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an app with a domain and without CloudFront, its functions' variables as the stack sets them."""
    config = f'aws.cloudfront = false\naws.domain.name = "a.test"\naws.domain.hosted_zone = "{ZONE}"\n'
    output = build_project(lay_out(tmp_path_factory.mktemp("domain"), config))
    template = read_template((output / "template.yaml").read_text(encoding="utf-8"))
    variables = template["Resources"]["HttpFunction"]["Properties"]["Environment"]["Variables"]
    with run_gateway(output, environment={"NITRO_SOCKET_URL": variables["NITRO_SOCKET_URL"]}) as address:
        yield address


def test_pages_of_the_domain_find_their_sockets_and_may_open_them(url: str) -> None:
    assert httpx.get(f"{url}/where", timeout=60).text == "wss://ws.a.test?nitro_path=%2Ftalk"
    address = f"{url.replace('http', 'ws', 1)}/_aws/{API.stage}?nitro_path=/talk"
    with connect(address, origin=Origin("https://a.test"), open_timeout=60) as socket:
        socket.send("who")
        assert socket.recv(60) == "hi"
    with pytest.raises(InvalidStatus):
        connect(address, origin=Origin("https://other.test"), open_timeout=60)
