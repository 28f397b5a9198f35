"""The model of a WebSocket route's messages: what its message hook annotates them with."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, UnionType
from typing import TYPE_CHECKING, Any

from nitro_py.errors import NitroError
from nitro_py.message import Message
from nitro_py.runtime.annotations import find_function, list_names, read_annotations

if TYPE_CHECKING:
    from nitro_py.websocket import WebSocketHandler


class UnresolvedAnnotationError(NitroError):
    """An annotation that cannot be evaluated.

    Args:
        message: What cannot be evaluated, and why.
        parameter: The name of the parameter that is annotated.
        hint: What to write instead.
    """

    def __init__(self, message: str, *, parameter: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.parameter = parameter


def add_model(handler: WebSocketHandler) -> WebSocketHandler:
    """Return a handler whose `message_model` is what it says, or else its message hook's second parameter.

    Nothing, `Any`, `Message` and its subclasses there mean the message itself.

    Raises:
        UnresolvedAnnotationError: The parameter's annotation names what is not there.
    """
    if handler.message is None or handler.message_model is not None:
        return handler
    model = find_model(handler.message)
    return handler if model is None else handler._replace(message_model=model)


def find_model(hook: Callable[..., Any]) -> Any:
    """Return the type that a message hook's second parameter is annotated with; `None` means the message."""
    function = find_function(hook)
    parameter = _find_parameter(hook)
    if function is None or parameter is None:
        return None
    annotation = read_annotations(function).get(parameter)
    if annotation is None:
        return None
    names = list_names(function)
    try:
        value = eval(annotation, names) if isinstance(annotation, str) else annotation
        if _means_message(value):
            return None
        return _evaluate_inner(value, names)
    except Exception as error:  # an annotation may be any expression
        written = annotation if isinstance(annotation, str) else getattr(annotation, "__forward_arg__", annotation)
        raise UnresolvedAnnotationError(
            f"The annotation `{written}` of `{parameter}` cannot be evaluated: {error}.",
            parameter=parameter,
            hint="Import the name outside of `if TYPE_CHECKING:`, define it at the top level, "
            "or write `message_model=`.",
        ) from None


def _find_parameter(hook: Callable[..., Any]) -> str | None:
    """Name the second parameter that a caller passes by position."""
    if type(hook) is FunctionType and not hook.__dict__:
        code = hook.__code__
        return code.co_varnames[1] if code.co_argcount > 1 else None
    import inspect  # Few hooks are anything but plain functions.

    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return None
    names = [parameter.name for parameter in parameters if parameter.kind in by_position]
    return names[1] if len(names) > 1 else None


def _means_message(annotation: object) -> bool:
    if annotation is None or annotation is type(None) or annotation is Any:
        return True
    if isinstance(annotation, type):
        return issubclass(annotation, Message)
    from typing import Annotated, Union, get_args, get_origin

    origin = get_origin(annotation)
    if origin is Annotated:
        return _means_message(get_args(annotation)[0])
    return origin in (Union, UnionType) and all(map(_means_message, get_args(annotation)))


def _evaluate_inner(value: object, names: dict[str, Any]) -> Any:
    """Evaluate the names in quotes inside a type, as in `list["Move"]`."""
    if isinstance(value, type) and not hasattr(value, "__origin__"):
        return value
    from types import SimpleNamespace
    from typing import get_type_hints

    holder: Any = SimpleNamespace(__annotations__={"value": value})
    return get_type_hints(holder, names, include_extras=True)["value"]
