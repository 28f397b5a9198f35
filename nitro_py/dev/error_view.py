"""The look of errors in development: a page of their own, or what the overlay shows over the page that is open."""

from __future__ import annotations

import base64
import hashlib
import itertools
import linecache
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from nitro_py.dev.exception_report import LINES_AFTER, LINES_BEFORE, ExceptionReport, Facts, FailureReport, Frame
from nitro_py.errors import NitroError

EDITOR = "NITRO_EDITOR"
# What opens a file in an editor: each registers a scheme of its own with the system.
EDITORS = {
    "cursor": "cursor://file{file}:{line}",
    "idea": "idea://open?file={file}&line={line}",
    "pycharm": "pycharm://open?file={file}&line={line}",
    "vscode": "vscode://file{file}:{line}",
    "windsurf": "windsurf://file{file}:{line}",
    "zed": "zed://file{file}:{line}",
}
# A longer table is folded.
MAX_OPEN_ROWS = 8
_COPY = '<button type="button" class="button copy">Copy as text</button>'
_LINKS = {
    "cause": "This exception was the direct cause of the one above",
    "context": "The one above was raised while this exception was handled",
}


@dataclass(frozen=True, slots=True)
class NearPath:
    """A route that may have been meant.

    Args:
        methods: Its methods, for people.
        path: Its path.
        file: Its file, relative to the project.
        why: What is different.
        is_link: Whether a link can lead there.
    """

    methods: str
    path: str
    file: str
    why: str = ""
    is_link: bool = False


class ErrorView:
    """The view of errors, as HTML in which every value is escaped.

    Args:
        root: The project's folder.
        environ: The environment; `NITRO_EDITOR` names an editor, or is a URL with `{file}` and `{line}`.
    """

    def __init__(self, root: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._root = root
        chosen = environ.get(EDITOR) or "vscode"
        self._editor = EDITORS.get(chosen, chosen if "{file}" in chosen else EDITORS["vscode"])

    def show_failure(self, report: FailureReport) -> str:
        """Return the view of a failure of the app."""
        exception = report.exception
        place = next((frame for frame in reversed(exception.frames) if frame.own), None)
        opener = "" if place is None else self._link(place.path, place.line, "Open in editor", "button")
        return (
            f'<header class="head"><p class="title"><span class="label">{escape(report.label)}</span>'
            f"<span>{escape(report.title)}</span></p>{_headline(exception)}"
            f'<p class="actions">{_COPY}{opener}</p></header>'
            f"{self._show_frames(exception)}{self._show_origin(exception)}"
            f"{''.join(map(_show_facts, report.facts))}"
            f'<details class="text"><summary>Traceback as text</summary><pre>{escape(report.text)}</pre></details>'
        )

    def show_problem(self, error: NitroError) -> str:
        """Return the view of an error that keeps the project from being built or started."""
        # An app that cannot start has made the view of its exception itself.
        if (view := getattr(error, "html", None)) is not None:
            return str(view)
        link = source = ""
        if error.file is not None:
            path, line = self._root / error.file, error.line or 1
            place = error.file if error.line is None else f"{error.file}:{error.line}"
            link = f'<p class="place">{self._link(str(path), line, place)}</p>'
            source = _show_source(read_source(path, error.line), error.line, None) if error.line else ""
        hint = "" if error.hint is None else f'<p class="hint"><b>Hint</b> {escape(error.hint)}</p>'
        return (
            '<header class="head"><p class="title"><span class="label">Build</span>'
            "<span>The project cannot be served as it is now</span></p>"
            f'<h1><span class="message">{escape(error.message)}</span></h1>{link}'
            f'<p class="actions">{_COPY}</p></header>'
            f'{source and f"""<div class="frame alone">{source}</div>"""}{hint}'
            f'<details class="text"><summary>As text</summary><pre>{escape(str(error))}</pre></details>'
        )

    def show_miss(
        self, status: int, method: str, path: str, near: list[NearPath], files: list[str], routes: list[NearPath]
    ) -> str:
        """Return the view of a request that no route serves.

        Args:
            status: The status of the answer: 404, or 405 if the path has other methods.
            method: The request's method.
            path: Its path.
            near: The routes that come near.
            files: The public files that come near.
            routes: All routes.
        """
        parts = [
            f'<header class="head"><p class="title"><span class="label">{status}</span>'
            f"<span>{'Method not allowed' if status == 405 else 'Not found'}</span></p>"
            f'<h1><span class="message">No route serves {escape(method)} {escape(path)}</span></h1></header>'
        ]
        if near:
            parts.append(self._show_paths("Routes that come near", near))
        if files:
            rows = "".join(
                f'<li><a class="place" href="{escape(quote(file))}">{escape(file)}</a></li>' for file in files
            )
            parts.append(_show_section("Public files that come near", rows))
        if not routes:
            parts.append(
                '<p class="hint"><b>Hint</b> The project has no routes yet: add a file to its handlers.</p>'
            )
        elif len(routes) > len(near):
            rows = self._show_paths("", routes)
            parts.append(f'<details class="text"><summary>All {len(routes)} routes</summary>{rows}</details>')
        return "".join(parts)

    def show_public(self, file: str) -> str:
        """Return a note on the public file that browsers get in the place of this page."""
        return (
            f'<p class="hint"><b>Elsewhere</b> browsers get <a href="{escape(file)}">public{escape(file)}</a>.</p>'
        )

    def _show_paths(self, title: str, paths: list[NearPath]) -> str:
        items = []
        for path in paths:
            name = escape(path.path)
            shown = f'<a class="place" href="{name}">{name}</a>' if path.is_link else f"<span>{name}</span>"
            why = path.why and f'<span class="why">{escape(path.why)}</span>'
            file = self._link(str(self._root / path.file), 1, path.file, "place file")
            items.append(f'<li><span class="method">{escape(path.methods)}</span>{shown}{why}{file}</li>')
        return _show_section(title, "".join(items))

    def _show_frames(self, exception: ExceptionReport) -> str:
        parts = []
        gap = len(exception.frames) // 2 if exception.left_out else -1
        own = [frame for frame in exception.frames if frame.own]
        number = 0
        for is_own, group in itertools.groupby(exception.frames, key=lambda frame: frame.own):
            frames = list(group)
            if is_own:
                # All of a few, and of many only where it began and where it failed.
                parts += [self._show_own(frame, is_open=frame is own[-1] or len(own) <= 4) for frame in frames]
            else:
                parts.append(self._fold(frames))
            number += len(frames)
            if exception.left_out and number >= gap:
                parts.append(f'<p class="gap">… {exception.left_out} more calls …</p>')
                gap = len(exception.frames) + 1
        return f'<section class="frames">{"".join(parts)}</section>' if parts else ""

    def _show_own(self, frame: Frame, *, is_open: bool) -> str:
        function = f'<span class="function">in {escape(frame.function)}</span>' if frame.function else ""
        variables = ""
        if frame.variables:
            count = len(frame.variables)
            summary = f"{count} local variable{'s' * (count != 1)}"
            variables = (
                f'<details class="variables"><summary>{summary}</summary>{_show_rows(frame.variables)}</details>'
            )
        return (
            f'<details class="frame"{" open" * is_open}><summary>'
            f"{self._link(frame.path, frame.line, f'{frame.file}:{frame.line}')}{function}</summary>"
            f"{_show_source(frame.source, frame.line, frame.marked)}{variables}</details>"
        )

    def _fold(self, frames: list[Frame]) -> str:
        packages = list(dict.fromkeys(frame.file.partition("/")[0].removesuffix(".py") for frame in frames))
        names = ", ".join(packages[:3]) + (" …" if len(packages) > 3 else "")
        items = "".join(
            f"<li>{self._link(frame.path, frame.line, f'{frame.file}:{frame.line}')}"
            f'<span class="function">in {escape(frame.function)}</span></li>'
            for frame in frames
        )
        count = f"{len(frames)} call{'s' * (len(frames) != 1)}"
        return f'<details class="fold"><summary>{count} in {escape(names)}</summary><ul>{items}</ul></details>'

    def _show_origin(self, exception: ExceptionReport) -> str:
        count = len(exception.members)
        parts = [
            self._show_chained(member, f"Exception {number} of {count} in the group")
            for number, member in enumerate(exception.members, start=1)
        ]
        if exception.origin is not None and exception.link is not None:
            parts.append(self._show_chained(exception.origin, _LINKS[exception.link]))
        return "".join(parts)

    def _show_chained(self, exception: ExceptionReport, link: str) -> str:
        return (
            f'<section class="chained"><p class="link">{escape(link)}</p>{_headline(exception)}'
            f"{self._show_frames(exception)}{self._show_origin(exception)}</section>"
        )

    def _link(self, path: str, line: int, text: str, kind: str = "place") -> str:
        if not path:
            return f'<span class="{kind}">{escape(text)}</span>'
        url = self._editor.replace("{file}", quote(path)).replace("{line}", str(line))
        return f'<a class="{kind}" href="{escape(url)}" title="Open in the editor">{escape(text)}</a>'


def make_page(title: str, content: str, *, id: str = "", allowed: str = "") -> tuple[bytes, str]:
    """Return a whole page and its content security policy.

    Args:
        title: The page's title.
        content: Its content, as HTML.
        id: What the live-reload script compares with the errors that it is sent.
        allowed: A script element that is added to the page later and may run.
    """
    nonce = secrets.token_urlsafe(16)
    page = Template(read_template("page.html")).substitute(
        content=content,
        id=escape(id),
        nonce=nonce,
        script=read_template("error.js"),
        style=read_style(),
        title=escape(title),
    )
    code = allowed.strip().removeprefix("<script>").removesuffix("</script>")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}' 'sha256-{digest}'; style-src 'nonce-{nonce}'; "
        "connect-src *; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return page.encode(), policy


def make_id(view: str) -> str:
    """Return an id that is the same for equal views."""
    return hashlib.sha256(view.encode()).hexdigest()[:16]


@cache
def read_template(name: str) -> str:
    """Return the text of a file beside this module."""
    return (Path(__file__).with_name("templates") / name).read_text(encoding="utf-8")


def read_style() -> str:
    """Return the style of pages and overlay."""
    return read_template("error.css")


def read_source(path: Path, line: int | None) -> tuple[tuple[int, str], ...]:
    """Return the lines around a line of a file, with their numbers; none if the file cannot be read."""
    linecache.checkcache(str(path))
    lines = linecache.getlines(str(path))
    line = line or 1
    first = max(1, line - LINES_BEFORE)
    return tuple(
        (first + index, text.rstrip()) for index, text in enumerate(lines[first - 1 : line + LINES_AFTER])
    )


def _headline(exception: ExceptionReport) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in exception.notes)
    return (
        f'<h1><span class="type">{escape(exception.type)}</span>'
        f'<span class="message">{escape(exception.message)}</span></h1>'
        f"{notes and f'''<ul class=notes>{notes}</ul>'''}"
    )


def _show_source(source: tuple[tuple[int, str], ...], line: int, marked: tuple[int, int] | None) -> str:
    if not source:
        return ""
    while source and not source[0][1].strip():
        source = source[1:]
    while source and not source[-1][1].strip():
        source = source[:-1]
    indent = min((len(text) - len(text.lstrip()) for _, text in source if text.strip()), default=0)
    rows = []
    for number, text in source:
        code = escape(text[indent:])
        if number == line:
            start, end = marked or (0, 0)
            start, end = max(0, start - indent), max(0, end - indent)
            cut = text[indent:]
            # Where the whole line failed, a mark says nothing.
            if cut[start:end].strip() and cut[start:end].strip() != cut.strip():
                code = f"{escape(cut[:start])}<mark>{escape(cut[start:end])}</mark>{escape(cut[end:])}"
        rows.append(f'<li{" class=failed" * (number == line)} value="{number}"><code>{code or " "}</code></li>')
    return f'<ol class="source" tabindex="0">{"".join(rows)}</ol>'


def _show_rows(rows: tuple[tuple[str, str], ...]) -> str:
    cells = "".join(f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _show_section(title: str, items: str) -> str:
    heading = title and f"<h2>{escape(title)}</h2>"
    return f'<section class="facts">{heading}<ul class="near">{items}</ul></section>'


def _show_facts(facts: Facts) -> str:
    if not facts.rows:
        return ""
    opened = " open" * (len(facts.rows) <= MAX_OPEN_ROWS)
    rows = _show_rows(facts.rows)
    return f'<details class="facts"{opened}><summary>{escape(facts.title)}</summary>{rows}</details>'
