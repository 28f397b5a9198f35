"""Starlette's request as `event.request` has it: malformed input of a client is an error of the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

from starlette.datastructures import FormData, QueryParams
from starlette.datastructures import Headers as StarletteHeaders
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from nitro_py.encoding import read_json
from nitro_py.errors import HTTPError, NitroError
from nitro_py.headers import Headers, parse_query
from nitro_py.request import parse_cookies

if TYPE_CHECKING:
    from starlette._utils import AwaitableOrContextManager


class StarletteRequest(Request):
    """Starlette's request, reading cookies, JSON, forms and the query as the event does.

    Args:
        scope: The ASGI scope.
        receive: The ASGI receive callable.
    """

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the client sent."""
        return parse_cookies(Headers.from_raw(self.scope["headers"]))

    @property
    def query_params(self) -> QueryParams:
        """The URL's query parameters."""
        return QueryParams(parse_query(self.scope["query_string"]))

    async def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            HTTPError: 400, the body is not JSON.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                self._json = read_json(body)
            except ValueError as error:
                raise HTTPError(400, f"The body is not JSON: {error}.") from None
        return self._json

    def form(
        self, *, max_files: float = 1000, max_fields: float = 1000, max_part_size: int = 1024 * 1024
    ) -> AwaitableOrContextManager[FormData]:
        """Read the body as a form; `await` it, or use it with `async with`.

        Raises:
            HTTPError: 400, the body is no form.
        """
        return _FormReader(self, max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)

    async def read_multipart(self, **limits: Any) -> FormData:
        """Read the body as `multipart/form-data`, once.

        Raises:
            MultiPartException: The body is malformed, or larger than the limits.
        """
        if self._form is None:
            async with aclosing(self.stream()) as stream:
                self._form = await _WholeFormParser(self.headers, stream, **limits).parse()
        return self._form


class _WholeFormParser(MultiPartParser):
    """Starlette's parser, which also refuses a body without its last boundary: a part of it was lost."""

    def __init__(self, headers: StarletteHeaders, stream: AsyncGenerator[bytes, None], **limits: Any) -> None:
        super().__init__(headers, self._check_end(stream), **limits)
        self._ended = False

    def on_end(self) -> None:
        """Note the last boundary."""
        self._ended = True

    async def _check_end(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        # Where the stream itself fails, the parser closes the files that it has begun.
        async for chunk in stream:
            yield chunk
        if not self._ended:
            raise MultiPartException("The last boundary is missing.")


class _FormReader:
    """A form that is read when it is awaited or entered."""

    def __init__(self, request: StarletteRequest, *, max_fields: float, **limits: Any) -> None:
        self._request = request
        self._max_fields = max_fields
        self._limits = limits

    def __await__(self) -> Generator[Any, None, FormData]:
        return self._read().__await__()

    async def __aenter__(self) -> FormData:
        return await self._read()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._request.close()

    async def _read(self) -> FormData:
        kind = self._request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            fields = parse_query(await self._request.body())
            if len(fields) > self._max_fields:
                raise HTTPError(400, f"The body is no form: it has more than {self._max_fields:g} fields.")
            return FormData([*fields])
        if kind != "multipart/form-data":
            return FormData()
        if find_spec("python_multipart") is None:
            raise NitroError(
                "A form came as `multipart/form-data`, and `python-multipart`, which reads it, is not installed.",
                hint="Run `pip install python-multipart`, and declare it as a dependency.",
            )
        try:
            return await self._request.read_multipart(max_fields=self._max_fields, **self._limits)
        except MultiPartException as error:
            raise HTTPError(400, f"The body is no form: {error.message}") from None
