"""Exceptions that are no ordinary `Exception`: they end the code that raised them, and nothing else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from types import coroutine
from typing import Any

import pytest

from nitro_py.runtime.containment import contain, contained, is_interrupt, run_until_done
from nitro_py.runtime.tasks import run_callback, start_task, wait_for_tasks


class CustomExit(BaseException):
    """An exception of a library that no handler should catch."""


@asynccontextmanager
async def cleanup() -> AsyncIterator[None]:
    """Clean up, as code of an app does."""
    try:
        yield
    except BaseException as error:
        raise error


async def cleaned(work: Awaitable[None]) -> None:
    """Await work, and raise its error again."""
    try:
        await work
    except BaseException:
        raise


@coroutine
def suspend() -> Generator[None, None, None]:
    """Wait for what never comes."""
    yield


FOREIGN: list[Any] = [
    pytest.param(lambda: SystemExit(2), id="exit"),
    pytest.param(lambda: KeyboardInterrupt("by code"), id="interrupt"),
    pytest.param(lambda: BaseExceptionGroup("several", [SystemExit(1), ValueError()]), id="group"),
    pytest.param(CustomExit, id="custom"),
    pytest.param(GeneratorExit, id="close"),
]


@pytest.mark.parametrize("make", FOREIGN)
def test_exception_that_ends_processes_has_a_stand_in(make: Callable[[], BaseException]) -> None:
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - it is any of them.
        raise make()
    failure = contain(raised.value)
    assert failure.__cause__ is raised.value
    assert type(raised.value).__name__ in str(failure)


def test_ordinary_exception_stands_for_itself() -> None:
    error = ValueError()
    assert contain(error) is error


def test_close_of_a_generator_keeps_its_meaning() -> None:
    with pytest.raises(GeneratorExit):
        contain(GeneratorExit())
    kept: list[bool] = []

    def work() -> Iterator[None]:
        try:
            yield from iter([None, None])
        except BaseException as error:
            try:
                contain(error)
            except GeneratorExit as same:
                kept.append(same is error)
                raise

    generator = work()
    next(generator)
    del generator
    assert kept == [True]


@pytest.mark.parametrize(
    "wrap", [cleaned, contained, lambda work: cleaned(contained(work))], ids=["own", "contained", "both"]
)
def test_close_of_a_coroutine_keeps_its_meaning(wrap: Callable[[Any], Any]) -> None:
    """A loop that ends closes coroutines at whatever they wait for, through whatever cleans up on its way."""
    told: list[str] = []

    async def wait() -> None:
        async with cleanup():
            await cleaned(suspend())

    async def work() -> None:
        try:
            await wrap(wait())
        except BaseException as error:
            told.append(type(error).__name__)
            try:
                contain(error)
            except GeneratorExit:
                told.append("kept")
                raise

    coroutine = work()
    coroutine.send(None)
    coroutine.close()
    assert told == ["GeneratorExit", "kept"]


@pytest.mark.anyio
async def test_async_generator_that_is_closed_ends_and_one_that_raises_fails() -> None:
    ended: list[str] = []

    async def chunks(fail: bool) -> AsyncIterator[int]:
        try:
            yield 1
            if fail:
                raise GeneratorExit
        finally:
            ended.append("ended")

    for fail in (False, True):
        source: Any = chunks(fail)
        assert await contained(anext(source)) == 1
        if fail:
            with pytest.raises(RuntimeError, match="raised `GeneratorExit"):
                await contained(anext(source, None))
        else:
            await contained(source.aclose())
    assert ended == ["ended", "ended"]


@pytest.mark.anyio
async def test_cancellation_keeps_its_meaning_and_waiting_for_a_cancelled_one_does_not() -> None:
    async def wait() -> None:
        await contained(asyncio.sleep(10))

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(RuntimeError, match="that was cancelled"):
        await contained(task)


def test_signal_is_told_from_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as real:
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as raised:
            raise KeyboardInterrupt
        assert is_interrupt(real.value)
        assert not is_interrupt(raised.value)
        with pytest.raises(KeyboardInterrupt):
            contain(real.value)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("make", FOREIGN)
@pytest.mark.parametrize("new_loop", [asyncio.SelectorEventLoop, "uvloop"])
def test_loop_goes_on_after_a_task_and_a_callback_of_the_app(
    make: Callable[[], BaseException], new_loop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    if new_loop == "uvloop":
        new_loop = pytest.importorskip("uvloop").new_event_loop

    def fail() -> None:
        raise make()

    async def work() -> None:
        fail()

    async def serve() -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        task = loop.create_task(work())
        loop.call_soon(fail)
        await asyncio.sleep(0.05)
        assert type(task.exception()) is type(make())
        return "served"

    loop = new_loop()
    try:
        serving = loop.create_task(serve())
        assert run_until_done(partial(loop.run_until_complete, serving), serving) == "served"
    finally:
        loop.close()


def test_loop_ends_with_its_own_task() -> None:
    async def serve() -> None:
        raise SystemExit(3)

    loop = asyncio.new_event_loop()
    try:
        serving = loop.create_task(serve())
        with pytest.raises(SystemExit) as ended:
            run_until_done(partial(loop.run_until_complete, serving), serving)
        assert ended.value.code == 3
    finally:
        loop.close()


@pytest.mark.anyio
@pytest.mark.parametrize("make", FOREIGN)
async def test_work_and_callbacks_are_logged(
    make: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise make()

    async def work() -> None:
        fail()

    start_task(work())
    await wait_for_tasks(1)
    run_callback(fail)
    told = [record.message for record in caplog.records if record.name == "nitro_py.tasks"]
    assert told == ["A background task failed.", "A callback failed."]
