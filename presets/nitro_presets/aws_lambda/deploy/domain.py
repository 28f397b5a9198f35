"""The settings `aws.domain`, and where they do not fit the rest of the stack."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from nitro_presets.aws_lambda.deploy.template import Domain
from nitro_py.errors import BuildError, UsageError
from nitro_py.preset import HOST_PATTERN, BuildInput, SettingsTable

# CloudFront takes certificates of this region only.
CLOUDFRONT_REGION = "us-east-1"
_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:([a-z0-9-]+):\d{12}:certificate/.+")
_MADE = re.compile(r"^  DomainCertificate:$", re.MULTILINE)
_DISTRIBUTION = re.compile(r"^  Distribution:$", re.MULTILINE)
_GIVEN = re.compile(r"^ +CertificateArn: arn:aws[a-z-]*:acm:([a-z0-9-]+):", re.MULTILINE)

HostName = Annotated[str, Field(pattern=rf"^{HOST_PATTERN}$", max_length=253, examples=["chat.example.com"])]


class DomainTable(SettingsTable):
    """The domain of a stack."""

    name: HostName | None = Field(default=None, description="Domain of the app, such as `chat.example.com`.")
    hosted_zone: Annotated[str, Field(pattern=r"^Z[A-Z0-9]{1,31}$", examples=["Z0123456789ABCDEFGHIJ"])] | None = (
        Field(default=None, description="Id of the Route 53 zone that gets the domain's records.")
    )
    certificate: Annotated[str, Field(pattern=rf"^{_CERTIFICATE.pattern}$")] | None = Field(
        default=None,
        description="ARN of its certificate, of us-east-1 for CloudFront; by default the stack makes one.",
    )
    websocket_name: HostName | None = Field(
        default=None,
        description="Domain of the sockets with `aws.cloudfront = false`; by default `ws.` and `name`.",
    )


def read_domain(
    build: BuildInput, table: DomainTable, *, cloudfront: bool, http: Literal["none", "http-api", "function-url"]
) -> Domain | None:
    """Return the domain of the stack, if the settings name one.

    Args:
        build: The build, for the places of settings.
        table: The settings.
        cloudfront: Whether there is a distribution.
        http: The source of HTTP events.

    Raises:
        BuildError: The settings do not fit together.
    """

    def refuse(key: str, message: str, hint: str) -> BuildError:
        place = build.place(f"aws.domain.{key}")
        return BuildError(message, file=place.file, line=place.line, hint=hint)

    if table.name is None:
        given = [key for key, value in table.model_dump().items() if value is not None]
        if given:
            raise refuse(
                given[0], f"`aws.domain.{given[0]}` has no use without a domain.", "Set `aws.domain.name`."
            )
        return None
    if table.hosted_zone is None and table.certificate is None:
        hint = "Set `aws.domain.hosted_zone`, or `aws.domain.certificate` to one that you have."
        raise refuse("name", "The domain needs a certificate, which is made with records in its zone.", hint)
    if cloudfront:
        if table.websocket_name is not None:
            hint = "Leave it out: behind CloudFront sockets have the domain of the pages."
            raise refuse("websocket_name", "`aws.domain.websocket_name` has no use with CloudFront.", hint)
        region = None if table.certificate is None else _CERTIFICATE.fullmatch(table.certificate)
        if region is not None and region[1] != CLOUDFRONT_REGION:
            message = (
                f"The certificate is of `{region[1]}`, and CloudFront takes those of `{CLOUDFRONT_REGION}` only."
            )
            raise refuse("certificate", message, f"Make one for the domain in `{CLOUDFRONT_REGION}`.")
    elif http == "function-url":
        hint = 'Set `aws.cloudfront = true`, or `aws.streaming = "none"`.'
        raise refuse("name", "A function URL cannot have a domain.", hint)
    elif http != "none" and table.websocket_name == table.name:
        hint = "Name another, or leave it out for `ws.` and the domain."
        raise refuse("websocket_name", "An HTTP API and a WebSocket API cannot share a domain.", hint)
    sockets = table.websocket_name or (table.name if http == "none" else f"ws.{table.name}")
    return Domain(table.name, sockets, table.hosted_zone, table.certificate)


def check_region(template: str, region: str) -> None:
    """Refuse a region that the certificate of a template's domain cannot be used in.

    Raises:
        UsageError: It is so.
    """
    if _MADE.search(template) and _DISTRIBUTION.search(template) and region != CLOUDFRONT_REGION:
        raise UsageError(
            f"The stack would make its certificate in `{region}`, and CloudFront takes those of "
            f"`{CLOUDFRONT_REGION}` only.",
            hint=f"Deploy to `{CLOUDFRONT_REGION}`, or make one there, and set `aws.domain.certificate`.",
        )
    given = _GIVEN.search(template)
    if given is not None and given[1] != region:
        raise UsageError(
            f"The certificate of the domain is of `{given[1]}`, and API Gateway takes those of its own region, "
            f"`{region}`.",
            hint=f"Deploy to `{given[1]}`, or set `aws.domain.certificate` to one of `{region}`.",
        )
