"""Stages: stacks of their own from one bundle, which differ by the parameters of its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from nitro_presets.aws_lambda.deploy.function_environment import VariableName
from nitro_presets.aws_lambda.deploy.template import (
    ALARM_TOPIC,
    LOG_RETENTION_DAYS,
    STAGE_PARAMETERS,
    STAGE_VARIABLE,
)
from nitro_py.errors import UsageError
from nitro_py.preset import Count, SettingsTable

StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Memory = Annotated[int, Field(ge=128, le=10240)]
AlarmTopic = Annotated[
    str,
    Field(
        pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256})?$",
        examples=["arn:aws:sns:eu-central-1:123456789012:alarms"],
    ),
]


# What a validator raises is the phrase that follows "expected" in the error.
def _check_days(days: int) -> int:
    if days not in LOG_RETENTION_DAYS:
        raise ValueError(f"one of {', '.join(map(str, LOG_RETENTION_DAYS))}")
    return days


class StageTable(SettingsTable):
    """What a stage has in place of the settings of the same names; all are parameters of the template."""

    alarms: AlarmTopic | None = Field(default=None, description="ARN of the SNS topic that alarms are sent to.")
    environment: dict[VariableName, str] = Field(
        default={}, description="Values of variables of `aws.environment`, as text."
    )
    log_days: Annotated[Count, AfterValidator(_check_days)] | None = Field(
        default=None, description="Days that logs are kept."
    )
    memory: Memory | None = Field(default=None, description="Memory of a function, in MB.")
    throttle_burst: Count | None = Field(default=None, description="Requests that each API takes at once.")
    throttle_rate: Count | None = Field(default=None, description="Requests a second that each API takes.")


def list_stage_settings(stages: dict[str, StageTable]) -> frozenset[str]:
    """List the settings that any stage has, which are parameters of the template."""
    return frozenset(name for stage in stages.values() for name in stage.model_dump(exclude_none=True))


def name_variables(stages: Mapping[str, StageTable]) -> dict[str, str]:
    """Name the parameters of the variables that any stage has a value of its own for: variable → parameter."""
    names = {name for stage in stages.values() for name in stage.environment}
    return {name: name_parameter(name) for name in sorted(names)}


def name_parameter(variable: str) -> str:
    """Return the name of a variable's parameter, which has letters and digits only.

    Example:
        >>> name_parameter("API_URL")
        'StageVariableAPIURL'
    """
    return f"{STAGE_VARIABLE}{variable.replace('_', '')}"


def find_stage(stages: dict[str, StageTable], name: str) -> StageTable:
    """Return the settings of a stage.

    Raises:
        UsageError: There is no such stage.
    """
    found = stages.get(name)
    if found is None:
        listed = ", ".join(f"`{known}`" for known in sorted(stages))
        hint = f"Expected one of {listed}." if stages else f"Add `[aws.stages.{name}]` to the configuration."
        raise UsageError(f"There is no stage `{name}`.", hint=hint)
    return found


def list_parameters(stage: StageTable, alarms: str | None) -> dict[str, str]:
    """List what a stage sets: parameter → value.

    Args:
        stage: The stage, without any setting where none was named.
        alarms: The topic of all stages that have none of their own.
    """
    topic = alarms if stage.alarms is None else stage.alarms
    given = stage.model_dump(exclude_none=True)
    chosen = {
        parameter: str(given[setting]) for parameter, setting in STAGE_PARAMETERS.values() if setting in given
    }
    chosen |= {name_parameter(name): value for name, value in stage.environment.items()}
    return chosen if topic is None else {**chosen, ALARM_TOPIC: topic}
