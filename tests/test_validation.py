"""Validation of what clients send, beside what the suite of the contract tries."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from nitro_py import Message, MessageValidationError
from nitro_py.validation import validate_message


class Sample(BaseModel):
    value: float
    other: Any = None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1E+400", "1" * 400 + ".0"])
@pytest.mark.parametrize("field", ['{"value": %s}', '{"value": 1, "other": [%s]}'])
@pytest.mark.parametrize("encode", [str, str.encode])
def test_numbers_that_no_answer_can_hold_are_no_json(number: str, field: str, encode: Any) -> None:
    with pytest.raises(MessageValidationError) as caught:
        validate_message(Sample, Message(encode(field % number)))
    assert [issue["type"] for issue in caught.value.issues] == ["json_invalid"]


@pytest.mark.parametrize("other", ["NaN and Infinity", "1e999", "1" * 400])
def test_text_may_name_such_numbers(other: str) -> None:
    assert validate_message(Sample, Message(f'{{"value": 1e300, "other": "{other}"}}')) == Sample(
        value=1e300, other=other
    )
