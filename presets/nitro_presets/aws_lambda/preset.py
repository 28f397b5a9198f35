"""Emits a function package, and the stack that runs it: API Gateway WebSocket, Lambda, DynamoDB."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from nitro_presets.aws_lambda.target import Target, find_target
from nitro_py.build.dependencies import pin_requirements
from nitro_py.build.preset import BuildInput, Bundle, Package, Vendor, merge_files
from nitro_py.build.runtime_files import collect_runtime
from nitro_py.build.settings import NitroConfig
from nitro_py.capabilities import Capability
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import MANIFEST_NAME, Manifest

SERVER = "server"
VENDOR = "vendor"
ARCHIVE = "function.zip"
SHIPPED = ("adapter.py", "client", "edge.py", "entry.py", "http", "runtime", "socket", "store")
STUBS = ("nitro_bootstrap.py", "nitro_http.py", "nitro_websocket.py")
WRAPPER = "nitro_wrapper.sh"
# What the HTTP function's runtime imports, beside what the handlers import.
HTTP_IMPORTS = frozenset({"mangum", "starlette"})
CAPABILITIES: frozenset[Capability] = frozenset({"http", "peers.reach", "topics", "websocket"})


@dataclass(frozen=True, slots=True)
class AwsLambdaPreset:
    """Builds for AWS Lambda."""

    name: str = "aws-lambda"
    summary: str = "two AWS Lambda functions behind API Gateway WebSocket and a function URL or HTTP API"

    def capabilities(self, config: NitroConfig) -> frozenset[Capability]:
        """Gives what the target can do with these settings."""
        able: set[Capability] = set(CAPABILITIES)
        if config.aws.streaming != "none":
            able.add("streaming")
        if config.aws.binary == "base64":
            able.add("websocket.binary")
        if config.aws.ordered:
            able.add("websocket.ordered")
        return frozenset(able)
