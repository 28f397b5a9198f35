"""A report of an exception: what the pages of the dev server show of it."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import CodeType, TracebackType
from typing import Literal

import nitro_py
from nitro_py.dev.masking import MaskedRepr, SecretMask

# How many lines are shown before and after the one that failed.
LINES_BEFORE = 6
LINES_AFTER = 4
# The most frames, variables of a frame, exceptions of a chain or a group, and characters of a message or a line.
MAX_FRAMES = 40
MAX_VARIABLES = 40
MAX_EXCEPTIONS = 12
MAX_MESSAGE = 4_000
MAX_LINE = 400
# The most characters of the traceback as text.
MAX_TRACEBACK = 60_000

Link = Literal["cause", "context"]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A call on the way to an exception.

    Args:
        file: The file as it is shown, relative to the project where possible.
        path: Its absolute path; empty for code that is in no file.
        line: The line, counted from 1.
        function: The function's qualified name.
        own: Whether the code is the project's own.
        source: Lines of source with their numbers.
        marked: The first and the last column of what failed in the line, as a slice.
        variables: The local variables.
    """

    file: str
    path: str
    line: int
    function: str
    own: bool
    source: tuple[tuple[int, str], ...] = ()
    marked: tuple[int, int] | None = None
    variables: Pairs = ()


@dataclass(frozen=True, slots=True)
class ExceptionReport:
    """An exception with its frames, and those that it came from.

    Args:
        type: The name of its type.
        message: Its text.
        notes: The notes that were added to it.
        frames: The calls, the outermost first.
        left_out: How many calls are missing in the middle.
        link: How `origin` led to it.
        origin: The exception that it was raised from, or while handling.
        members: The exceptions of a group.
    """

    type: str
    message: str
    notes: tuple[str, ...]
    frames: tuple[Frame, ...]
    left_out: int = 0
    link: Link | None = None
    origin: ExceptionReport | None = None
    members: tuple[ExceptionReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """A table of names and values, such as the header fields of a request."""

    title: str
    rows: Pairs


@dataclass(frozen=True, slots=True)
class FailureReport:
    """What is shown of a failure.

    Args:
        label: The kind of the failure in a word or two: `500`, `Hook message`.
        title: What failed, in a line.
        exception: The exception.
        facts: The request or the connection, in tables.
        text: All of it as text.
    """

    label: str
    title: str
    exception: ExceptionReport
    facts: tuple[Facts, ...]
    text: str


class ReportMaker:
    """The maker of reports for a project.

    Args:
        root: The project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._package = Path(nitro_py.__file__).parent

    def make(
        self, error: BaseException, mask: SecretMask, *, label: str, title: str, facts: Iterable[Facts]
    ) -> FailureReport:
        """Make the report of an exception.

        Args:
            error: The exception.
            mask: The mask for secrets.
            label: The kind of the failure.
            title: What failed.
            facts: The request or the connection.
        """
        # Files may have changed since they were last read.
        linecache.checkcache()
        lines = "".join(traceback.format_exception(error))
        if len(lines) > MAX_TRACEBACK:
            lines = f"{lines[: MAX_TRACEBACK // 2]}\n  …\n{lines[-MAX_TRACEBACK // 2 :]}"
        text = "".join(mask.mask(line) for line in f"{title}\n\n{lines}".splitlines(keepends=True))
        exception = self._describe(error, mask, seen=set())
        return FailureReport(label, mask.mask(title), exception, tuple(facts), text)

    def _describe(self, error: BaseException, mask: SecretMask, seen: set[int]) -> ExceptionReport:
        seen.add(id(error))
        frames, left_out = self._list_frames(error, mask)
        link: Link | None = None
        origin: BaseException | None = None
        if error.__cause__ is not None:
            link, origin = "cause", error.__cause__
        elif error.__context__ is not None and not error.__suppress_context__:
            link, origin = "context", error.__context__
        if origin is not None and (id(origin) in seen or len(seen) >= MAX_EXCEPTIONS):
            link = origin = None
        members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        return ExceptionReport(
            type=_name_type(error),
            message=mask.mask(_read_message(error)),
            notes=tuple(mask.mask(str(note)) for note in getattr(error, "__notes__", ())),
            frames=tuple(frames),
            left_out=left_out,
            link=link,
            origin=None if origin is None else self._describe(origin, mask, seen),
            members=tuple(
                self._describe(member, mask, seen)
                for member in islice(members, MAX_EXCEPTIONS)
                if id(member) not in seen
            ),
        )

    def _list_frames(self, error: BaseException, mask: SecretMask) -> tuple[list[Frame], int]:
        calls = list(_walk(error.__traceback__))
        left_out = max(0, len(calls) - MAX_FRAMES)
        if left_out:
            calls = [*calls[: MAX_FRAMES // 2], *calls[-MAX_FRAMES // 2 :]]
        frames = [self._read_call(call, mask) for call in calls]
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            start = max(0, (error.offset or 1) - 1)
            end = (error.end_offset or 0) - 1 if error.end_lineno == error.lineno else 0
            marked = (start, max(start + 1, end))
            frames.append(self._place(error.filename, error.lineno, "", mask, own=None, marked=marked))
        return frames, left_out

    def _read_call(self, call: TracebackType, mask: SecretMask) -> Frame:
        code, line = call.tb_frame.f_code, call.tb_lineno
        own = self._is_own(code.co_filename)
        # Most frames are the framework's, whose variables help few.
        values = dict(islice(call.tb_frame.f_locals.items(), MAX_VARIABLES)) if own else {}
        return self._place(
            code.co_filename,
            line,
            code.co_qualname,
            mask,
            own=own,
            marked=_find_columns(code, call.tb_lasti, line),
            variables=MaskedRepr(mask).describe(values),
        )

    def _place(
        self,
        name: str,
        line: int,
        function: str,
        mask: SecretMask,
        *,
        own: bool | None,
        marked: tuple[int, int] | None,
        variables: Pairs = (),
    ) -> Frame:
        lines = linecache.getlines(name)
        first = max(1, line - LINES_BEFORE)
        plain = [text.rstrip()[:MAX_LINE] for text in lines[first - 1 : line + LINES_AFTER]]
        masked = [mask.mask(text) for text in plain]
        if masked[line - first : line - first + 1] != plain[line - first : line - first + 1]:
            # The columns are not those of what is shown.
            marked = None
        path = Path(name)
        return Frame(
            file=self._name_file(path),
            path=str(path) if path.is_absolute() else "",
            line=line,
            function=function,
            own=self._is_own(name) if own is None else own,
            source=tuple(enumerate(masked, first)),
            marked=marked,
            variables=variables,
        )

    def _is_own(self, name: str) -> bool:
        path = Path(name)
        if not path.is_relative_to(self._root) or path.is_relative_to(self._package):
            return False
        folders = path.relative_to(self._root).parts[:-1]
        if any(part.startswith(".") or part in ("site-packages", "node_modules") for part in folders):
            return False
        return not (folders and (self._root / folders[0] / "pyvenv.cfg").exists())

    def _name_file(self, path: Path) -> str:
        if self._is_own(str(path)):
            return path.relative_to(self._root).as_posix()
        # The shortest is what one would import.
        for folder in sorted(map(Path, filter(None, sys.path)), key=lambda folder: -len(folder.parts)):
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return str(path)


def _walk(call: TracebackType | None) -> Iterator[TracebackType]:
    while call is not None:
        yield call
        call = call.tb_next


def _name_type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _read_message(error: BaseException) -> str:
    try:
        return str(error)[:MAX_MESSAGE]
    except Exception as failure:
        return f"<the message cannot be shown: its `__str__` raised {type(failure).__name__}>"


def _find_columns(code: CodeType, instruction: int, line: int) -> tuple[int, int] | None:
    """Return where in a line the instruction stands, in characters; `None` if that is not known."""
    if instruction < 0:
        return None
    start, end, first, last = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    if start != line or first is None or last is None:
        return None
    text = linecache.getline(code.co_filename, line)
    data = text.encode()
    # Python counts bytes.
    begin = len(data[:first].decode(errors="replace"))
    stop = len(data[:last].decode(errors="replace")) if end == line else len(text.rstrip())
    return (begin, stop) if begin < stop else None
