"""A handler that visibly returns a body and a status is named before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.inspect.returns import find_status_tuples
from tests.bundles import write_files

IMPORTS = "from http import HTTPStatus\nimport nitro_py\nfrom nitro_py import *\n"


def find(root: Path, text: str) -> list[str]:
    """Return what is said of a route file with a text below three lines of imports."""
    write_files(root, {"handlers/a.py": IMPORTS + text})
    return find_status_tuples(root, ["handlers/a.py"])


@pytest.mark.parametrize(
    ("text", "line", "status"),
    [
        ("@define_handler\nasync def handler(event):\n    return {}, 201", 6, 201),
        ("@define_handler\ndef handler(event):\n    return {}, 599, {}", 6, 599),
        ("@define_handler(streams=False)\ndef handler(event):\n    if event:\n        return 'a', 100", 7, 100),
        ("@nitro_py.define_handler\ndef handler(event):\n    return {}, HTTPStatus.CREATED", 6, 201),
        ("def show(event):\n    return {}, 404\nhandler = define_handler(show)", 5, 404),
        ("def show(event):\n    return [], 201\nhandler = define_websocket_handler(http=show)", 5, 201),
        ("@define_handler\ndef handler(event):\n    return ({}, 404) if event else ''", 6, 404),
        ("@define_handler\ndef handler(event):\n    try:\n        1\n    finally:\n        return 1, 100", 9, 100),
    ],
)
def test_body_with_a_status(tmp_path: Path, text: str, line: int, status: int) -> None:
    assert find(tmp_path, text) == [
        f"handlers/a.py:{line}: this handler returns a tuple of a body and the status {status}, which is answered "
        f"with 500: set `event.response.status = {status}` and return the body"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "@define_handler\ndef handler(event):\n    return {}, 99",
        "@define_handler\ndef handler(event):\n    return {}, 600",
        "@define_handler\ndef handler(event):\n    return {}, True",
        "@define_handler\ndef handler(event):\n    return 201,",
        "@define_handler\ndef handler(event):\n    return [{}, 201]",
        "@define_handler\ndef handler(event):\n    def pair():\n        return {}, 201\n    return pair()[0]",
        "@define_handler\n@like_flask\ndef handler(event):\n    return {}, 201",
        "def helper():\n    return {}, 201\n@define_handler\ndef handler(event):\n    return helper()[0]",
    ],
)
def test_what_may_be_meant_so(tmp_path: Path, text: str) -> None:
    assert find(tmp_path, text) == []
