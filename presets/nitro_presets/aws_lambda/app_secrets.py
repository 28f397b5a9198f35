"""The values of `aws.secrets`: read before the app is loaded, and again after a while."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from nitro_presets.aws_lambda.aws_client.errors import ServiceError
from nitro_presets.aws_lambda.aws_client.service import Retry, make_service, read_object
from nitro_presets.aws_lambda.lambda_runtime.runner import run
from nitro_presets.aws_lambda.stack_variables import SECRETS
from nitro_py.errors import NitroError

logger = logging.getLogger("nitro_py.aws")

# Lambda gives INIT ten seconds, of which loading the app needs some.
_RETRY = Retry(attempts=4, deadline=4.0)
_TIMEOUT = 4.0
# The most parameters that one call reads.
_BATCH = 10
# How long after a failed refresh the next one is tried, in seconds.
_PAUSE = 30.0


class SecretError(NitroError):
    """A secret that cannot be read."""


class EntryWithSecrets:
    """A function's handler that puts secrets into environment variables before the app is loaded.

    Args:
        entry: The handler.
    """

    def __init__(self, entry: Any) -> None:
        self._entry = entry
        self._references: Mapping[str, str] = {}
        self._refresh = 0.0
        self._due: float | None = 0.0

    async def start(self) -> None:
        """Read the secrets, then start the function."""
        await self._read_first()
        await self._entry.start()

    async def stop(self) -> None:
        """Stop the function."""
        await self._entry.stop()

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Handle one event, with secrets that are no older than the time of a refresh."""
        # Not the monotonic clock, which may stand still while the process is frozen.
        if self._due is not None and time.time() >= self._due:
            run(self._read_again() if self._references else self._read_first())
        return self._entry(event, context)

    async def _read_first(self) -> None:
        settings = json.loads(os.environ[SECRETS])
        self._refresh = settings["refresh"]
        os.environ.update(await read_secrets(settings["names"]))
        self._references = settings["names"]
        self._set_due(self._refresh)

    async def _read_again(self) -> None:
        try:
            os.environ.update(await read_secrets(self._references))
        except (SecretError, ServiceError) as error:
            logger.error("Secrets keep their values, as they cannot be read again: %s", error)
            self._set_due(min(self._refresh, _PAUSE))
        else:
            self._set_due(self._refresh)

    def _set_due(self, seconds: float) -> None:
        self._due = time.time() + seconds if self._refresh else None


async def read_secrets(references: Mapping[str, str]) -> dict[str, str]:
    """Return the values of secrets by name.

    Args:
        references: `ssm:` or `secretsmanager:`, with the name or ARN there, by name.

    Raises:
        SecretError: One cannot be read; the error names it.
    """
    services: dict[str, dict[str, str]] = {}
    for name, reference in references.items():
        service, _, id = reference.partition(":")
        services.setdefault(service, {})[name] = id
    readers = {"secretsmanager": _read_secrets, "ssm": _read_parameters}
    found = await asyncio.gather(*(readers[service](ids) for service, ids in services.items()))
    return {name: value for values in found for name, value in values.items()}


async def _read_parameters(ids: Mapping[str, str]) -> dict[str, str]:
    client = make_service("ssm", idempotent=True, retry=_RETRY, timeout=_TIMEOUT)
    values: dict[str, str] = {}
    wanted = sorted(set(ids.values()))
    try:
        for start in range(0, len(wanted), _BATCH):
            asked = wanted[start : start + _BATCH]
            body = {"Names": asked, "WithDecryption": True}
            try:
                answer = await _call(client, "AmazonSSM.GetParameters", body)
            except ServiceError as error:
                refused = [name for name, id in ids.items() if id in asked]
                raise SecretError(f"{_list(refused)} cannot be read from Parameter Store: {error}") from error
            for parameter in answer.get("Parameters", ()):
                # Asked for by an ARN, a parameter comes with its name and its ARN.
                values |= {parameter[key]: parameter["Value"] for key in ("Name", "ARN") if key in parameter}
    finally:
        await client.close()
    missing = [name for name, id in ids.items() if id not in values]
    if missing:
        places = ", ".join(f"`{ids[name]}`" for name in missing)
        raise SecretError(f"{_list(missing)} cannot be read: Parameter Store has no {places} here.")
    return {name: values[id] for name, id in ids.items()}


async def _read_secrets(ids: Mapping[str, str]) -> dict[str, str]:
    # Spelt as in other clients, for which the service's id is two words.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER")
    client = make_service("secretsmanager", idempotent=True, endpoint=endpoint, retry=_RETRY, timeout=_TIMEOUT)

    async def read(name: str, id: str) -> str:
        try:
            answer = await _call(client, "secretsmanager.GetSecretValue", {"SecretId": id})
        except ServiceError as error:
            raise SecretError(f"`{name}` (`{id}`) cannot be read from Secrets Manager: {error}") from error
        if "SecretString" not in answer:
            raise SecretError(f"`{name}` (`{id}`) is binary: expected a secret that is text.")
        value: str = answer["SecretString"]
        return value

    try:
        values = await asyncio.gather(*(read(name, id) for name, id in ids.items()))
    finally:
        await client.close()
    return dict(zip(ids, values, strict=True))


async def _call(client: Any, target: str, body: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
    response = await client.request("POST", "/", headers, json.dumps(body).encode())
    return read_object(response.body)


def _list(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
