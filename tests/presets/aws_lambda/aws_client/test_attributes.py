"""Our attribute values, compared with boto3's."""

from __future__ import annotations

import math
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.aws_client.attributes import marshal, marshal_item, unmarshal, unmarshal_value

VALUES: list[Any] = [
    "",
    "grüße",
    0,
    -5,
    10**30,
    True,
    False,
    None,
    [],
    {},
    {"a": [1, {"b": None}], "": "x"},
    frozenset({"a", "b"}),
]


# Not the text of a set: its order differs from process to process.
@pytest.mark.parametrize("value", VALUES, ids=lambda value: "set" if isinstance(value, frozenset) else repr(value))
def test_value_is_written_as_boto3_does_and_read_back(value: Any) -> None:
    written = marshal(value)
    expected = TypeSerializer().serialize(value)
    if "SS" in expected:
        expected["SS"].sort()
    assert written == expected
    assert TypeDeserializer().deserialize(written) == value
    back = unmarshal_value(written)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "written", "back"),
    [
        (1.5, {"N": "1.5"}, 1.5),
        (1e300, {"N": "1e+300"}, 1e300),
        (2.0, {"N": "2.0"}, 2.0),
        (b"\x00\xff", {"B": "AP8="}, b"\x00\xff"),
        ((1, "a"), {"L": [{"N": "1"}, {"S": "a"}]}, [1, "a"]),
        ({"a"}, {"SS": ["a"]}, frozenset({"a"})),
    ],
    ids=repr,
)
def test_value_is_written_and_read_back(value: object, written: dict[str, Any], back: object) -> None:
    assert marshal(value) == written
    assert unmarshal_value(written) == back


@pytest.mark.parametrize("value", [object(), {1}, {"a": object()}], ids=["object", "set", "item"])
def test_value_of_no_type_of_dynamodb_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        marshal(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, set()], ids=repr)
def test_value_that_dynamodb_refuses_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="DynamoDB holds"):
        marshal(value)


def test_other_types_are_read() -> None:
    assert unmarshal({"a": {"NS": ["1", "2.5"]}, "b": {"BS": ["AA=="]}}) == {
        "a": frozenset({1, 2.5}),
        "b": frozenset({b"\x00"}),
    }
    with pytest.raises(ValueError, match="no type `Q`"):
        unmarshal({"a": {"Q": 1}})


def test_item_is_written_by_name() -> None:
    assert marshal_item({":a": 1, ":b": "x"}) == {":a": {"N": "1"}, ":b": {"S": "x"}}
