"""Every stack that the settings can ask for, rendered and read back."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, get_args

from cfnlint.decode.cfn_yaml import loads  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.deploy.public_bucket import PublicBucket, PublicObject
from nitro_presets.aws_lambda.deploy.template import Domain, HttpEvents, TemplateOptions, render_template


def list_options() -> dict[str, TemplateOptions]:
    """List the options that make sense, by a name."""
    found: dict[str, TemplateOptions] = {}
    switches = itertools.product((False, True), repeat=4)
    for (websocket, streaming, cloudfront, ordered), http in itertools.product(switches, get_args(HttpEvents)):
        if (streaming and http != "function-url") or (ordered and not websocket):
            continue
        if not websocket and http == "none":
            continue
        words = {
            "websocket": websocket,
            http: http != "none",
            "streaming": streaming,
            "cloudfront": cloudfront,
            "ordered": ordered,
        }
        found["+".join(word for word, there in words.items() if there)] = TemplateOptions(
            name="chat",
            python_version="3.13",
            websocket=websocket,
            http=http,
            streaming=streaming,
            cloudfront=cloudfront,
            ordered=ordered,
        )
    for name in ("websocket+function-url+streaming+cloudfront+ordered", "websocket+http-api", "websocket"):
        for domain in (MADE, GIVEN):
            kind = "given" if domain.certificate else "made"
            found[f"{name}+{kind}"] = replace(found[name], domain=domain)
    return found


MADE = Domain("chat.example.com", "ws.chat.example.com", hosted_zone="Z0123456789ABCDEFGHIJ")
GIVEN = Domain(
    "chat.example.com",
    "ws.chat.example.com",
    certificate="arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f",
)


def add_public(options: TemplateOptions) -> TemplateOptions:
    """Return options with a bucket of public files, in a folder without routes and elsewhere."""
    page = PublicObject("text/html; charset=utf-8", "no-cache", "0" * 32)
    bucket = PublicBucket(("/assets/",), ("/index.html",), ("",), {"assets/a.html": page, "index.html": page})
    return replace(options, public=bucket)


OPTIONS = list_options()
FULL = OPTIONS["websocket+function-url+streaming+cloudfront+ordered"]
OPTIONS |= {
    f"{name}+public": add_public(OPTIONS[name])
    for name in ("websocket+function-url+streaming+cloudfront+ordered+made", "http-api+cloudfront")
}


def read_template(text: str) -> dict[str, Any]:
    """Read a template, with `!Ref` and its like written out."""
    template: dict[str, Any] = loads(text)
    return template


def render_stack(options: TemplateOptions) -> dict[str, Any]:
    """Render a stack and read it."""
    return read_template(render_template(options))
