"""Coroutines of a process that has not loaded asyncio: each case runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.checkout import ROOT

PRELUDE = """
import contextvars, gc, sys
from nitro_presets.aws_lambda.lambda_runtime.runner import run

variable = contextvars.ContextVar("variable", default="outside")
assert "asyncio" not in sys.modules
"""


def execute(code: str, folder: Path | None = None) -> str:
    """Run a program, where asyncio is not loaded yet, and return what it printed."""
    folders = [str(ROOT), str(ROOT / "presets"), *([str(folder)] if folder else [])]
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {folders!r}\n{PRELUDE}\n{dedent(code)}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_coroutine_that_never_waits_needs_no_loop() -> None:
    code = """
    async def inner():
        return variable.get()

    async def work():
        before = await inner()
        variable.set("inside")
        return before, variable.get()

    finders = [*sys.meta_path]
    for _ in range(2):
        print(*run(work()), variable.get(), "asyncio" in sys.modules, sys.meta_path == finders)
    """
    assert execute(code).splitlines() == ["outside inside outside False True"] * 2


def test_error_comes_out_as_it_is() -> None:
    code = """
    async def work():
        raise LookupError("ink")

    try:
        run(work())
    except LookupError as error:
        print(error, "asyncio" in sys.modules)
    """
    assert execute(code) == "ink False"


def test_coroutine_that_imports_asyncio_is_a_task_from_there_on() -> None:
    code = """
    async def work():
        variable.set("inside")
        import asyncio
        from contextvars import copy_context

        task = asyncio.current_task()
        loader = asyncio.__spec__.loader
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            slept = group.create_task(asyncio.sleep(0.001, "slept"))
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        except TimeoutError:
            late = True
        same = task is asyncio.current_task() and task.get_loop() is asyncio.get_running_loop()
        return slept.result(), late, same, variable.get(), await asyncio.to_thread(lambda: "thread"), loader.name

    print(*run(work()), variable.get())
    async def again():
        import asyncio
        return asyncio.get_running_loop() is asyncio.current_task().get_loop()
    print(run(again()))
    """
    assert execute(code).splitlines() == ["slept True True inside thread asyncio outside", "True"]


@pytest.mark.parametrize(("end", "printed"), [("return 'value'", "value"), ("raise LookupError('ink')", "ink")])
def test_coroutine_that_imports_asyncio_and_does_not_wait_ends_its_task(end: str, printed: str) -> None:
    code = f"""
    tasks = []
    async def work():
        from asyncio import current_task
        tasks.append(current_task())
        {end}

    try:
        print(run(work()))
    except LookupError as error:
        print(error)
    import asyncio
    print(tasks[0].done(), asyncio.all_tasks(tasks[0].get_loop()))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        print("left")
    """
    assert execute(code).splitlines() == [printed, "True set()", "left"]


@pytest.mark.parametrize("wait", ["await asyncio.sleep(0)", "await asyncio.gather(child())", "pass"])
def test_cancellation_within_the_first_step_comes_out(wait: str) -> None:
    code = f"""
    seen = []
    async def work():
        import asyncio

        async def child():
            await asyncio.sleep(10)

        asyncio.current_task().cancel()
        try:
            {wait}
        except asyncio.CancelledError:
            seen.append("told")
            raise

    try:
        run(work())
    except BaseException as error:
        print(type(error).__name__, *seen)
    """
    assert execute(code) == ("CancelledError" if wait == "pass" else "CancelledError told")


def test_work_that_is_left_behind_goes_on() -> None:
    code = """
    from nitro_py.runtime.tasks import start_task, wait_for_tasks

    async def background():
        import asyncio
        await asyncio.sleep(0.001)
        print("done")

    async def work():
        start_task(background())
        return "answered"

    run(wait_for_tasks(1))
    print("asyncio" in sys.modules)
    print(run(work()))
    run(wait_for_tasks(10))
    """
    assert execute(code).splitlines() == ["False", "answered", "done"]


def test_library_that_asks_for_the_kind_of_loop_finds_asyncio(tmp_path: Path) -> None:
    (tmp_path / "sniffio.py").write_text(
        dedent(
            """
            import sys

            def current_async_library():
                if "asyncio" in sys.modules:
                    import asyncio
                    if asyncio.current_task() is not None:
                        return "asyncio"
                raise RuntimeError("unknown async library")
            """
        )
    )
    code = """
    async def work():
        from sniffio import current_async_library
        return current_async_library()

    print(run(work()))
    """
    assert execute(code, tmp_path) == "asyncio"
    assert execute(f"import sniffio\n{dedent(code)}", tmp_path) == "asyncio"


def test_what_waits_without_asyncio_is_told_off() -> None:
    code = """
    from types import coroutine

    @coroutine
    def wait(value):
        yield value

    async def work(value):
        await wait(value)
        return "gone on"

    print(run(work(None)))
    try:
        run(work(7))
    except RuntimeError as error:
        print(error)
    """
    printed = execute(code).splitlines()
    assert printed[0] == "gone on"
    assert "bad yield: 7" in printed[1]


def test_generator_that_is_dropped_is_closed() -> None:
    code = """
    async def numbers():
        try:
            yield 1
        finally:
            import asyncio
            await asyncio.sleep(0)
            print("closed")

    async def work():
        return await anext(numbers())

    async def nothing():
        import asyncio
        await asyncio.sleep(0.001)

    print(run(work()))
    gc.collect()
    run(nothing())
    """
    assert execute(code).splitlines() == ["1", "closed"]


def test_thread_that_could_import_it_unseen_makes_the_loop_at_once() -> None:
    code = """
    import threading
    over = threading.Event()
    threading.Thread(target=over.wait).start()

    async def work():
        return "asyncio" in sys.modules

    print(run(work()))
    over.set()
    """
    assert execute(code) == "True"
