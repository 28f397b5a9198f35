"""What an upgrade hook returns says yes or no, or is an error."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from nitro_py import HTTPError, Response, Upgrade
from nitro_py.errors import NitroError
from nitro_py.runtime.hooks.upgrade import check_result


@pytest.mark.parametrize(
    "result",
    [None, Upgrade(), Response("no", 403), HTTPError(403, "No."), PlainTextResponse("no")],
    ids=lambda item: type(item).__name__,
)
def test_answers(result: Any) -> None:
    check_result(result)


@pytest.mark.parametrize("context", [5, "user", [1], [("user", 1)], {1: "user"}, None], ids=repr)
def test_context_that_is_no_mapping_of_text_is_refused_before_the_socket_opens(context: Any) -> None:
    with pytest.raises(TypeError, match="a mapping with text as keys"):
        Upgrade(context=context)


@pytest.mark.parametrize("result", [True, False, {"user": "ada"}, "no", b"", 403], ids=str)
def test_no_answers(result: Any) -> None:
    with pytest.raises(NitroError, match=f"a value of type `{type(result).__name__}`"):
        check_result(result)
