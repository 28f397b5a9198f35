"""Definition of plugins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from nitro_py.runtime.callables import is_async_generator_function

PluginFunction = Callable[[], AsyncIterator[None]]


class Plugin(NamedTuple):
    """A plugin's generator function; made by `define_plugin`."""

    function: PluginFunction


def define_plugin(function: PluginFunction) -> Plugin:
    """Make an async generator a plugin, which runs once per process.

    What stands before its `yield` runs at the start, what stands after it at the stop.

    Args:
        function: An async generator function without arguments and with one `yield`.

    Returns:
        The plugin.

    Raises:
        TypeError: The function is not an async generator function.

    Example:
        @define_plugin
        async def database() -> AsyncIterator[None]:
            pool = await connect()
            yield
            await pool.close()
    """
    if not is_async_generator_function(function):
        name = getattr(function, "__name__", type(function).__name__)
        raise TypeError(
            f"`define_plugin` takes an async generator function, and `{name}` is not one: add a `yield`."
        )
    return Plugin(function)
