"""The questions to a real account, asked of the local gateway as far as it can answer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.aws_account.__main__ import ask_all, main
from tests.aws_account.questions import BY_HAND, QUESTIONS, Answer, Question
from tests.aws_account.site import Site
from tests.bundles import build_project
from tests.checkout import ROOT
from tests.docs.pages import find_table
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

LOCAL = [question.name for question in QUESTIONS if not question.needs_account]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the app."""
    root = tmp_path_factory.mktemp("account") / "app"
    shutil.copytree(ROOT / "tests/aws_account/app", root, ignore=shutil.ignore_patterns("__pycache__", ".output"))
    with run_gateway(build_project(root), environment={}) as found:
        yield found


@pytest.mark.parametrize("name", LOCAL)
def test_gateway_answers_as_expected(url: str, name: str) -> None:
    lines: list[str] = []
    with closing(Site(url)) as site:
        assert ask_all(site, lines.append, only=[name]) == 0, lines
    assert re.match(rf"as expected  {name}\b", lines[0])


def test_what_needs_an_account_is_not_called_settled(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = [question.name for question in QUESTIONS if question.name not in LOCAL]
    assert main(["--url", url, "--only", *names]) == 0
    *lines, summary = capsys.readouterr().out.splitlines()
    assert lines == [f"not asked    {name}: needs an account" for name in names]
    assert summary == f"0 as expected, 0 differs, 0 no answer, {len(names)} not asked"


def test_what_differs_or_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(site: Site) -> Answer:
        raise ConnectionRefusedError("no app")

    asked = (Question("other", lambda site: Answer(1, 2, "a note")), Question("silent", fail))
    monkeypatch.setattr("tests.aws_account.__main__.QUESTIONS", asked)
    lines: list[str] = []
    with closing(Site("http://127.0.0.1:1")) as site:
        assert ask_all(site, lines.append) == 2
    assert lines[:2] == [
        "differs      other: expected 1, got 2 (a note)",
        "no answer    silent: ConnectionRefusedError: no app",
    ]
    assert lines[2:-1] == [f"not asked    {name}: by hand, see docs/aws-checklist.md" for name in BY_HAND]


def test_checklist_has_every_question() -> None:
    page = "docs/aws-checklist.md"
    assert [row[0].strip("`") for row in find_table("Question", page)] == [q.name for q in QUESTIONS]
    assert [row[0].strip("`") for row in find_table("By hand", page)] == list(BY_HAND)
