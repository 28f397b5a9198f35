"""A client of an app in this process: HTTP, streams and WebSockets without a server or a port."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from nitro_py.build.config.load import LoadedConfig, load_config
from nitro_py.build.inspect.load import raise_all
from nitro_py.build.pipeline import make_manifest
from nitro_py.build.validate import check_flag
from nitro_py.capabilities import Mode
from nitro_py.encoding import encode_frame, to_json
from nitro_py.headers import Headers
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.topics.names import check_namespace, check_topic
from nitro_py.testing.answers import TestResponse
from nitro_py.testing.asgi_conversation import AsgiConversation, make_scope, within
from nitro_py.testing.sockets import TestSocket, WebSocketConversation, offer, open_socket
from nitro_py.testing.streams import TestStream, open_stream, read_whole

# How long each wait of a test may take, in seconds.
TIMEOUT = 5.0
# How long plugins may take to start or to stop, in seconds.
PLUGIN_TIMEOUT = 30.0


class Client:
    """A client of an app in this process; made by `client`.

    Args:
        application: The app.
        timeout: How long each wait may take, in seconds.

    Example:
        async with client() as app:
            answer = await app.post("/api/orders", json={"item": "tea"})
            assert answer.status == 201
    """

    def __init__(self, application: Application, *, timeout: float = TIMEOUT) -> None:
        self._application = application
        self._timeout = timeout

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: Mapping[str, Any] | None = None,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> TestResponse:
        """Send a request, wait for the whole answer, and return it.

        Args:
            method: The method, such as `GET`.
            path: The path, percent-encoded, with or without a query.
            json: A value that is sent as JSON.
            data: Fields that are sent as a form, `application/x-www-form-urlencoded`.
            content: Text or bytes that are sent as they are.
            headers: Header fields.
            params: Query parameters.

        Raises:
            ValueError: More than one of `content`, `data` and `json` is given, or the path has no slash first.
            TimeoutError: The answer is not complete in time; a stream needs `stream`.
        """
        conversation = self._ask(method, path, json, data, content, headers, params)
        problem = f"{conversation.name} gave no whole answer"
        try:
            answer = await within(self._timeout, read_whole(conversation), problem)
        except BaseException:
            await conversation.drop()
            raise
        conversation.leave({"type": "http.disconnect"})
        await conversation.finish()
        return answer

    async def get(self, path: str, **options: Any) -> TestResponse:
        """Send a `GET`; take what `request` takes."""
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Any) -> TestResponse:
        """Send a `HEAD`; take what `request` takes."""
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Any) -> TestResponse:
        """Send a `POST`; take what `request` takes."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> TestResponse:
        """Send a `PUT`; take what `request` takes."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> TestResponse:
        """Send a `PATCH`; take what `request` takes."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> TestResponse:
        """Send a `DELETE`; take what `request` takes."""
        return await self.request("DELETE", path, **options)

    async def options(self, path: str, **options: Any) -> TestResponse:
        """Send an `OPTIONS`; take what `request` takes."""
        return await self.request("OPTIONS", path, **options)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: Mapping[str, Any] | None = None,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[TestStream]:
        """Send a request and read its answer piece by piece; at the end of the block the client leaves.

        Takes what `request` takes.

        Raises:
            TimeoutError: A piece does not come in time, or the app goes on after the client has left.
        """
        conversation = self._ask(method, path, json, data, content, headers, params, room=1)
        try:
            yield await open_stream(conversation)
        except BaseException:
            await conversation.drop()
            raise
        conversation.leave({"type": "http.disconnect"})
        await conversation.finish()

    @asynccontextmanager
    async def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
    ) -> AsyncIterator[TestSocket]:
        """Open a WebSocket; at the end of the block it is closed, and the app's close hook has run.

        Args:
            path: The path, percent-encoded, with or without a query.
            headers: Header fields of the handshake.
            subprotocols: The subprotocols to offer.
            origin: The origin of the page that opens the socket; by default none, as with other clients.

        Raises:
            UpgradeRefused: The app does not open the socket.
            TimeoutError: The app takes too long.
        """
        fields = {**Headers(headers or {}), **offer(subprotocols, origin)}
        scope = make_scope("websocket", path, scheme="ws", headers=fields)
        scope["subprotocols"] = list(subprotocols)
        scope["extensions"] = {"websocket.http.response": {}}
        conversation = WebSocketConversation(self._application, scope, timeout=self._timeout)
        try:
            socket = await open_socket(conversation)
            yield socket
        except BaseException:
            await conversation.drop()
            raise
        await socket.close()

    async def publish(self, topic: str, data: object, namespace: str | None = None) -> None:
        """Publish a message to a topic from outside, as `nitropy publish` does.

        Args:
            topic: The topic's name.
            data: The message: everything that `Peer.send` takes.
            namespace: The namespace whose subscribers get it; `None` for all.
        """
        check_topic(topic)
        check_namespace(namespace)
        await self._application.app.hub.publish(topic, encode_frame(data), namespace=namespace)

    def _ask(
        self,
        method: str,
        path: str,
        json: object,
        data: Mapping[str, Any] | None,
        content: str | bytes | None,
        headers: Mapping[str, str] | None,
        params: Mapping[str, Any] | None,
        room: int = 0,
    ) -> AsgiConversation:
        body, kind = encode_content(json, data, content)
        fields = {**({"content-type": kind} if kind else {}), **Headers(headers or {})}
        if body or method in ("POST", "PUT", "PATCH"):
            fields.setdefault("content-length", str(len(body)))
        scope = make_scope("http", path, scheme="http", headers=fields, params=params)
        scope["method"] = method.upper()
        conversation = AsgiConversation(self._application, scope, timeout=self._timeout, room=room)
        conversation.put({"type": "http.request", "body": body, "more_body": False})
        return conversation


@asynccontextmanager
async def client(
    project: str | Path = ".",
    *,
    mode: Mode = "production",
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - it holds for each wait inside the block
) -> AsyncIterator[Client]:
    """Start a project's app in this process, plugins included, and stop it at the end of the block.

    No port is opened, and no file is written. Handlers are imported once in a process: all tests share the state
    of their modules.

    Args:
        project: The project's folder.
        mode: The mode whose route files and settings are used.
        timeout: How long each wait may take, in seconds.

    Raises:
        ConfigError: The configuration is wrong.
        BuildError: The handlers cannot be built.
        TimeoutError: A plugin takes too long to start or to stop.

    Example:
        async with client() as app:
            answer = await app.get("/api/hello")
            assert answer.json() == {"message": "hello"}
    """
    loaded = await asyncio.to_thread(load_project_config, Path(project), mode)
    manifest = await asyncio.to_thread(make_manifest, loaded)
    # A project that the build refuses must not pass in a test.
    raise_all(check_flag(manifest, loaded))
    application = Application(App(loaded.root, manifest, public_dir=loaded.config.public_dir))
    path = list(sys.path)
    try:
        await within(PLUGIN_TIMEOUT, application.start(), "The app did not start")
        try:
            yield Client(application, timeout=timeout)
        finally:
            await within(PLUGIN_TIMEOUT, application.app.stop(), "The app did not stop")
    finally:
        sys.path[:] = path


def load_project_config(folder: Path, mode: Mode) -> LoadedConfig:
    """Return the configuration of the project in a folder."""
    return load_config(folder.resolve(), mode=mode, overrides={}, environ=os.environ)


def encode_content(
    json: object, data: Mapping[str, Any] | None, content: str | bytes | None
) -> tuple[bytes, str | None]:
    """Return a request's body and its content type.

    Raises:
        ValueError: More than one body is given.
    """
    if sum(part is not None for part in (json, data, content)) > 1:
        raise ValueError("A request has one body: expected one of `content`, `data`, `json`, got more.")
    if content is not None:
        return (content.encode(), "text/plain; charset=utf-8") if isinstance(content, str) else (content, None)
    if data is not None:
        return urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"
    if json is not None:
        return to_json(json).encode(), "application/json"
    return b"", None
