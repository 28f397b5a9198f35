"""Validation of bodies, queries and messages, with pydantic."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, TypeVar

from nitro_py.encoding import Frame, read_json
from nitro_py.errors import HTTPError, MessageValidationError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from nitro_py.event import Event
    from nitro_py.message import Message

T = TypeVar("T")

# What pydantic may read as NaN or an infinity, which no answer can hold.
_SUSPECT = re.compile(r"NaN|Infinity|[eE]\+?\d{3}|\d{309}")


async def read_validated_body(event: Event, model: type[T]) -> T:
    """Read a body as a model: a form if `Content-Type` says so, else JSON.

    Args:
        event: The request.
        model: A pydantic model, or any type that pydantic can validate.

    Returns:
        An object of the type.

    Raises:
        HTTPError: 400, the body is not valid, with pydantic's errors as `data`; 413, it is larger than
            `http.max_body`.

    Example:
        class Note(BaseModel):
            text: str

        @define_handler
        async def handler(event: Event) -> Note:
            return await read_validated_body(event, Note)
    """
    from pydantic import ValidationError

    body = await event.body()
    kind = event.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            from nitro_py.headers import Query

            return _validator(model).validate_python(_plain(Query(body)))
        return _validate_json(_validator(model), body)
    except ValidationError as error:
        raise HTTPError(400, "The body is not valid.", data=_issues(error)) from None


async def get_validated_query(event: Event, model: type[T]) -> T:
    """Read the query parameters as a model; a name with several values is a list.

    Args:
        event: The request.
        model: A pydantic model, or any type that pydantic can validate.

    Returns:
        An object of the type.

    Raises:
        HTTPError: 400, the query is not valid, with pydantic's errors as `data`.

    Example:
        class Page(BaseModel):
            number: int = 1

        @define_handler
        async def handler(event: Event) -> int:
            return (await get_validated_query(event, Page)).number
    """
    from pydantic import ValidationError

    try:
        return _validator(model).validate_python(_plain(event.query))
    except ValidationError as error:
        raise HTTPError(400, "The query is not valid.", data=_issues(error)) from None


def validate_message(model: Any, message: Message) -> Any:
    """Read a WebSocket message as a model.

    Raises:
        MessageValidationError: The message is not valid, with pydantic's errors as `issues`.
    """
    from pydantic import ValidationError

    try:
        return _validate_json(make_adapter(model), message.data)
    except ValidationError as error:
        issues = _issues(error)
        raise MessageValidationError(f"The message is not valid: {issues[0]['msg']}.", issues) from None


def _validate_json(adapter: TypeAdapter[T], data: Frame) -> T:
    value = adapter.validate_json(data)
    if _SUSPECT.search(data if isinstance(data, str) else data.decode()):
        try:
            read_json(data)
        except ValueError as error:
            from pydantic_core import ValidationError

            raise ValidationError.from_exception_data(
                "JSON", [{"type": "json_invalid", "loc": (), "input": None, "ctx": {"error": str(error)}}]
            ) from None
    return value


def _validator(model: type[T]) -> TypeAdapter[T]:
    key: Any = model
    return make_adapter(key)


@functools.cache
def make_adapter(model: Any) -> TypeAdapter[Any]:
    """Return pydantic's validator of a type, made once."""
    from pydantic import TypeAdapter

    return TypeAdapter(model)


def _plain(query: Any) -> dict[str, str | list[str]]:
    return {name: values if len(values := query.getlist(name)) > 1 else values[0] for name in query}


def _issues(error: ValidationError) -> list[dict[str, Any]]:
    # `input` would send back what the client sent, and `ctx` may contain exceptions, which have no JSON form.
    return [dict(issue) for issue in error.errors(include_url=False, include_context=False, include_input=False)]
