"""Starlette's request as `event.request` has it: malformed input of a client is an error of the client."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from starlette.datastructures import FormData, QueryParams
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from nitro_py.encoding import read_json
from nitro_py.errors import HTTPError
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

    def read_multipart(self, **limits: Any) -> AwaitableOrContextManager[FormData]:
        """Read the body as Starlette does."""
        return super().form(**limits)


class _FormReader:
    """A form that is read when it is awaited or entered."""

    def __init__(self, request: StarletteRequest, **limits: Any) -> None:
        self._request = request
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
            return FormData([*parse_query(await self._request.body())])
        try:
            return await self._request.read_multipart(**self._limits)
        except MultiPartException as error:
            raise HTTPError(400, f"The body is no form: {error.message}") from None
