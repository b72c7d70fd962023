"""Going to the next error, warning or match, to a searched text, to a time; what is said where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tui.log.index import BLOCK
from tui.log.query import Needle, Search
from tui.log.when import NoTime, line_at, wanted
from tui.log.worker import Found
from tui.present.cut import clean
from tui.view import Effect, Say

if TYPE_CHECKING:
    from tui.log.desk import LogDesk
    from tui.log.page import LogPage

_NAMED: Final = {"error": "error", "warning": "warning", "hit": "match"}


def seek(desk: LogDesk, page: LogPage, what: str, way: int) -> Sequence[Effect]:
    page.settle()
    found = page.worker.seek(what, way, page.cursor)
    if found is None:
        page.worker.nudge()
        return [Say(f"looking for the next {_NAMED[what]} …")]
    return arrive(desk, found)


def arrive(desk: LogDesk, found: Found) -> Sequence[Effect]:
    page = desk.page
    assert page is not None
    what = _NAMED[found.what]
    if found.offset is None:
        search = page.worker.search
        said = (
            f"{clean(search.needle.typed)!r} is not in this log"
            if found.what == "hit" and search
            else f"no {what} in this log"
        )
        return [
            Say(
                said + (" as it is filtered" if page.worker.shown.active else ""),
                "warn" if found.what == "hit" else "info",
            )
        ]
    if page.follow:
        desk.stop_here(page)
    page.go(found.offset)
    return [Say(f"no further {what}: went on from the other end")] if found.around else ()


def search(desk: LogDesk, page: LogPage, typed: str) -> Sequence[Effect]:
    if not typed:
        page.worker.look_for(None)
        return ()
    search = Search(Needle(typed))
    page.worker.centre = max(page.cursor, 0)
    page.worker.look_for(search)
    desk.settle_small()
    if page.cursor in search.needle.in_block(page.text.block(page.cursor // BLOCK)):
        return ()
    said = seek(desk, page, "hit", -1 if page.follow else 1)
    return given_up(page) or said


def given_up(page: LogPage) -> Sequence[Effect]:
    """Let go of what takes too long, and say so."""
    worker, out = page.worker, list[Effect]()
    if worker.search is not None and (why := worker.search.needle.gave_up):
        worker.look_for(None)
        worker.stop_seeking()
        worker.found.clear()
        out.append(Say(clean(why), "warn"))
    slow = [one for one in worker.shown.filters if one.needle.gave_up]
    if slow:
        worker.shown.filters = [one for one in worker.shown.filters if one not in slow]
        worker.refilter()
        out += [Say(clean(one.needle.gave_up), "warn") for one in slow]
    return out


def go_to_time(desk: LogDesk, page: LogPage, typed: str) -> Sequence[Effect]:
    try:
        ms = wanted(typed, page.text, page.cursor)
    except NoTime as error:
        return [Say(str(error), "warn")]
    found = line_at(page.text, ms)
    if found is None:
        return [Say(f"no line at or after {clean(typed.strip())!r}: the log ends before", "warn")]
    if page.follow:
        desk.stop_here(page)
    page.go(found)
    return ()
