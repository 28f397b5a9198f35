"""The description of a built bundle, from its `nitro.json`."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from nitro_presets.aws_lambda.deploy.public_bucket import UPLOADS, PublicBucket
from nitro_presets.aws_lambda.stack_variables import TABLE
from nitro_py.errors import NitroError, UsageError
from nitro_py.runtime.manifest import INFO_NAME, SERVER

logger = logging.getLogger("nitro_py.aws.gateway")

# The earliest time that an archive can hold: 1980-01-01.
PACKAGE_TIME = datetime(1980, 1, 1, tzinfo=UTC).timestamp()

HttpKind = Literal["http-api", "function-url"]
_HTTP_KINDS: tuple[HttpKind, ...] = ("function-url", "http-api")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a bundle.

    Args:
        name: `websocket` or `http`.
        handler: The handler, `module.function`.
        environment: The function's own environment variables, as text or as what CloudFormation computes.
        timeout: The time-out of an invocation, in seconds.
        memory: The memory in MB, which is not enforced.
        event: The source of HTTP events.
        streaming: Whether responses stream.
        cloudfront: Whether there is a distribution in front.
        ordered: Whether a connection's messages come through a queue.
        log_level: The lowest level of logs in JSON; without one logs are text.
        secrets: What `aws.secrets` says, by name.
        needs: The variables that it needs of the stack.
    """

    name: str
    handler: str
    environment: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 30.0
    memory: int = 512
    event: HttpKind = "http-api"
    streaming: bool = False
    cloudfront: bool = True
    ordered: bool = False
    log_level: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LocalBundle:
    """A bundle on this machine.

    Args:
        server: The folder of the function package.
        functions: The functions by name.
        public: The bucket of the public files, if there is one.
    """

    server: Path
    functions: Mapping[str, Function]
    public: PublicBucket | None = None

    @property
    def cloudfront(self) -> bool:
        """Whether there is a distribution in front of the functions."""
        return all(function.cloudfront for function in self.functions.values())

    @property
    def computed(self) -> dict[str, Any]:
        """The environment variables that CloudFormation computes."""
        return {
            name: value
            for function in self.functions.values()
            for name, value in function.environment.items()
            if not isinstance(value, str)
        }

    @property
    def secrets(self) -> dict[str, str]:
        """What `aws.secrets` says, by name."""
        return {name: said for function in self.functions.values() for name, said in function.secrets.items()}

    @property
    def has_table(self) -> bool:
        """Whether the stack has a table."""
        return "websocket" in self.functions or any(TABLE in one.needs for one in self.functions.values())

    @property
    def uploads(self) -> Path:
        """The folder of what goes into the bucket."""
        return self.server.parent / UPLOADS

    @property
    def bootstrap(self) -> Path:
        """The program of a function's process."""
        return self.server / "nitro_bootstrap.py"


def set_package_times(server: Path) -> None:
    """Give the files of a function package the time that they have in its archive, and so on Lambda."""
    try:
        for path in (server, *server.rglob("*")):
            os.utime(path, (PACKAGE_TIME, PACKAGE_TIME))
    except OSError as error:
        logger.warning("Functions see other file times than on Lambda: %s", error)


def read_bundle(output: Path) -> LocalBundle:
    """Read the bundle of an output folder.

    Raises:
        NitroError: There is no bundle, it is broken, or it is one of another preset.
    """
    file = output / INFO_NAME
    try:
        info = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"There is no bundle in `{output}`.", hint=_BUILD) from None
    except ValueError as error:
        raise NitroError(f"`nitro.json` is no JSON: {error}", file=str(file), hint=_BUILD) from None
    described = info.get("functions") if isinstance(info, dict) else None
    try:
        functions = _read_functions(described or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"`functions` in `nitro.json` is broken: {type(error).__name__}: {error}."
        raise NitroError(message, file=str(file), hint=_BUILD) from None
    try:
        public = PublicBucket.from_json(info["public"]) if described and "public" in info else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"`public` in `nitro.json` is broken: {type(error).__name__}: {error}."
        raise NitroError(message, file=str(file), hint=_BUILD) from None
    bundle = LocalBundle((output / SERVER).resolve(), functions, public)
    if not bundle.functions or not bundle.bootstrap.is_file():
        raise UsageError(f"The bundle in `{output}` is not one of the preset `aws-lambda`.", hint=_BUILD)
    return bundle


_BUILD = "Build it: `nitropy build --preset aws-lambda`."


def _read_functions(described: dict[str, Any]) -> dict[str, Function]:
    functions: dict[str, Function] = {}
    for name, values in described.items():
        event = values.get("event", "http-api")
        if event not in _HTTP_KINDS:
            choices = ", ".join(f"`{kind}`" for kind in _HTTP_KINDS)
            raise NitroError(f"`functions.{name}.event` is `{event}`: expected one of {choices}.")
        functions[name] = Function(
            name=name,
            handler=values["handler"],
            environment=dict(values.get("environment", {})),
            timeout=float(values.get("timeout", 30)),
            memory=int(values.get("memory", 512)),
            event=event,
            streaming=bool(values.get("streaming", False)),
            cloudfront=bool(values.get("cloudfront", True)),
            ordered=bool(values.get("ordered", False)),
            log_level=values.get("log_level"),
            secrets=dict(values.get("secrets", {})),
            needs=frozenset(values.get("needs", ())),
        )
    return functions
