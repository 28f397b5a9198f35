"""`nitropy publish`."""

from __future__ import annotations

import http.client
import json
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import typer

from nitro_py.build.preset_commands import OptionValues, PublishingPreset, PublishRequest
from nitro_py.build.registry import find_preset
from nitro_py.cli.output import print_line
from nitro_py.cli.preset_options import check_options, refuse_options
from nitro_py.cli.project import find_root, load_project
from nitro_py.dev.run_file import read_run_file
from nitro_py.errors import UsageError
from nitro_py.runtime.asgi.internal_routes import PUBLISH_PATH, PUBLISH_TOKEN
from nitro_py.runtime.topics.names import check_namespace, check_topic

# How long the server may take to answer, in seconds.
TIMEOUT = 10


def publish(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    data: Annotated[
        str, typer.Argument(help="Message: a JSON object or array is sent as JSON, anything else as text.")
    ],
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Namespace to reach; the default is all.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="URL of a server other than this project's `dev` or `preview`.")
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", envvar=PUBLISH_TOKEN, help="That server's token.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME", help="Publish to the app that this preset has deployed."),
    ] = None,
    *,
    options: OptionValues,
) -> None:
    """Publish to a topic of the running `dev` or `preview`; with `--preset`, to a deployed app."""
    try:
        check_topic(topic)
        check_namespace(namespace)
    except ValueError as error:
        raise UsageError(str(error), hint="Name the topic and the namespace in UTF-8.") from None
    if preset is None:
        refuse_options("without `--preset`", options.given, "publish")
    else:
        refuse_options("with `--preset`", {"--url": url}, "publish")
        loaded = load_project()
        target = find_preset(preset, loaded.root)
        check_options(options, target, "publish")
        if not isinstance(target, PublishingPreset):
            raise UsageError(
                f"The preset `{target.name}` deploys nothing that could be published to.",
                hint="Name a running server by `--url` and `--token`.",
            )
        target.publish(PublishRequest(loaded.config, topic, parse_data(data), namespace, options))
        print_line(f"Published to `{topic}`.")
        return
    address, secret = _find_server(url, token)
    message = {"topic": topic, "data": parse_data(data), "namespace": namespace}
    post(f"{address.rstrip('/')}{PUBLISH_PATH}", secret, message)
    print_line(f"Published to `{topic}`.")


def parse_data(text: str) -> object:
    """Read a JSON object or array; everything else is text, numbers too.

    Example:
        >>> parse_data('{"a": 1}'), parse_data("1")
        ({'a': 1}, '1')
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text


def post(url: str, token: str, message: object) -> None:
    """Hand a message to a server.

    Args:
        url: The server's endpoint.
        token: What it asks for.
        message: What it is sent, as JSON.

    Raises:
        UsageError: It does not run, or refuses.
    """
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = Request(url, json.dumps(message).encode(), headers, method="POST")
    try:
        # A proxy could not reach a server that listens to this machine only.
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT):
            return
    except HTTPError as error:
        with error:
            raise UsageError(
                f"The server at {url} refused: {_read_reason(error)}.", hint=_HINTS.get(error.code)
            ) from None
    # Names that cannot be encoded are no errors of the system's.
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise UsageError(
            f"The server at {url} cannot be reached: {reason}.", hint="Start `nitropy dev` or `nitropy preview`."
        ) from None


_HINTS = {
    403: "Use the token that the server was started with, on the same machine, by way of its loopback address.",
    404: f"It answers here only if `{PUBLISH_TOKEN}` was set when it was started.",
    503: "Its backplane is lost: what the server prints says why.",
}


def _find_server(url: str | None, token: str | None) -> tuple[str, str]:
    if url is None:
        running = read_run_file(find_root())
        if running is None:
            raise UsageError(
                "Neither `nitropy dev` nor `nitropy preview` runs in this project.",
                hint="Start one of them, or name a server by `--url` and `--token`.",
            )
        return running.url, running.token
    if not _is_server(url):
        raise UsageError(f"`{url}` is no URL of a server.", hint="Write it as `http://127.0.0.1:3000`.")
    hint = f"Give `--token`, or set `{PUBLISH_TOKEN}` as it is set for the server."
    if token is None:
        raise UsageError("`--url` needs the token of the server.", hint=hint)
    if not token.isascii() or not token.isprintable():
        # The token itself is left out: error messages end up in logs.
        raise UsageError("The token has a character that no header can carry.", hint=hint)
    return url, token


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # The port is read when it is asked for.
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and parts.scheme in ("http", "https")


def _read_reason(error: HTTPError) -> str:
    try:
        reason: Any = json.loads(error.read())["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
    return f"{error.code}, {str(reason).rstrip('.')}"
