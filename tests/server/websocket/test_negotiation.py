"""What is agreed on before messages are compressed."""

from __future__ import annotations

import pytest

from nitro_py.server.websocket.deflate import NAME, WRITERS, negotiate, write_compressed
from nitro_py.server.websocket.frames import write_message

NINE = "; server_max_window_bits=9"
ANSWER = f"{NAME}; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "answer", "window"),
    [
        ([NAME], ANSWER, 15),
        ([f"{NAME}; client_max_window_bits"], ANSWER, 15),
        ([f"{NAME}; client_max_window_bits=9; client_no_context_takeover"], ANSWER, 15),
        ([f'{NAME}; server_max_window_bits="12"'], f"{ANSWER}; server_max_window_bits=12", 12),
        ([f"x-other; a=1, {NAME}"], ANSWER, 15),
        (["x-other", NAME], ANSWER, 15),
        # The first offer that can be kept.
        (
            [f"{NAME}; server_max_window_bits=8, {NAME}; server_max_window_bits=9"],
            f"{ANSWER}; server_max_window_bits=9",
            9,
        ),
        ([f"{NAME}; unheard_of, {NAME}"], ANSWER, 15),
    ],
)
def test_first_offer_that_can_be_kept_is_taken(offers: list[str], answer: str, window: int) -> None:
    assert negotiate(offers) == (answer, WRITERS[window])


@pytest.mark.parametrize(
    "parameters",
    [
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=8",
        "server_max_window_bits=16",
        "server_max_window_bits=09",
        "client_max_window_bits=7",
        "client_max_window_bits=",
        "server_no_context_takeover=1",
        "client_no_context_takeover; client_no_context_takeover",
        "unheard_of",
    ],
)
def test_offer_that_cannot_be_kept_is_declined(parameters: str) -> None:
    assert negotiate([f"{NAME}; {parameters}"]) is None


def test_nothing_offered_gives_nothing() -> None:
    assert negotiate([]) is None
    assert negotiate(["x-webkit-deflate-frame"]) is None


@pytest.mark.parametrize("message", ["", "short", b"bytes"])
def test_short_messages_go_as_they_are(message: str | bytes) -> None:
    assert write_compressed(15, message) == write_message(message)
