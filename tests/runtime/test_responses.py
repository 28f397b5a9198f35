"""The head of an answer, as a handler may set it."""

from __future__ import annotations

import pytest

from nitro_py.errors import NitroError
from nitro_py.headers import Headers
from nitro_py.runtime.http.responses import check_head


@pytest.mark.parametrize("lengths", [["5", "7"], ["5", "5"], ["+5"], ["5, 5"], ["abc"], [""], ["²"]], ids=repr)
@pytest.mark.parametrize("content", [5, None], ids=["known", "unknown"])
def test_length_must_be_one_number(lengths: list[str], content: int | None) -> None:
    headers = Headers([("content-length", length) for length in lengths])
    with pytest.raises(NitroError, match="content-length"):
        check_head(200, headers, content)


def test_length_of_content_that_is_not_there_is_the_handlers_to_say() -> None:
    check_head(200, Headers({"content-length": "5"}), None)


def test_answer_that_never_has_content_says_no_length() -> None:
    with pytest.raises(NitroError, match="204 has no content"):
        check_head(204, Headers({"content-length": "0"}), None)
    check_head(304, Headers({"content-length": "5"}), None)
