"""Parameter Store's and Secrets Manager's APIs, answered from variables of this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nitro_presets.aws_lambda.deploy.secret_references import find_resource
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.permissions import Need
from nitro_presets.aws_lambda.gateway.signed_calls import (
    ApiError,
    CallGuard,
    answer_error,
    answer_json,
    read_signed,
)

# The most parameters that one call reads.
MAX_NAMES = 10


class SecretsApi:
    """The calls that read secrets.

    Args:
        prefix: The region and account of ARNs.
        secrets: The values, by what `aws.secrets` says of them.
        guard: The guard of calls.
    """

    def __init__(self, prefix: str, secrets: Mapping[str, str], guard: CallGuard) -> None:
        self._guard = guard
        self._values = {
            service: {
                make_secret_arn(reference, prefix): value
                for reference, value in secrets.items()
                if reference.startswith(f"{service}:")
            }
            for service in ("secretsmanager", "ssm")
        }
        self._prefix = prefix

    async def handle(self, http: HttpConnection, request: GatewayRequest, service: str) -> None:
        """Answer a call of a service."""
        operation = (request.get("x-amz-target") or "").rpartition(".")[2]

        def list_needs(body: bytes) -> list[Need]:
            return [Need(f"{service}:{operation}", self._find_arn(service, id)) for id in read_ids(body)]

        body = await read_signed(http, request, self._guard, service, list_needs)
        if body is None:
            return
        ids = read_ids(body)
        values = self._values[service]
        if operation == "GetParameters" and 1 <= len(ids) <= MAX_NAMES:
            known = {id: arn for id in ids if (arn := self._find_arn(service, id)) in values}
            parameters = [
                {"Name": id, "ARN": arn, "Type": "SecureString", "Value": values[arn]} for id, arn in known.items()
            ]
            missing = [id for id in ids if id not in known]
            await answer_json(http, 200, {"Parameters": parameters, "InvalidParameters": missing})
        elif operation == "GetSecretValue" and ids:
            arn = self._find_arn(service, ids[0])
            if arn in values:
                await answer_json(http, 200, {"ARN": arn, "Name": ids[0], "SecretString": values[arn]})
            else:
                message = "Secrets Manager can't find the specified secret."
                await answer_error(http, 400, ApiError("ResourceNotFoundException", message))
        else:
            error = ApiError("ValidationException", f"The gateway does not know this call of `{operation}`.")
            await answer_error(http, 400, error)

    def _find_arn(self, service: str, id: str) -> str:
        return make_secret_arn(f"{service}:{id}", self._prefix)


def make_secret_arn(reference: str, prefix: str) -> str:
    """Return the ARN of a secret on this machine.

    Args:
        reference: What `aws.secrets` says of it.
        prefix: The region and account of ARNs.

    Example:
        >>> make_secret_arn("ssm:/app/key", "eu-central-1:000000000000")
        'arn:aws:ssm:eu-central-1:000000000000:parameter/app/key'
    """
    service, _, id = reference.partition(":")
    if id.startswith("arn:"):
        return id
    if service == "ssm":
        return f"arn:aws:ssm:{prefix}:parameter/{id.lstrip('/')}"
    return f"arn:aws:secretsmanager:{prefix}:secret:{find_resource(reference) or id}-local0"


def read_ids(body: bytes) -> list[str]:
    """Return the names or ARNs that a call asks for; none for a malformed call."""
    try:
        call: dict[str, Any] = json.loads(body)
        ids = call["Names"] if "Names" in call else [call["SecretId"]]
    except (ValueError, LookupError, TypeError):
        return []
    return [id for id in ids if isinstance(id, str)]
