"""The levels that the functions log from, in processes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.bundles import build_project, write_files
from tests.presets.aws_lambda.http.project import make_event
from tests.presets.aws_lambda.lambda_runtime.api import run_function, serve_api

pytestmark = pytest.mark.anyio

HANDLER = """
    import logging

    from nitro_py import Event, define_handler

    @define_handler
    async def handler(event: Event) -> str:
        logging.getLogger("shop.prices").debug("compared")
        logging.getLogger("shop").info("counted")
        logging.getLogger("shop").warning("low")
        return "done"
"""


def build(folder: Path, settings: str = "") -> Path:
    """Build a project, and return the folder of its function package."""
    files = {"nitro.toml": f'preset = "aws-lambda"\n{settings}', "handlers/stock.get.py": HANDLER}
    return build_project(write_files(folder, files)) / "server"


async def list_logged(package: Path, environ: Mapping[str, str]) -> list[str]:
    """Invoke the function once, and return the messages that it logged."""
    async with serve_api() as api, run_function(package, "nitro_http.handler", api, environ):
        answer = await api.whole(make_event("httpapi", "/stock"))
        assert answer.json()["body"] == "done"
    log = (package / "log").read_text()
    return [text for text in ("compared", "counted", "low") if text in log]


@pytest.mark.parametrize("format", ["Text", "JSON"])
async def test_levels_of_the_settings(tmp_path: Path, format: str) -> None:
    package = build(tmp_path, '[log]\nlevel = "info"\n[log.levels]\n"shop.prices" = "debug"\n')
    environ = {"AWS_LAMBDA_LOG_FORMAT": format}
    assert await list_logged(package, environ) == ["compared", "counted", "low"]
    assert await list_logged(package, {**environ, "NITRO_LOG__LEVEL": "error"}) == ["compared"]
    assert await list_logged(package, {**environ, "NITRO_LOG__LEVELS__SHOP": "warning"}) == ["compared", "low"]


async def test_function_decides_where_no_level_is_set(tmp_path: Path) -> None:
    package = build(tmp_path)
    assert await list_logged(package, {}) == ["low"]
    assert await list_logged(package, {"AWS_LAMBDA_LOG_LEVEL": "INFO"}) == ["counted", "low"]
