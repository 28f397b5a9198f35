"""Alarms of the stack: when they go off, computed from their own expressions and thresholds."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import pytest

from nitro_presets.aws_lambda.deploy.functions import ORDERED_TIMEOUT
from nitro_presets.aws_lambda.deploy.template import TemplateOptions
from tests.presets.aws_lambda.deploy.stacks import FULL, OPTIONS, render_stack

API = OPTIONS["websocket+http-api"]
COMPARISONS = {"GreaterThanThreshold": operator.gt}
ERRORS = {"HttpErrorsAlarm", "WebSocketErrorsAlarm"}
THROTTLES = {"HttpThrottlesAlarm", "WebSocketThrottlesAlarm"}
LETTERS = {"DeadLettersAlarm", "LostMessagesAlarm"}


def find_alarms(options: TemplateOptions) -> dict[str, dict[str, Any]]:
    """Return the properties of all alarms."""
    resources = render_stack(options)["Resources"]
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def goes_off(alarm: dict[str, Any], **metrics: int | None) -> bool:
    """Return whether an alarm goes off, as CloudWatch computes its value; `None` is a metric without a value."""
    [value] = [one["Expression"] for one in alarm["Metrics"] if "Expression" in one]
    names = {one["Id"] for one in alarm["Metrics"] if "MetricStat" in one}
    assert names == metrics.keys()
    # `IF` of CloudWatch computes both values too, and a division by zero is a missing value there.
    functions = {
        "IF": lambda condition, yes, no: yes if condition else no,
        "FILL": lambda metric, filling: filling if metric is None else metric,
    }
    try:
        result = eval(value, {"__builtins__": {}}, {**functions, **metrics})
    except (TypeError, ZeroDivisionError):
        assert alarm["TreatMissingData"] == "notBreaching"
        return False
    return bool(COMPARISONS[alarm["ComparisonOperator"]](result, alarm["Threshold"]))


@pytest.mark.parametrize("options", [API, FULL], ids=["api", "url"])
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_errors_are_a_rate(options: TemplateOptions, name: str) -> None:
    alarm = find_alarms(options)[name]
    assert not goes_off(alarm, errors=0, calls=0)
    assert not goes_off(alarm, errors=None, calls=None)
    assert not goes_off(alarm, errors=2, calls=2)
    assert goes_off(alarm, errors=3, calls=3)
    assert not goes_off(alarm, errors=50, calls=1000)
    assert goes_off(alarm, errors=51, calls=1000)


@pytest.mark.parametrize("name", sorted(THROTTLES))
def test_throttles_are_a_rate_even_if_no_call_gets_in(name: str) -> None:
    alarm = find_alarms(FULL)[name]
    assert not goes_off(alarm, throttles=0, calls=0)
    assert not goes_off(alarm, throttles=2, calls=None)
    assert goes_off(alarm, throttles=3, calls=None)
    assert not goes_off(alarm, throttles=10, calls=990)
    assert goes_off(alarm, throttles=11, calls=989)


@pytest.mark.parametrize(
    ("options", "metrics"),
    [
        (API, {"errors": ("AWS/ApiGateway", "5xx"), "calls": ("AWS/ApiGateway", "Count")}),
        (FULL, {"errors": ("AWS/Lambda", "Url5xxCount"), "calls": ("AWS/Lambda", "UrlRequestCount")}),
    ],
    ids=["api", "url"],
)
def test_http_errors_are_status_codes(options: TemplateOptions, metrics: dict[str, tuple[str, str]]) -> None:
    found = {
        one["Id"]: one["MetricStat"]["Metric"]
        for one in find_alarms(options)["HttpErrorsAlarm"]["Metrics"]
        if "MetricStat" in one
    }
    assert {name: (one["Namespace"], one["MetricName"]) for name, one in found.items()} == metrics
    of = {"ApiId": {"Ref": "HttpApi"}, "FunctionName": {"Ref": "HttpFunction"}}
    for metric in found.values():
        [dimension] = metric["Dimensions"]
        assert dimension["Value"] == of[dimension["Name"]]


def test_one_dead_letter_is_an_alarm() -> None:
    alarms = find_alarms(FULL)
    for name in LETTERS:
        alarm = alarms[name]
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        compare = COMPARISONS[alarm["ComparisonOperator"]]
        assert compare(1, alarm["Threshold"])
        assert not compare(0, alarm["Threshold"])


def test_queue_is_watched_where_there_is_one() -> None:
    assert "MessageAgeAlarm" not in find_alarms(replace(FULL, ordered=False))
    alarm = find_alarms(FULL)["MessageAgeAlarm"]
    assert alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["MessageQueue", "QueueName"]}}]
    # A message whose function died is no alarm.
    assert alarm["Threshold"] > 2 * ORDERED_TIMEOUT


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_alarm_goes_to_the_topic(options: TemplateOptions) -> None:
    alarms = find_alarms(options)
    assert alarms
    for alarm in alarms.values():
        topic = {"Fn::If": ["AlarmTopicGiven", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["AlarmActions"] == topic
    assert (ERRORS | THROTTLES) & alarms.keys()
