"""From one log to all that belong together, read as one by time, and back; the cursor stays on its line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui import keymap
from tui.log.page import LogPage, whole_line
from tui.log.when import NoTime, line_at, wanted
from tui.present import words
from tui.view import Effect, Say

if TYPE_CHECKING:
    from tui.log.desk import LogDesk


def merge(desk: LogDesk, page: LogPage) -> Sequence[Effect]:
    if desk.merged is not None and desk.single is not None:
        desk.page, desk.merged, desk.single = desk.single, None, None
        return [Say("this log alone")]
    members = desk.members()
    if len(members) < 2:
        return [Say("there is no other log to merge with this one")]
    desk.single = page
    where = whole_line(page.text, page.cursor) if page.text.size else ""
    desk.start_merge(members)
    assert desk.page is not None
    assert desk.merged is not None
    desk.page.follow = page.follow
    if where and not page.follow:
        _find_again(page, desk.page)
    left = f", {desk.merged.left_out} more are left out" if desk.merged.left_out else ""
    key = keymap.key_of("view.pane")
    return [Say(f"{words.many(len(desk.merged.members), 'log')} by time{left}; {key} switches each on and off")]


def _find_again(old: LogPage, new: LogPage) -> None:
    """The merged log's line that the cursor was on, where it has been merged already."""
    line = old.text.line(max(old.cursor, 0), 4096)
    try:
        at = line_at(new.text, wanted("-0s", old.text, max(old.cursor, 0)))
    except NoTime:
        return
    if at is None:
        return
    near = [at, *new.walk(at, 1, 200)]
    new.go(next((n for n in near if new.text.line(n, 4096) == line), at))
