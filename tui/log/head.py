"""What stands above and below a page of a log: size and progress, the search, what is hidden by what, errors so far, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui import keymap
from tui.log.index import BLOCK
from tui.log.merge import MARK, letter
from tui.log.page import LETTERS
from tui.present import frame, words
from tui.present.cut import clean, cut_middle
from tui.present.cut import width as cells_of
from tui.present.lines import cells, ends, fit, merge

if TYPE_CHECKING:
    from tui.log.desk import LogDesk
    from tui.log.page import LogPage
    from tui.view import Line, Span

LEVEL_NAMES: Final = {0: "all", 2: "INFO+", 3: "WARN+", 4: "ERROR"}
_MEANS: Final = {
    "log.search": "find a text, or /a pattern/",
    "log.keep": "keep only lines with",
    "log.drop": "hide lines with",
    "log.time": "go to 03:12, 2026-11-20 03:12, -15m",
    "overwrite": "is there already: type overwrite to replace it",
}


def size_spans(desk: LogDesk, page: LogPage) -> list[Span]:
    """``1.2 MB · all here``, how far the counting is, or what happened to the file."""
    text = page.text
    out: list[Span] = [(words.size(text.size), "dim")]
    if desk.saving is not None:
        out.append((f" · saving, {words.size(desk.saving)} written", "text"))
    merged = desk.merged
    if merged is not None and merged.done < merged.whole and (merged.behind or merged.feeding):
        out.append((f" · merging, {_percent(merged.done, merged.whole)}", "text"))
    if text.source.notice:
        out.append((f" · {clean(text.source.notice)}", "run-late b"))
    elif text.counted < text.size:
        out.append((f" · counting, {_percent(text.counted, text.size)}", "dim"))
    else:
        out.append((" · all here", "dim"))
    return out


def _percent(part: int, whole: int) -> str:
    return f"{min(part * 100 // max(whole, 1), 99)}%"


def search_spans(page: LogPage) -> list[Span]:
    """``/contract  match 41 of 52``; while it is searched, how far."""
    worker = page.worker
    search = worker.search
    if search is None:
        return []
    typed = search.needle.typed
    out: list[Span] = [(clean(typed if typed.startswith("/") else f"/{typed}"), "text b")]
    found = search.found
    if not worker.searching:
        if not found.total:
            return [*out, ("  not found   ", "dim")]
        out += [(f"  match {_here(page)} of {found.total:,}   ", "dim")]
        return out
    return [*out, (f"  {found.total:,} so far   " if found.total else "  none so far   ", "dim")]


def _here(page: LogPage) -> str:
    """Number of the match under the cursor, or of the last one above it."""
    search = page.worker.search
    assert search is not None
    k = max(page.cursor, 0) // BLOCK
    head = search.found.before(min(k, len(search.found.values)))
    if head is None or k >= page.text.blocks:
        return "?"
    places = search.needle.in_block(page.text.block(k))
    if page.worker.shown.active:
        shown = set(page.worker.shown.in_block(page.text, k))
        places = [at for at in places if at in shown]
    return f"{head + sum(1 for at in places if at <= page.cursor):,}"


def _searched(page: LogPage, blocks: int) -> str:
    """``searched 12,400 of 180,000 lines``, in bytes while the lines are not counted."""
    text = page.text
    lines = text.lines
    share = blocks / max(text.blocks, 1)
    if lines is not None:
        return f"searched {int(lines * share):,} of {lines:,} lines"
    return f"searched {words.size(text.size * share)} of {words.size(text.size)}"


def filter_clauses(desk: LogDesk, page: LogPage) -> list[list[Span]]:
    """Each filter with what it hides."""
    shown = page.worker.shown
    out: list[list[Span]] = []
    if shown.level:
        hides = f" hides {shown.by_level.total:,}   "
        out.append([("& ", "key"), (LEVEL_NAMES[shown.level], "text b"), (hides, "dim")])
    for one in shown.filters:
        hides = f" hides {one.hidden.total:,}   "
        out.append([(f"{one.kind} ", "key"), (clean(one.needle.typed), "text b"), (hides, "dim")])
    if shown.off and desk.merged is not None:
        names = " ".join(letter(mark - MARK) for mark in sorted(shown.off))
        out.append([("off ", "key"), (names, "text b"), (f" hides {shown.by_member.total:,}   ", "dim")])
    return out


def progress_spans(page: LogPage) -> list[Span]:
    """How far the filters, then the search, have come."""
    worker = page.worker
    if worker.filtering:
        return [(_searched(page, worker.shown.count.done), "dim")]
    if worker.searching and worker.search is not None:
        return [(_searched(page, worker.search.found.done), "dim")]
    return []


def counts_spans(page: LogPage) -> list[Span]:
    """``errors 2 · warnings 5``, with ``so far`` while not all of it was read."""
    text = page.text
    errors, warnings = text.totals()
    out: list[Span] = [
        ("errors ", "dim"), (f"{errors:,}", "run-failed b" if errors else "text"),
        (" · warnings ", "dim"), (f"{warnings:,}", "run-warning b" if warnings else "text"),
    ]  # fmt: skip
    if not text.all_judged:
        out.append((f" so far, {_percent(text.judged, text.size)}", "dim"))
    return out


def third_row(desk: LogDesk, page: LogPage | None, width: int) -> Line:
    """Search and filters left, errors and warnings right; whole clauses, and how many are left out where they do not fit."""
    if page is None or not page.text.size:
        return fit([], width)
    clauses = [c for c in (search_spans(page), *filter_clauses(desk, page), progress_spans(page)) if c]
    wide = sum(map(cells, clauses)) + 2
    right = counts_spans(page)
    if wide + cells(right) > width:
        right = _short_counts(page)
    if wide + cells(right) > width and progress_spans(page):
        right = []  # how much of it was looked at says more now than what was counted
    room = width - cells(right) - 3
    left: list[Span] = [(" ", "")]
    for i, clause in enumerate(clauses):
        more = f"+{len(clauses) - i} more"
        last = i == len(clauses) - 1
        if cells(left) + cells(clause) + (0 if last else len(more) + 1) > room and i:
            left.append((more, "dim"))
            break
        left += clause
    return ends(left, right, width)


def _short_counts(page: LogPage) -> list[Span]:
    e, w = page.text.totals()
    so_far = "" if page.text.all_judged else "+"
    bad: Span = (f"{e:,}{so_far} err", "run-failed b" if e else "dim")
    return [bad, (f" {w:,}{so_far} warn", "run-warning b" if w else "dim")]


def position(desk: LogDesk, page: LogPage) -> str:
    """``4,120 of 4,126``, of what is shown; following or standing still, with what is new."""
    text, shown = page.text, page.worker.shown
    if page.follow:
        lines = text.lines
        return "following" if not desk.ended else f"all {lines:,}" if lines is not None else "at the end"
    late = f" · {desk.new:,} new" if desk.new and not desk.ended else ""
    if shown.active:
        at = shown.position(text, page.cursor) if 0 <= page.cursor < text.size else None
        whole = f"{shown.count.total:,}" + ("+" if page.worker.filtering else "")
        return f"{'?' if at is None else f'{at + 1:,}'} of {whole} shown{late}"
    lines = text.lines
    number, exact = text.number(max(page.cursor, 0))
    said = f"{'' if exact else '~'}{number + 1:,} of {f'~{text.about_lines():,}' if lines is None else f'{lines:,}'}"
    return f"{'paused · ' if late else ''}{said}{late}"


def footer(desk: LogDesk, width: int) -> Line:
    """Keys and the position; or the open field, or a choice."""
    page = desk.page
    if desk.asking is not None:
        return _typed(desk, width)
    if desk.menu is not None:
        return frame.footer_row([], width, left=_choice(desk, width))
    where = position(desk, page) if page is not None and page.text.size else ""
    help_: list[Span] = [(keymap.key_of("app.help"), "key b"), (" help", "dim")]
    size = cells_of(where) + 3
    entries = keymap.footer(desk.contexts, max(width - size, 20)) if width > 60 else []
    spans: list[Span] = [(" ", "")]
    for i, (key, word) in enumerate(entries):
        spans += [("   " if i else "", ""), (key, "key b"), (f" {word}", "dim")]
    line = ends(spans, [(where, "text"), ("   ", ""), *help_], width)
    return merge((t, f"{s} on:surface".strip()) for t, s in line)


def _typed(desk: LogDesk, width: int) -> Line:
    from tui.log.desk import FIELDS

    asked = desk.asking or ""
    means = _MEANS.get(asked, "")
    if asked == "log.save":
        what = "all lines" if desk.whole else "the lines that are shown"
        means = f"saves {what} · Tab: {'only those shown' if desk.whole else 'all'}"
    if asked == "overwrite":
        means = f"{cut_middle(clean(desk.path), max(width // 4, 8))} {means}"
    typed: list[Span] = [(f"{FIELDS[asked]} ", "key b"), *desk.field.spans(max(width // 3, 10))]
    typed.append((f"  {means} · Enter, Esc", "dim"))
    return frame.footer_row([], width, left=typed, typed=bool(desk.field.text))


def _choice(desk: LogDesk, width: int) -> list[Span]:
    if desk.menu == "copy":
        entries = [
            ("l", "line"),
            ("p", "page"),
            ("n", "entry"),
            ("e", "error ±20 lines"),
            *([("i", "key")] if desk.key() else []),
        ]
        return [("copy: ", "dim"), *_keys(entries)]
    if desk.menu == "remove":
        entries = [(str(i + 1), clean(said)) for i, said in enumerate(desk.removable())]
        return [("take away: ", "dim"), *_keys([*entries, ("a", "all")])]
    out: list[Span] = []
    off = desk.page.worker.shown.off if desk.page is not None else frozenset[int]()
    for i, member in enumerate(desk.merged.members if desk.merged is not None else []):
        name = cut_middle(clean(member.name), 20)
        here: list[Span] = [
            (letter(i), "key b"),
            (f" {name} ", "dim" if MARK + i in off else LETTERS[i % len(LETTERS)]),
            ("off  " if MARK + i in off else "on  ", "dim"),
        ]
        if cells(out) + cells(here) > width - 24:
            out.append(("… ", "dim"))
            break
        out += here
    return [*out, ("*", "key b"), (" all on · Esc", "dim")]


def _keys(entries: list[tuple[str, str]]) -> list[Span]:
    return [span for key, word in entries for span in ((key, "key b"), (f" {word}   ", "dim"))]
