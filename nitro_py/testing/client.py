"""A client of an app in this process: HTTP, streams and WebSockets without a server or a port."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack
from urllib.parse import urlsplit

from nitro_py.build.inspect.load import raise_all
from nitro_py.build.pipeline import make_manifest
from nitro_py.build.validate import check_flag
from nitro_py.capabilities import Mode
from nitro_py.encoding import encode_frame
from nitro_py.headers import Headers
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.settings import StorageSettings
from nitro_py.runtime.topics.names import check_namespace, check_topic
from nitro_py.testing.answers import RedirectError, TestResponse, UpgradeRefused
from nitro_py.testing.asgi_conversation import AsgiConversation, make_scope, within
from nitro_py.testing.cookies import Cookies
from nitro_py.testing.environment import load_project_config, set_variables
from nitro_py.testing.failures import AppFailures
from nitro_py.testing.requests import MAX_REDIRECTS, RequestOptions, TestRequest, add_query, make_request
from nitro_py.testing.sockets import TestSocket, WebSocketConversation, offer, open_socket
from nitro_py.testing.streams import TestStream, open_stream, read_whole

# How long each wait of a test may take, in seconds.
TIMEOUT = 5.0
# How long plugins may take to start or to stop, in seconds.
PLUGIN_TIMEOUT = 30.0
BASE_URL = "http://localhost"


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """What the requests of a client have in common.

    Args:
        base_url: The scheme and the host that requests name.
        follow_redirects: Whether redirects are followed, unless a request says so itself.
        timeout: How long each wait may take, in seconds.
    """

    base_url: str = BASE_URL
    follow_redirects: bool = False
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"`{self.base_url}` is no base URL: expected one such as `{BASE_URL}`.")

    def url_of(self, path: str, *, socket: bool = False) -> str:
        """Return the URL of a path.

        Raises:
            ValueError: The path does not start with a slash.
        """
        if not path.startswith("/"):
            raise ValueError(f"`{path}` is no path: expected one that starts with `/`.")
        base = self.base_url.rstrip("/")
        return f"{base.replace('http', 'ws', 1) if socket else base}{path}"


class Client:
    """A client of an app in this process; made by `client` and by `new_client`.

    What a handler, a hook, the source of an event stream or a task raises is raised in the test, unless it is an
    `HTTPError`: by the call that waits for the app then, and by the end of the block of `client` at the latest.

    Args:
        application: The app.
        options: How the client behaves.
        failures: The failures that are raised in the test.
        ignored: The failures that are not.
        raise_errors: Whether failures that this client causes are raised.

    Attributes:
        cookies: The cookies that the app has set, and those of the test; sent with every request and handshake.

    Example:
        async with client() as app:
            answer = await app.post("/api/orders", json={"item": "tea"})
            assert answer.status == 201
    """

    def __init__(
        self,
        application: Application,
        *,
        options: RequestDefaults,
        failures: AppFailures,
        ignored: AppFailures,
        raise_errors: bool,
    ) -> None:
        self.cookies = Cookies(options.base_url)
        self._application = application
        self._options = options
        self._raised = failures
        self._ignored = ignored
        self._failures = failures if raise_errors else ignored

    def new_client(
        self,
        *,
        base_url: str | None = None,
        follow_redirects: bool | None = None,
        raise_errors: bool | None = None,
        cookies: Mapping[str, str] | None = None,
    ) -> Client:
        """Return another client of the same app, with cookies of its own: another person at another browser.

        Args:
            base_url: The scheme and the host that requests name; by default those of this client.
            follow_redirects: Whether redirects are followed; by default as this client does.
            raise_errors: Whether failures are raised in the test; by default as this client does.
            cookies: The cookies that it begins with.

        Example:
            other = app.new_client()
            await app.post("/login", data={"name": "ada"})
            assert (await other.get("/account")).status == 401
        """
        options = replace(
            self._options,
            base_url=self._options.base_url if base_url is None else base_url,
            follow_redirects=self._options.follow_redirects if follow_redirects is None else follow_redirects,
        )
        made = Client(
            self._application,
            options=options,
            failures=self._raised,
            ignored=self._ignored,
            raise_errors=self._failures.raised if raise_errors is None else raise_errors,
        )
        made.cookies.update(cookies or {})
        return made

    async def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a request, wait for the whole answer, and return it.

        Args:
            method: The method, such as `GET`.
            path: The path, percent-encoded, with or without a query.
            options: What `RequestOptions` lists.

        Raises:
            TypeError: There is no such option.
            ValueError: More than one of `content`, `json` and form is given, or the path has no slash first.
            RedirectError: There are too many redirects, or one to another host.
            TimeoutError: The answer is not complete in time; a stream needs `stream`.
            Exception: The app raised it.

        Example:
            answer = await app.request("POST", "/avatar", files={"picture": ("me.png", b"...", "image/png")})
        """
        request = make_request(method, path, options)
        history: list[TestResponse] = []
        while True:
            conversation = self._send(request)
            problem = f"{conversation.name} gave no whole answer"
            try:
                answer = await within(self._options.timeout, read_whole(conversation), problem)
            except BaseException:
                await conversation.drop()
                raise
            following = await self._finish(request, conversation, answer, options, history)
            if following is None:
                return replace(answer, history=tuple(history))
            request = following

    async def get(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a `GET`; take what `request` takes."""
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a `HEAD`; take what `request` takes."""
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a `POST`; take what `request` takes."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a `PUT`; take what `request` takes."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a `PATCH`; take what `request` takes."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a `DELETE`; take what `request` takes."""
        return await self.request("DELETE", path, **options)

    async def options(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send an `OPTIONS`; take what `request` takes."""
        return await self.request("OPTIONS", path, **options)

    @asynccontextmanager
    async def stream(self, method: str, path: str, **options: Unpack[RequestOptions]) -> AsyncIterator[TestStream]:
        """Send a request and read its answer piece by piece; at the end of the block the client leaves.

        Takes what `request` takes.

        Raises:
            TimeoutError: A piece does not come in time, or the app goes on after the client has left.
            Exception: The app raised it.

        Example:
            async with app.stream("GET", "/clock", headers={"last-event-id": "7"}) as stream:
                event = await anext(stream.events())
        """
        request = make_request(method, path, options)
        history: list[TestResponse] = []
        while True:
            conversation = self._send(request, room=1)
            try:
                stream = await open_stream(conversation)
                self._store(request, stream.headers)
                if not self._follows(options) or request.follow(stream.head, self._url_of(request)) is None:
                    yield stream
                    break
                answer = await stream.read()
            except BaseException:
                await conversation.drop()
                raise
            following = await self._finish(request, conversation, answer, options, history)
            assert following is not None
            request = following
        conversation.leave({"type": "http.disconnect"})
        await conversation.finish()

    @asynccontextmanager
    async def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
    ) -> AsyncIterator[TestSocket]:
        """Open a WebSocket; at the end of the block it is closed, and the app's close hook has run.

        Args:
            path: The path, percent-encoded, with or without a query.
            headers: Header fields of the handshake.
            cookies: Cookies of this handshake only, beside those that the client keeps.
            params: Query parameters.
            subprotocols: The subprotocols to offer; `TestSocket.subprotocol` is the one that the app chose.
            origin: The origin of the page that opens the socket; by default none, as with other clients.

        Raises:
            UpgradeRefused: The app does not open the socket.
            TimeoutError: The app takes too long.
            Exception: The app raised it.

        Example:
            async with app.connect("/chat", subprotocols=["v2", "v1"], headers={"x-key": "1"}) as socket:
                assert socket.subprotocol == "v2"
        """
        url = self._options.url_of(add_query(path, params), socket=True)
        fields = Headers({**Headers(headers or {}), **offer(subprotocols, origin)})
        scope = make_scope("websocket", url, self._add_cookies(url, fields, cookies))
        scope["subprotocols"] = list(subprotocols)
        scope["extensions"] = {"websocket.http.response": {}}
        conversation = WebSocketConversation(
            self._application, scope, timeout=self._options.timeout, failures=self._failures
        )
        try:
            socket = await open_socket(conversation)
        except BaseException as error:
            if isinstance(error, UpgradeRefused):
                self.cookies.store(url, error.headers.getlist("set-cookie"))
            await conversation.drop()
            raise
        self.cookies.store(url, socket.headers.getlist("set-cookie"))
        try:
            yield socket
        except Exception:
            # The error may be what the test expects, and the app goes on: its close hook runs, too.
            with suppress(TimeoutError):
                await socket.leave()
            raise
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

    async def _finish(
        self,
        request: TestRequest,
        conversation: AsgiConversation,
        answer: TestResponse,
        options: RequestOptions,
        history: list[TestResponse],
    ) -> TestRequest | None:
        """End a request, and return the one that follows it."""
        conversation.leave({"type": "http.disconnect"})
        await conversation.finish()
        self._store(request, answer.headers)
        following = request.follow(answer, self._url_of(request)) if self._follows(options) else None
        if following is not None:
            if len(history) == MAX_REDIRECTS:
                raise RedirectError(
                    f"{request.method} {request.path} is redirect number {MAX_REDIRECTS + 1}.",
                    answer,
                    hint="The redirects go in a circle: send the request with `follow_redirects=False`.",
                )
            history.append(answer)
        return following

    def _follows(self, options: RequestOptions) -> bool:
        follows = options.get("follow_redirects")
        return self._options.follow_redirects if follows is None else follows

    def _url_of(self, request: TestRequest) -> str:
        return self._options.url_of(request.path)

    def _store(self, request: TestRequest, headers: Headers) -> None:
        self.cookies.store(self._url_of(request), headers.getlist("set-cookie"))

    def _add_cookies(self, url: str, headers: Headers, cookies: Mapping[str, str] | None) -> Headers:
        cookie = self.cookies.header_for(url, cookies or {})
        if cookie is None or "cookie" in headers:
            return headers
        return Headers([*headers.pairs(), ("cookie", cookie)])

    def _send(self, request: TestRequest, room: int = 0) -> AsgiConversation:
        url = self._url_of(request)
        scope = make_scope("http", url, self._add_cookies(url, request.headers, request.cookies))
        scope["method"] = request.method
        conversation = AsgiConversation(
            self._application, scope, timeout=self._options.timeout, failures=self._failures, room=room
        )
        conversation.put({"type": "http.request", "body": request.body, "more_body": False})
        return conversation


@asynccontextmanager
async def client(
    project: str | Path = ".",
    *,
    mode: Mode = "production",
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - it holds for each wait inside the block
    base_url: str = BASE_URL,
    follow_redirects: bool = False,
    raise_errors: bool = True,
    cookies: Mapping[str, str] | None = None,
) -> AsyncIterator[Client]:
    """Start a project's app in this process, plugins included, and stop it at the end of the block.

    No port is opened, and no file is written. Handlers are imported once in a process: all tests share the state
    of their modules. What the project's `.env` files set is in `os.environ` until the end of the block.

    Args:
        project: The project's folder.
        mode: The mode whose route files and settings are used.
        timeout: How long each wait may take, in seconds.
        base_url: The scheme and the host that requests name.
        follow_redirects: Whether redirects are followed, unless a request says otherwise.
        raise_errors: Whether what handlers, hooks, sources and tasks raise is raised in the test; if not, it is
            logged, and the test sees what a client would: a 500, a 1011, a stream that ends.
        cookies: The cookies that the client begins with.

    Raises:
        ConfigError: The configuration is wrong.
        BuildError: The handlers cannot be built.
        TimeoutError: A plugin takes too long to start or to stop.
        Exception: The app raised it, and no call has seen it before the end of the block.

    Example:
        async with client() as app:
            answer = await app.get("/api/hello")
            assert answer.json() == {"message": "hello"}
    """
    options = RequestDefaults(base_url=base_url, follow_redirects=follow_redirects, timeout=timeout)
    loaded = await asyncio.to_thread(load_project_config, Path(project), mode)
    manifest = await asyncio.to_thread(make_manifest, loaded)
    # A project that the build refuses must not pass in a test.
    raise_all(check_flag(manifest, loaded))
    with set_variables(loaded.env_files.variables):
        application = Application(App(loaded.root, manifest, public_dir=loaded.config.public_dir))
        # The requests of a test name no real host.
        application.app.host_check = None
        # A test begins with storages that are empty, and reaches none of those of others.
        application.app.settings = application.app.settings._replace(
            storage=StorageSettings("memory", at_broker=False)
        )
        # What `nitropy dev` refuses must not pass in a test.
        application.app.strict_contexts = True
        failures, ignored = AppFailures(raised=True), AppFailures(raised=False)
        own = failures if raise_errors else ignored
        made = Client(application, options=options, failures=failures, ignored=ignored, raise_errors=raise_errors)
        made.cookies.update(cookies or {})
        path = list(sys.path)
        reason: BaseException | None = None
        try:
            with own.observed("The start of the app"):
                await within(PLUGIN_TIMEOUT, application.start(), "The app did not start")
            try:
                yield made
            except BaseException as error:
                reason = error
                raise
            finally:
                with own.observed("The stop of the app"):
                    await within(PLUGIN_TIMEOUT, application.app.stop(), "The app did not stop")
                failures.settle(reason)
        finally:
            sys.path[:] = path
