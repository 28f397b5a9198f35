"""What a report of an exception shows, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nitro_py.build.config.secret_names import names_secret
from nitro_py.dev.error_view import ErrorView
from nitro_py.dev.exception_report import MAX_FRAMES, FailureReport, ReportMaker
from nitro_py.dev.masking import MASK, MaskedRepr, SecretMask
from nitro_py.errors import BuildError

HOSTILE = "</pre></script><script>alert(1)</script>\"'&"


def report_on(root: Path, source: str, *secrets: tuple[str, str]) -> FailureReport:
    """Report what code of a project raises."""
    file = root / "handlers/code.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    values: dict[str, Any] = {}
    try:
        exec(compile(source, str(file), "exec"), values)
    except Exception as error:
        return ReportMaker(root).make(error, SecretMask(secrets), label="500", title="GET / failed.", facts=())
    raise AssertionError("The code raised nothing.")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("userPassword", True),
        ("dbpassword", True),
        ("API_KEY", True),
        ("x-api-key", True),
        ("Authorization", True),
        ("access_token", True),
        ("sessionid", True),
        ("session", True),
        ("monkey", False),
        ("keyboard", False),
        ("author", False),
        ("name", False),
        ("passage", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert names_secret(name) == secret


@pytest.mark.parametrize(
    "text",
    [
        "{'password': 'hunter2-x'}",
        'User(name="ada", api_key="hunter2-x")',
        "[('authorization', 'Bearer hunter2-x')]",
        "(b'cookie', b'sid=hunter2-x')",
        "postgres://ada:hunter2-x@db/orders",
        "/login?token=hunter2-x&sort=date",
    ],
)
def test_secret_in_a_text_is_masked(text: str) -> None:
    masked = SecretMask(()).mask(text)
    assert "hunter2" not in masked
    assert MASK in masked


def test_known_secret_is_masked_wherever_it_is() -> None:
    mask = SecretMask([("authorization", "Bearer abcdef-123"), ("x-note", "harmless")])
    assert mask.mask("sent abcdef-123 as Bearer abcdef-123, harmless") == f"sent {MASK} as {MASK}, harmless"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "PASSWORD_STORE_DIR", "TLS_KEY_FILE"])
def test_folder_or_file_that_is_there_is_no_secret(tmp_path: Path, name: str) -> None:
    text = f'File "{tmp_path}/handlers/a.py", line 1'
    assert SecretMask([(name, str(tmp_path))]).mask(text) == text
    gone = str(tmp_path / "handlers")
    assert (MASK in SecretMask([(name, gone)]).mask(text)) == (name != "OLDPWD")


def test_secret_is_masked_before_a_long_text_is_cut() -> None:
    secret = "s" * 400
    shown = dict(
        MaskedRepr(SecretMask([("token", secret)])).describe({"text": f"{secret} and more", "token": secret})
    )
    assert "sss" not in shown["text"] + shown["token"]


def test_representation_is_bounded_and_never_raises() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    class Endless:
        def __repr__(self) -> str:
            return repr(self)

    nested: list[Any] = []
    nested.append(nested)
    values = {
        "a": Broken(),
        "b": [Broken()],
        "c": Endless(),
        "d": "x" * 10**6,
        "e": list(range(10**5)),
        "f": nested,
    }
    shown = dict(MaskedRepr(SecretMask(())).describe(values))
    assert shown["a"] == "<Broken whose repr raised RuntimeError>"
    assert "RecursionError" in shown["c"]
    assert all(len(text) < 2000 for text in shown.values())


def test_mark_counts_characters(tmp_path: Path) -> None:
    report = report_on(tmp_path, "é = 'ü'; x = é + int('ñ')\n")
    frame = report.exception.frames[-1]
    assert frame.own
    assert frame.file == "handlers/code.py"
    start, end = frame.marked or (0, 0)
    assert frame.source[0][1][start:end] == "int('ñ')"


def test_chain_and_notes(tmp_path: Path) -> None:
    source = "try:\n    {}['a']\nexcept KeyError as e:\n    e.add_note('look')\n    raise ValueError('b') from e\n"
    report = report_on(tmp_path, source)
    assert (report.exception.type, report.exception.link) == ("ValueError", "cause")
    origin = report.exception.origin
    assert origin is not None
    assert (origin.type, origin.message, origin.notes) == ("KeyError", "'a'", ("look",))


def test_exceptions_that_lead_to_each_other(tmp_path: Path) -> None:
    source = "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a\n"
    report = report_on(tmp_path, source)
    origin = report.exception.origin
    assert origin is not None
    assert origin.origin is None


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    f()\nf()\n",
        "class E(Exception):\n    def __str__(self):\n        raise OSError\nraise E\n",
        "raise ExceptionGroup('g', [ValueError(str(n)) for n in range(500)])\n",
        "exec('def')\n",
        "raise ValueError('x' * 10**7)\n",
    ],
)
def test_whatever_is_raised_has_a_view_of_bounded_size(tmp_path: Path, source: str) -> None:
    report = report_on(tmp_path, source)
    assert len(report.exception.frames) <= MAX_FRAMES + 1
    assert len(ErrorView(tmp_path, {}).show_failure(report)) < 400_000


def test_every_value_is_escaped(tmp_path: Path) -> None:
    source = f"hostile = {HOSTILE!r}\nerror = ValueError(hostile)\nerror.add_note(hostile)\nraise error\n"
    report = report_on(tmp_path / "<b>", source)
    view = ErrorView(tmp_path, {"NITRO_EDITOR": 'x:{file}"><script>'}).show_failure(report)
    assert "<script" not in view
    assert "<b>" not in view
    problem = ErrorView(tmp_path, {}).show_problem(BuildError(HOSTILE, file=HOSTILE, line=1, hint=HOSTILE))
    assert "<script" not in problem


@pytest.mark.parametrize(
    ("editor", "url"),
    [
        ("", "vscode://file{}:1"),
        ("pycharm", "pycharm://open?file={}&amp;line=1"),
        ("subl://open?url=file://{file}&line={line}", "subl://open?url=file://{}&amp;line=1"),
    ],
)
def test_link_opens_the_editor(tmp_path: Path, editor: str, url: str) -> None:
    report = report_on(tmp_path, "1 / 0\n")
    view = ErrorView(tmp_path, {"NITRO_EDITOR": editor}).show_failure(report)
    assert f'href="{url.format(tmp_path / "handlers/code.py")}"' in view


def test_code_of_an_environment_is_not_the_projects_own(tmp_path: Path) -> None:
    make: Callable[[str], bool] = ReportMaker(tmp_path)._is_own
    (tmp_path / "env").mkdir()
    (tmp_path / "env/pyvenv.cfg").touch()
    own = {name: make(str(tmp_path / name)) for name in ("handlers/a.py", "env/lib/a.py", ".venv/lib/a.py")}
    assert own == {"handlers/a.py": True, "env/lib/a.py": False, ".venv/lib/a.py": False}
