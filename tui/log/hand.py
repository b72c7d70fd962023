"""Handing a log out: to the clipboard, to a file, as plain text. The screen is the desk's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tui.log.lines import ERROR, HEAD, LEVEL
from tui.log.merge import MARK
from tui.log.page import whole_line
from tui.log.save import Refused, save, target
from tui.present import words
from tui.present.cut import clean
from tui.present.field import Field
from tui.view import Copy, Effect, Say

if TYPE_CHECKING:
    from tui.log.desk import LogDesk
    from tui.log.page import LogPage

COPY_BYTES: Final = 74_000
"""What a terminal's clipboard takes by OSC 52, with some room."""
PLAIN_LINES: Final = 1000
AROUND_ERROR: Final = 20
_ENTRY: Final = 500
_AT_ONCE_S: Final = 0.03


def save_as(desk: LogDesk, page: LogPage, typed: str, replace: bool = False) -> Sequence[Effect]:
    """Write what is shown, or all of it (``desk.whole``). A big log is written beside the keys, and said when it is done."""
    if desk.saving is not None:
        return [Say("a log is being saved already", "warn")]
    try:
        path = target(typed, replace)
    except Refused as error:
        if error.exists:
            desk.asking, desk.field, desk.path = "overwrite", Field(), typed
            return [Say(f"{clean(str(error))}; type overwrite to put this in its place", "warn")]
        return [Say(clean(str(error)), "warn")]
    desk.saving = 0

    def done(said: str, level: str) -> None:
        desk.saving = None
        desk.say_later(said, level)

    def progress(size: int) -> None:
        desk.saving = size

    names = [m.name for m in desk.merged.members] if desk.merged else []
    task = save(page.text, None if desk.whole else page.worker.shown, path, replace, names, done, progress)
    end = time.monotonic() + _AT_ONCE_S
    for _ in task:
        if time.monotonic() > end:
            page.worker.tasks.append(task)
            page.worker.nudge()
            break
    return desk.said_now() or [Say(f"saving {clean(str(path))} …")]


def copy(desk: LogDesk, page: LogPage, what: str) -> Sequence[Effect]:
    """``l`` the line, ``p`` the page, ``n`` the entry, ``e`` the error with lines around it, ``i`` the key."""
    if not page.text.size:
        return [Say("nothing to copy")]
    page.settle()
    match what:
        case "l":
            return _copied(page, [page.cursor], "the line")
        case "p":
            return _copied(page, page.on_page, f"{words.many(len(page.on_page), 'line')} of this page")
        case "n":
            lines = _entry(page, page.cursor)
            return _copied(page, lines, f"the entry, {words.many(len(lines), 'line')}")
        case "e":
            return _error(page)
        case "i" if desk.key():
            return [Copy(desk.key(), "the key")]
        case _:
            return ()


def _error(page: LogPage) -> Sequence[Effect]:
    """The error that the cursor is on, or the one above it."""
    at = page.cursor
    if page.text.state(at) & LEVEL != ERROR:
        found = page.worker.seek("error", -1, at, 0.05)
        page.worker.stop_seeking()
        if found is None or found.offset is None:
            return [Say("no error to copy: none was found")]
        at = found.offset
    entry = _entry(page, at)
    lines = [*page.walk(entry[0], -1, AROUND_ERROR), *entry, *page.walk(entry[-1], 1, AROUND_ERROR)]
    return _copied(page, lines, f"the error with {AROUND_ERROR} lines on each side")


def _entry(page: LogPage, offset: int) -> list[int]:
    """Offsets of the shown lines of the entry that a line belongs to."""
    lines = [offset]
    while not page.text.state(lines[0]) & HEAD and len(lines) < _ENTRY:
        above = page.walk(lines[0], -1, 1)
        if not above:
            break
        lines.insert(0, above[0])
    for below in page.walk(lines[-1], 1, _ENTRY):
        if page.text.state(below) & HEAD:
            break
        lines.append(below)
    return lines


def _copied(page: LogPage, offsets: Sequence[int], what: str) -> Sequence[Effect]:
    out: list[str] = []
    left = COPY_BYTES
    for at in offsets:
        line = whole_line(page.text, at, COPY_BYTES + 1)
        data = line.encode()
        if len(data) + 1 > left:
            out.append(data[: max(left, 0)].decode("utf-8", "ignore"))
            return [Copy("\n".join(out), f"{what}, cut at {COPY_BYTES:,} bytes, what a terminal's clipboard takes")]
        out.append(line)
        left -= len(data) + 1
    return [Copy("\n".join(out), what)]


def plain(desk: LogDesk) -> str | None:
    """Lines up to the end of the page as plain text, more than a screen of them; None: there are none."""
    page = desk.page
    if page is None or not page.on_page:
        return None
    with page.worker.mine():
        bottom = page.on_page[-1]
        return "\n".join(_plain_line(desk, page, at) for at in [*page.walk(bottom, -1, PLAIN_LINES - 1), bottom])


def _plain_line(desk: LogDesk, page: LogPage, at: int) -> str:
    line = whole_line(page.text, at)
    if not page.text.lead:
        return line
    return f"{desk.member_name(page.text.source.read(at, 1)[0] - MARK)}: {line}"
