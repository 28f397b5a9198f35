"""The setting `aws.environment`: variables that both functions get."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from nitro_presets.aws_lambda.deploy.intrinsics import read_value
from nitro_presets.aws_lambda.stack_variables import SECRETS, STACK_VARIABLES
from nitro_py.preset import mask

# What Lambda takes: the names and values of all variables together, in bytes.
LIMIT = 4096
# What the variables of ours take of it, with names of the usual length.
OWN_BYTES = 1024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_RESERVED = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "TZ",
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
    }
)
_RESERVED_PREFIX = "AWS_LAMBDA_"

# A text, or a mapping that CloudFormation computes a text from.
ComputedText = Annotated[
    str | dict[str, JsonValue], BeforeValidator(read_value), Field(examples=["!Ref Table", "a text"])
]


# What a validator raises is the phrase that follows "expected" in the error.
def _check_name(name: str) -> str:
    if name == SECRETS or name in STACK_VARIABLES:
        raise ValueError("another name, as the stack itself sets this one")
    if name in _RESERVED or name.startswith(_RESERVED_PREFIX):
        raise ValueError("another name, as Lambda reserves this one")
    if _NAME.fullmatch(name) is None:
        raise ValueError("a name of two or more letters, digits and `_` that starts with a letter")
    return name


def _check_values(variables: dict[str, str | dict[str, JsonValue]]) -> dict[str, str | dict[str, JsonValue]]:
    if any("\0" in text for text in _list_texts(variables)):
        raise ValueError("values without the character NUL, which no variable can have")
    size = count_bytes(variables)
    most = LIMIT - OWN_BYTES
    if size > most:
        raise ValueError(
            f"at most {most:,} bytes of names and values, as Lambda takes {LIMIT:,} with those of the stack "
            f"(these have {size:,})"
        )
    return variables


VariableName = Annotated[str, AfterValidator(_check_name)]
FunctionVariables = Annotated[dict[VariableName, ComputedText], AfterValidator(_check_values)]


def count_bytes(variables: Mapping[str, object]) -> int:
    """Count the bytes of names and values; what CloudFormation computes counts as far as it is text.

    Example:
        >>> count_bytes({"LEVEL": "é", "TABLE": {"Ref": "Table"}})
        12
    """
    return sum(len(text.encode()) for text in (*variables, *_list_texts(variables)))


def _list_texts(variables: Mapping[str, object]) -> list[str]:
    values = [value.get("Fn::Sub") if isinstance(value, Mapping) else value for value in variables.values()]
    return [value for value in values if isinstance(value, str)]


def describe_possible_secrets(variables: Mapping[str, JsonValue]) -> Iterator[str]:
    """Describe values that the template shows and that may be secrets."""
    for name, value in variables.items():
        if mask(value, name) != value:
            yield f"`aws.environment.{name}` may be a secret, and its value stands in the template"
