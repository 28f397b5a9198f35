"""The setting `aws.secrets`: where the values of variables are kept, and who may read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from nitro_presets.aws_lambda.deploy.function_environment import VariableName

_PARAMETER = re.compile(r"ssm:(?P<arn>arn:[\w-]+:ssm:\S+:parameter/\S+)|ssm:(?P<name>[\w./-]+)")
_SECRET = re.compile(
    r"secretsmanager:(?:(?P<arn>arn:[\w-]+:secretsmanager:\S+:secret:\S+)|!Ref (?P<resource>[A-Za-z0-9]+)"
    r"|(?P<name>[\w/+=.@-]+))"
)
# What Secrets Manager adds to the names of secrets in their ARNs.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")
_ANY_SUFFIX = "-??????"
_OF_ACCOUNT = "${AWS::Region}:${AWS::AccountId}"


# What a validator raises is the phrase that follows "expected" in the error.
def _check_reference(reference: str) -> str:
    if _PARAMETER.fullmatch(reference) is None and _SECRET.fullmatch(reference) is None:
        raise ValueError(
            "`ssm:` with the name or ARN of a parameter, or `secretsmanager:` with the name or ARN of a secret, "
            "or with `!Ref` and a resource"
        )
    return reference


SecretReference = Annotated[str, AfterValidator(_check_reference), Field(examples=["ssm:/app/api-key"])]
SecretReferences = dict[VariableName, SecretReference]


def find_resource(reference: str) -> str | None:
    """Return the resource of the template that a reference names, if it names one.

    Example:
        >>> find_resource("secretsmanager:!Ref Password")
        'Password'
    """
    found = _SECRET.fullmatch(reference)
    return found["resource"] if found is not None else None


def write_variable(references: Mapping[str, str], refresh: float) -> str | dict[str, str]:
    """Return the variable that tells a function where its secrets are."""
    resources = {name: find_resource(reference) for name, reference in references.items()}
    names = {
        name: reference if resources[name] is None else f"secretsmanager:${{{resources[name]}}}"
        for name, reference in references.items()
    }
    text = json.dumps({"refresh": refresh, "names": names}, separators=(",", ":"))
    return {"Fn::Sub": text} if any(resources.values()) else text


def list_statements(references: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """List the statements that allow to read the secrets, and nothing else."""
    parameters = [_find_parameter(reference) for reference in references.values() if reference.startswith("ssm:")]
    if parameters:
        yield {"Effect": "Allow", "Action": ["ssm:GetParameters"], "Resource": parameters}
    secrets = [_find_secret(reference) for reference in references.values() if not reference.startswith("ssm:")]
    if secrets:
        yield {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": secrets}


def _find_parameter(reference: str) -> str | dict[str, str]:
    found = _PARAMETER.fullmatch(reference)
    assert found is not None
    if found["arn"]:
        return str(found["arn"])
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:ssm:{_OF_ACCOUNT}:parameter/{found['name'].lstrip('/')}"}


def _find_secret(reference: str) -> str | dict[str, str]:
    found = _SECRET.fullmatch(reference)
    assert found is not None
    if found["resource"]:
        return {"Ref": found["resource"]}
    if found["arn"]:
        return str(found["arn"]) if _SUFFIX.search(found["arn"]) else f"{found['arn']}{_ANY_SUFFIX}"
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:secretsmanager:{_OF_ACCOUNT}:secret:{found['name']}{_ANY_SUFFIX}"}
