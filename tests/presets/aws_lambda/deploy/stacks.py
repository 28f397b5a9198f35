"""Every stack that the settings can ask for, rendered and read back."""

from __future__ import annotations

import itertools
from typing import Any, get_args

from cfnlint.decode.cfn_yaml import loads  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.deploy.template import HttpEvents, TemplateOptions, render_template


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
    return found


OPTIONS = list_options()
FULL = OPTIONS["websocket+function-url+streaming+cloudfront+ordered"]


def read_template(text: str) -> dict[str, Any]:
    """Read a template, with `!Ref` and its like written out."""
    template: dict[str, Any] = loads(text)
    return template


def render_stack(options: TemplateOptions) -> dict[str, Any]:
    """Render a stack and read it."""
    return read_template(render_template(options))
