"""The private names of asyncio: that this release has them, and that hooks run without them."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import subprocess
import sys

import pytest

from nitro_py.runtime.hooks import asyncio_private
from tests.checkout import ROOT


@pytest.mark.parametrize("name", asyncio_private.NAMES)
def test_this_release_has_the_name(name: str) -> None:
    assert asyncio_private.CAN_ENTER_TASKS
    assert getattr(asyncio_private, name.removeprefix("_")) is getattr(asyncio.tasks, name)


@pytest.mark.anyio
async def test_entering_makes_a_task_the_current_one_until_it_is_left() -> None:
    loop = asyncio.get_running_loop()
    seen: list[asyncio.Task[None] | None] = []
    done = loop.create_future()
    other = asyncio.create_task(asyncio.sleep(0))

    def enter() -> None:
        seen.append(asyncio.current_task())
        asyncio_private.enter_task(loop, other)
        seen.append(asyncio.current_task())
        with pytest.raises(RuntimeError):
            asyncio_private.enter_task(loop, other)
        asyncio_private.leave_task(loop, other)
        seen.append(asyncio.current_task())
        done.set_result(None)

    loop.call_soon(enter)
    await done
    await other
    assert seen == [None, other, None]


WITHOUT = """
import asyncio.tasks
import sys

for name in sys.argv[1].split(","):
    delattr(asyncio.tasks, name)

import logging
import pytest

records = []
handler = logging.Handler()
handler.emit = records.append
logging.getLogger("nitro_py.websocket").addHandler(handler)
status = pytest.main(["-q", "-p", "no:cacheprovider", "tests/runtime/test_session.py"])
warnings = [record.getMessage() for record in records if "release of asyncio" in record.getMessage()]
print(*warnings, sep="\\n", file=sys.stderr)
sys.exit(status)
"""


def test_hooks_run_without_the_names_after_one_warning() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(asyncio_private.NAMES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stderr.splitlines() == [
        "This release of asyncio makes hooks slower: it lacks _enter_task or _leave_task."
    ]
