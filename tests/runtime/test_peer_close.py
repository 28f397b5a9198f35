"""What `peer.close` takes."""

from __future__ import annotations

from typing import Any

import pytest

from nitro_py.runtime.counters import Counters
from nitro_py.runtime.topics.local_hub import LocalHub
from tests.runtime.peers import make_peer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000.0, "", "`int`, got `float`"),
        ("1000", "", "`int`, got `str`"),
        (None, "", "`int`, got `NoneType`"),
        (1000, b"bye", "`str`, got `bytes`"),
        (1000, None, "`str`, got `NoneType`"),
    ],
)
async def test_code_and_reason_of_other_types_are_errors_and_close_nothing(
    code: Any, reason: Any, expected: str
) -> None:
    peer, channel = make_peer("1", LocalHub(Counters()))
    with pytest.raises(TypeError, match=expected):
        await peer.close(code, reason)
    assert channel.closes == []


@pytest.mark.parametrize("code", [True, 999, 1005, 1006, 1015, 2999, 5000, 10**9])
async def test_codes_that_no_frame_can_have_are_errors(code: int) -> None:
    peer, channel = make_peer("1", LocalHub(Counters()))
    with pytest.raises(ValueError, match="cannot be sent"):
        await peer.close(code)
    assert channel.closes == []


async def test_half_a_surrogate_pair_is_no_reason_to_stay_open() -> None:
    peer, channel = make_peer("1", LocalHub(Counters()))
    await peer.close(4000, "\ud83d")
    assert channel.closes == [(4000, "\N{REPLACEMENT CHARACTER}")]
