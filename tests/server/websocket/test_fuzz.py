"""Reading any bytes at all: any split gives the same, and the same as another implementation."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as ReferenceOpcode

from nitro_py.server.websocket.frames import (
    BINARY,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    TEXT,
    FrameError,
)
from nitro_py.server.websocket.parser import read_short_message
from tests.server.websocket.events import read_all
from tests.server.websocket.raw import write_masked


def read_by_reference(data: bytes) -> list[Any]:
    """Read data by wsproto, a frame at a time as it allows, and return the same events."""
    protocol = FrameProtocol(client=False, extensions=[])
    events: list[Any] = []
    parts: list[Any] = []
    try:
        protocol.receive_bytes(data)
        for frame in protocol.received_frames():
            payload: Any = frame.payload
            if frame.opcode is ReferenceOpcode.CLOSE:
                code, reason = payload
                return [*events, (int(code), reason or "")]
            if frame.opcode in (ReferenceOpcode.PING, ReferenceOpcode.PONG):
                events.append((int(frame.opcode), bytes(payload)))
                continue
            parts.append(payload if isinstance(payload, str) else bytes(payload))
            if frame.message_finished:
                events.append((int(frame.opcode), type(parts[0])().join(parts)))
                parts = []
    except ParseFailed as error:
        events.append(int(error.code))
    return events


unhurried = settings(deadline=None, max_examples=200)

frames = st.builds(
    write_masked,
    st.one_of(
        st.sampled_from(
            [FIN | TEXT, FIN | BINARY, TEXT, BINARY, CONTINUATION, FIN | CONTINUATION, FIN | PING, FIN | PONG]
        ),
        st.integers(0, 255),
    ),
    st.one_of(
        st.text(max_size=40).map(str.encode),
        st.binary(max_size=140),
        st.integers(990, 5010).map(lambda code: code.to_bytes(2) + b"why"),
    ),
    mask=st.binary(min_size=4, max_size=4),
)


@unhurried
@given(st.lists(frames, max_size=8).map(b"".join), st.lists(st.integers(0, 2000), max_size=12))
def test_any_split_gives_what_the_reference_gives(data: bytes, cuts: list[int]) -> None:
    whole = read_all(data)
    assert read_all(data, cuts) == whole
    assert whole == read_by_reference(data)


@unhurried
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_garbage_gives_events_or_a_code(data: bytes, cuts: list[int]) -> None:
    assert read_all(data, cuts) == read_all(data)
    assert read_all(data, cuts, compression=True) == read_all(data, compression=True)


@unhurried
@given(frames)
def test_short_way_gives_what_the_parser_gives(data: bytes) -> None:
    events: list[Any] = []
    try:
        message = read_short_message(data)
    except FrameError as error:
        events = [error.code]
    else:
        if message is None:
            return
        events = [(TEXT if isinstance(message, str) else BINARY, message)]
    assert read_all(data) == events
