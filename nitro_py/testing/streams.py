"""Answers that an app sends piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nitro_py.headers import Headers
from nitro_py.testing.answers import TestResponse
from nitro_py.testing.asgi_conversation import AsgiConversation
from nitro_py.testing.events import ServerEvent, parse_events


class TestStream:
    """An answer whose content comes piece by piece; made by `Client.stream`.

    Args:
        conversation: The ASGI conversation.
        status: The HTTP status.
        headers: The header fields.

    Example:
        async with app.stream("GET", "/clock") as stream:
            async for event in stream.events():
                print(event.data)
    """

    __test__ = False

    def __init__(self, conversation: AsgiConversation, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self._conversation = conversation
        self._ended = False
        self._chunks = self._read()
        self._events = parse_events(self._chunks)

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the pieces of the content as the app sends them, to its end.

        Raises:
            TimeoutError: The next piece does not come in time.
        """
        return self._chunks

    def events(self) -> AsyncIterator[ServerEvent]:
        """Return the server-sent events of the content; a second call goes on where the first has stopped.

        Raises:
            TimeoutError: The next piece does not come in time.
        """
        return self._events

    async def read(self) -> TestResponse:
        """Wait for the rest of the content, and return it as a whole answer."""
        body = b"".join([chunk async for chunk in self._chunks])
        return TestResponse(self.status, self.headers, body)

    @property
    def head(self) -> TestResponse:
        """The answer without its content."""
        return TestResponse(self.status, self.headers, b"")

    async def _read(self) -> AsyncIterator[bytes]:
        while not self._ended:
            message = await self._conversation.take("piece of its answer")
            if message is None:
                raise AssertionError(f"The app broke off its answer to {self._conversation.name}.")
            self._ended = not message.get("more_body", False)
            if body := message.get("body"):
                yield body


async def open_stream(conversation: AsgiConversation) -> TestStream:
    """Wait for an answer's status and header fields, and return it as a stream."""
    message = await conversation.take("answer")
    if message is None:
        raise AssertionError(f"The app gave no answer to {conversation.name}.")
    return TestStream(conversation, message["status"], Headers.from_raw(message.get("headers", ())))


async def read_whole(conversation: AsgiConversation) -> TestResponse:
    """Wait for a whole answer, and return it."""
    stream = await open_stream(conversation)
    return await stream.read()
