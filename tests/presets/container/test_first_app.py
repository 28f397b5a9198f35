"""The container of `docs/first-app.md`: written without Docker by the page's own command, and run."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.testing.conformance import ServerTarget
from tests.cli.commands import NITROPY
from tests.docs.first_app import make_environment, read_steps, run_step, search_programs, write_step
from tests.presets.container.engine import Engine, run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

IMAGE = "localhost/first-app:latest"


async def test_first_app_chats_in_a_container(engine: Engine, bare_base: Path, tmp_path: Path) -> None:
    steps = read_steps()
    for step in steps:
        if step.file is not None:
            write_step(tmp_path, step)
    (tmp_path / "base").symlink_to(bare_base)
    run_step(tmp_path, steps[-1], make_environment(PATH=search_programs(NITROPY.parent)))
    run("skopeo", "copy", "--quiet", f"oci-archive:{tmp_path / 'chat.tar'}", engine.name_in_storage(IMAGE))
    with engine.start(IMAGE) as container:
        target = ServerTarget(container.url)
        assert "<title>Chat</title>" in (await target.request("GET", "/?name=Ada")).text
        async with target.connect("/api/chat?name=Ada") as ada, target.connect("/api/chat?name=Bob") as bob:
            assert (await ada.receive_json())["text"] == "Bob is here."
            await bob.send("Hello!")
            assert await ada.receive_json() == {"from": "Bob", "text": "Hello!"}
