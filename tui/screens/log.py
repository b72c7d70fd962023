"""A step's log: follow, search with count, next and previous error, keep and hide, wrap, time stamps, jump to a time, copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.model import State, parse_key
from engine.store.rows import LogRow, RunDetail, StepRow
from tui import keymap
from tui.logfile import DEBUG, ERROR, WARN, LogFile, parts
from tui.present import frame, words
from tui.present.cut import clean, cut_middle
from tui.present.cut import width as cells_of
from tui.present.lines import cursor, ends, fit
from tui.view import Context, Copy, Effect, Line, Say, Span, View

PAGE = 20
FIELDS = {"log.search": "/", "log.keep": "&", "log.drop": "!", "log.time": "@"}


class LogView(View):
    name = "log"
    title = "Log"
    contexts = ("log", "global")
    topics: frozenset[str] = frozenset({"log", "step", "run", "health", "source", "arm"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self._wish, _, attempt = (arg or "").partition(" ")
        self._attempt = int(attempt) if attempt.isdigit() else None
        self.detail: RunDetail | None = None
        self.step: StepRow | None = None
        self.row: LogRow | None = None
        self.log: LogFile | None = None
        self.note = ""
        self._shown: list[int] | None = None
        self._generation = -1
        self._cursor = 0
        self._top = 0
        self._left = 0
        self._room = PAGE
        self._longest = 0
        self._follow = True
        self._seen = 0
        self._wrap = False
        self._stamps = True
        self._field: str | None = None
        self._typed = ""
        self._needle, self._keep, self._drop = "", "", ""
        self._hits: list[int] = []
        self._copying = False
        self._first = True

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        reader = self.context.reader
        self.head = frame.Head.read(self.context)
        key = self._wish
        if not key:
            newest = reader.runs(limit=1)
            key = newest[0].key if newest else ""
        if not key:
            self.note = "no run has been seen yet"
            return
        try:
            asked = parse_key(key)
        except ValueError as error:
            self.note = str(error)
            return
        self.detail = reader.run(asked.run_key) if asked.run_key else None
        if self.detail is None:
            self.note = f"the run {clean(key)} is not in the store"
            return
        self.step = self._pick(asked.step, asked.map_index)
        if self.step is None:
            self.note = "no step of this run is known yet; its steps are read while this screen is open"
            return
        self.row = next((r for r in self.detail.logs if (r.step_key, r.attempt) == (self.step.key, self.step.attempt)), None)
        self.note = self._why_empty()
        self.take()

    def _pick(self, step: str | None, index: int) -> StepRow | None:
        assert self.detail is not None
        steps = self.detail.steps
        if step is not None:
            mine = [s for s in steps if (s.step, s.map_index) == (step, index)]
            if self._attempt is not None:
                mine = [s for s in mine if s.attempt == self._attempt] or mine
            return mine[-1] if mine else None
        from tui.screens.run import worth_a_look

        return worth_a_look(self.detail)

    def take(self) -> None:
        """Bring the file up to date; also called while following, since bytes come without a word in the store."""
        if self.row is None:
            return
        if self.log is None or str(self.log.path) != self.row.path:
            self.log = LogFile(Path(self.row.path))
        try:
            moved = self.log.refresh()
        except OSError as error:
            self.note = f"the log cannot be read: {error.strerror}"
            return
        if moved or self._generation != self.log.generation:
            self._generation = self.log.generation
            self._filter()
        if self._first and self.log.count:
            self._first = False
            if self.log.errors and self.step is not None and self.step.state.bad:
                self._follow = False
                self._go_far(self._nearest(self.log.errors[0]))
        if self._follow:
            self._cursor = max(0, self._count() - 1)
            self._seen = self._count()

    def _why_empty(self) -> str:
        assert self.step is not None
        if self.row is not None and self.row.note:
            return clean(self.row.note)
        if self.row is not None:
            return "nothing written yet"
        if self.step.state in (State.SKIPPED, State.EXPECTED):
            return "this step did not run, so it wrote no log"
        if self.step.state is State.QUEUED:
            return "this step has not started, so it wrote no log yet"
        source = self.head.source(self.detail.row.source) if self.detail else None
        if source is not None and "log" not in source.offers:
            return "this system offers no logs: " + source.why_not.get("log", "see its own screens")
        return "not fetched yet: the engine fetches it while this screen is open"

    # --- lines shown ------------------------------------------------------------------------------------------------

    def _filter(self) -> None:
        """Numbers of the lines shown; None while nothing is filtered, so that a plain log costs nothing."""
        assert self.log is not None
        if not self._keep and not self._drop:
            self._shown = None
        else:
            kept = self.log.find(self._keep) if self._keep else list(range(self.log.count))
            gone = set(self.log.find(self._drop)) if self._drop else set[int]()
            self._shown = [n for n in kept if n not in gone]
        self._hits = self.log.find(self._needle)
        self._cursor = min(self._cursor, max(0, self._count() - 1))

    def _count(self) -> int:
        if self.log is None:
            return 0
        return self.log.count if self._shown is None else len(self._shown)

    def _number(self, position: int) -> int:
        return position if self._shown is None else self._shown[position]

    def _nearest(self, number: int) -> int:
        """Position of a line, or of the next one shown."""
        if self._shown is None:
            return number
        from bisect import bisect_left

        return min(bisect_left(self._shown, number), max(0, len(self._shown) - 1))

    def _go(self, position: int) -> None:
        self._cursor = min(max(position, 0), max(0, self._count() - 1))

    def _go_far(self, position: int) -> None:
        """Like ``_go``; a target out of sight comes to a third of the page, with what led to it above."""
        self._go(position)
        if not self._top <= self._cursor < self._top + self._room:
            self._top = max(0, self._cursor - self._room // 3)

    # --- painting -----------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        ctx = self.context
        if self._follow:
            self.take()
        top = self._top_rows(width)
        room = max(1, height - len(top) - 1)
        body: list[Line]
        if self.log is None or not self.log.count:
            body = [[(" " * width, "")], fit([("  Nothing to read: ", "dim"), (self.note, "text b")], width)]
            body.append(fit([("  ", ""), *self._where()], width))
        else:
            body = self._page(width, room)
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _where(self) -> list[Span]:
        url = self.detail.url if self.detail else None
        return [("its own screen: ", "dim"), (clean(url), "text")] if url else []

    def _top_rows(self, width: int) -> list[Line]:
        ctx = self.context
        about: list[Span] = []
        if self.detail:
            source = self.head.source(self.detail.row.source)
            band = frame.band(self.detail.row.environment, source.color if source else "", bool(source and source.protected))
            paper = f"band-{band}-fg on:band-{band}-bg"
            about = [(f" {clean(self.detail.row.environment or 'local').upper()} ", f"{paper} b"), (f"{clean(self.detail.row.source)} ", paper)]
        top: list[Line] = [frame.band_row(ctx, self.head, self.title, width, about=about)]
        name: list[Span] = [(" ", "")]
        right: list[Span] = []
        if self.detail and self.step:
            name += [(cut_middle(clean(self.detail.row.name), width // 3), "text b"), (" / ", "dim"), (clean(self.step.step), "text b")]
            if self.step.map_index >= 0:
                name.append((f"[{self.step.map_index}]", "text b"))
            state = "running" if self.step.state.active else f"ended {self.step.state.name.lower().replace('_', ' ')}"
            name += [(f" attempt {self.step.attempt}", "text"), (f" · {state}", "dim")]
        if self.log and self.log.count:
            said = words.size(self.log.size)
            said += f" · the last {words.size(self.log.size - self.log.skipped)} here" if self.log.skipped else " · all here"
            right = [(said, "dim")]
        top.append(ends(name, right, width))
        left: list[Span] = [(" ", "")]
        if self._needle:
            here = sum(1 for h in self._hits if h <= (self._number(self._cursor) if self._count() else 0))
            left += [(f"/{clean(self._needle)}", "text b"), (f"  match {here} of {len(self._hits):,}  " if self._hits else "  not found  ", "dim")]
        if self._keep:
            left += [("& ", "key"), (clean(self._keep), "text b"), (f" keeps {self._count():,}  ", "dim")]
        if self._drop:
            left += [("! ", "key"), (clean(self._drop), "text b"), (" hidden  ", "dim")]
        counts: list[Span] = []
        if self.log and self.log.count:
            e, w = len(self.log.errors), len(self.log.warnings)
            counts = [("errors ", "dim"), (f"{e:,}", "run-failed b" if e else "text"), (" · warnings ", "dim"), (f"{w:,}", "run-warning b" if w else "text")]
        top.append(ends(left, counts, width))
        top.append(fit([("─" * width, "rule")], width))
        return top

    def _page(self, width: int, room: int) -> list[Line]:
        assert self.log is not None
        count = self._count()
        self._room = room
        digits = len(f"{self.log.count:,}")
        if self._cursor < self._top:
            self._top = self._cursor
        rows: list[tuple[int, Line]] = []
        if not self._wrap:
            self._top = max(0, min(max(self._top, self._cursor - room + 1), count - 1))
            rows = [(p, self._line(p, width - 1, digits)[0]) for p in range(self._top, min(count, self._top + room))]
        else:
            rows = self._wrapped(width - 1, room, digits)
        marks = self._map(room)
        out: list[Line] = []
        for i, (position, line) in enumerate(rows[:room]):
            whole = fit(line, width - 1)
            if position == self._cursor:
                whole = self._under_cursor(whole, width - 1)
            out.append([*whole, marks[i]])
        if count and len(out) < room:
            ended = self.row is not None and self.row.complete
            said = "end of log" + (f" · {self.step.state.name.lower()}" if ended and self.step else " so far")
            out.append(fit([(" " * (digits + 4), ""), (said, "dim")], width))
        return out

    def _under_cursor(self, line: list[Span], width: int) -> list[Span]:
        """The cursor's row; hits of the search keep their ground on it."""
        if self.context.mono or not any("on:hit-bg" in style for _, style in line):
            return cursor(line, width, mono=self.context.mono)
        return [
            ("▌", "mark on:cursor-bg"),
            *((t, s if "on:hit-bg" in s else f"{s} on:cursor-bg".strip()) for t, s in _drop_first(line)),
        ]

    def _wrapped(self, width: int, room: int, digits: int) -> list[tuple[int, Line]]:
        """Like less: the page ends at the cursor's last row, or begins where it stood."""
        while True:
            rows: list[tuple[int, Line]] = []
            position = self._top
            while position < self._count() and (len(rows) < room or position <= self._cursor):
                rows += [(position, line) for line in self._line(position, width, digits, wrap=True)]
                position += 1
                if len(rows) > room and position <= self._cursor:
                    break
            shown = {p for p, _ in rows[:room]}
            if self._cursor in shown or self._top >= self._cursor:
                return rows
            self._top += 1

    def _line(self, position: int, width: int, digits: int, *, wrap: bool = False) -> list[Line]:
        assert self.log is not None
        number = self._number(position)
        level = self.log.level(number)
        style = {ERROR: "run-failed", WARN: "run-warning", DEBUG: "dim"}.get(level, "text")
        raw = self.log.raw(number)
        found = parts(raw[:20_000].decode("utf-8", "replace"))
        text = clean(found.rest.replace("\t", "    "))
        self._longest = max(self._longest, len(text))
        lead: list[Span] = [("▌" if level in (ERROR, WARN) else " ", style), (f" {number + 1:>{digits},}  ", "dim")]
        if self._stamps:
            lead.append((f"{found.clock:<8}  ", "dim"))
        if width >= 60:
            word = found.word if level in (ERROR, WARN) else found.word.lower()
            lead.append((f"{word[:6]:<6} ", f"{style} b" if level in (ERROR, WARN) else "dim"))
        used = sum(len(t) for t, _ in lead)
        if not wrap:
            return [[*lead, *self._marked(_cells_from(text, self._left), style)]]
        room = max(width - used, 10)
        pieces = _wrap(text, room) or [""]
        out: list[Line] = [[*lead, *self._marked(pieces[0], style)]]
        out += [[(" " * used, ""), *self._marked(piece, style)] for piece in pieces[1:]]
        return out

    def _marked(self, text: str, style: str) -> list[Span]:
        """Hits of the search on a ground of their own."""
        if not self._needle:
            return [(text, style)]
        low, needle = text.lower(), self._needle.lower()
        out: list[Span] = []
        at = 0
        if len(low) != len(text):
            return [(text, style)]
        while (hit := low.find(needle, at)) >= 0:
            out += [(text[at:hit], style), (text[hit : hit + len(needle)], "hit-fg b on:hit-bg")]
            at = hit + len(needle)
        out.append((text[at:], style))
        return out

    def _map(self, room: int) -> list[Span]:
        """Right edge: the whole log, ``█`` where errors and warnings are, ``┃`` the window."""
        assert self.log is not None
        total = max(self.log.count, 1)
        bad = {min(n * room // total, room - 1) for n in self.log.errors}
        soft = {min(n * room // total, room - 1) for n in self.log.warnings}
        count = max(self._count(), 1)
        first, last = self._top * room // count, min(room - 1, (self._top + room) * room // count)
        out: list[Span] = []
        for i in range(room):
            if i in bad:
                out.append(("█", "run-failed"))
            elif i in soft:
                out.append(("█", "run-warning"))
            else:
                out.append(("┃", "text") if first <= i <= last else ("│", "rule"))
        return out

    def _footer(self, width: int) -> Line:
        if self._field is not None:
            words_ = {"log.search": "find", "log.keep": "keep only lines with", "log.drop": "hide lines with", "log.time": "jump to HH:MM"}
            return frame.footer_row([], width, left=[(f"{FIELDS[self._field]} ", "key b"), (clean(self._typed), "text b"), ("█", "key"), (f"  {words_[self._field]} · Enter, Esc", "dim")])  # fmt: skip
        if self._copying:
            return frame.footer_row([], width, left=[("copy: ", "dim"), ("l", "key b"), (" line   ", "dim"), ("p", "key b"), (" page   ", "dim"), ("i", "key b"), (" key", "dim")])  # fmt: skip
        entries = keymap.footer(self.contexts, width - 24)
        count = self._count()
        new = count - self._seen
        where = "following" if self._follow else f"{min(self._cursor + 1, count):,} of {count:,}" + (f" · {new:,} new" if new > 0 and not (self.row and self.row.complete) else "")
        line = frame.footer_row(entries, width)
        tail: list[Span] = [(where, "text on:surface"), ("   ", "on:surface"), (keymap.key_of("app.help"), "key b on:surface"), (" help ", "dim on:surface")]
        size = sum(cells_of(t) for t, _ in tail)
        return fit([*fit(line, width - size), *tail], width) if width > 60 else line

    # --- acting -----------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if action == "nav.back" and (self._field or self._copying or self._needle or self._keep or self._drop):
            return self._clear()
        if action in FIELDS:
            self._field, self._typed = action, ""
            return ()
        page = PAGE
        moves = {"move.down": 1, "move.up": -1, "move.page_down": page, "move.page_up": -page, "move.half_down": page // 2, "move.half_up": -page // 2}
        if action in moves:
            self._follow = self._follow and moves[action] > 0 and self._cursor >= self._count() - 1
            self._seen = max(self._seen, self._count()) if self._follow else self._seen
            self._go(self._cursor + moves[action])
            return ()
        match action:
            case "move.top":
                self._follow = False
                self._go(0)
            case "move.bottom":
                self._go(self._count() - 1)
                self._seen = self._count()
            case "log.follow":
                self._follow = not self._follow
                self._seen = self._count()
                if self._follow:
                    self._go(self._count() - 1)
                return [Say("following: new lines come into view" if self._follow else "standing still: new lines are counted below")]
            case "log.next_error" | "log.prev_error":
                return self._jump(self.log.errors if self.log else [], 1 if action == "log.next_error" else -1, "error")
            case "log.next" | "log.prev":
                if not self._needle:
                    return [Say(f"nothing is searched; {keymap.key_of('log.search')} finds a text", "info")]
                return self._jump(self._hits, 1 if action == "log.next" else -1, "match")
            case "log.wrap":
                self._wrap = not self._wrap
                return [Say("long lines wrap" if self._wrap else "long lines are cut; ← → scroll them")]
            case "log.stamps":
                self._stamps = not self._stamps
            case "log.left":
                self._left = max(0, self._left - 20)
            case "log.right":
                self._left = min(self._left + 20, max(0, self._longest - 20))
            case "copy.menu":
                self._copying = True
            case "view.pane":
                return self._other_step()
            case _:
                pass
        return ()

    def _clear(self) -> Sequence[Effect]:
        if self._field or self._copying:
            self._field, self._copying = None, False
        else:
            number = self._number(self._cursor) if self._count() else 0
            self._needle = self._keep = self._drop = ""
            if self.log:
                self._filter()
            self._go(self._nearest(number))
        return ()

    def _jump(self, numbers: Sequence[int], way: int, what: str) -> Sequence[Effect]:
        if not numbers:
            return [Say(f"no {what} in what is here", "info")]
        self._follow = False
        here = self._number(self._cursor) if self._count() else -1
        ahead = [n for n in numbers if (n > here if way > 0 else n < here)]
        around = not ahead
        target = (ahead[0] if way > 0 else ahead[-1]) if ahead else (numbers[0] if way > 0 else numbers[-1])
        self._go_far(self._nearest(target))
        return [Say(f"no further {what}: went on from the other end", "info")] if around else ()

    def _other_step(self) -> Sequence[Effect]:
        if self.detail is None or self.step is None or len(self.detail.steps) < 2:
            return [Say("this run has no other step", "info")]
        keys = [(s.key, s.attempt) for s in self.detail.steps]
        at = keys.index((self.step.key, self.step.attempt)) if (self.step.key, self.step.attempt) in keys else -1
        key, attempt = keys[(at + 1) % len(keys)]
        self._wish, self._attempt, self.log, self._first, self._follow = key, attempt, None, True, True
        self._cursor = self._top = 0
        self.load()
        return ()

    def type(self, text: str) -> Sequence[Effect] | None:
        if self._copying:
            return self._copy(text)
        if self._field is None:
            return None
        if text == "edit.backspace":
            self._typed = self._typed[:-1]
        elif text == "edit.enter":
            return self._enter()
        elif text == "edit.escape":
            self._field = None
        elif not text.startswith("edit."):
            self._typed += text
        return ()

    def _enter(self) -> Sequence[Effect]:
        field, typed, self._field = self._field, self._typed, None
        if self.log is None:
            return ()
        number = self._number(self._cursor) if self._count() else 0
        if field == "log.search":
            self._needle = typed
            self._hits = self.log.find(typed)
            if typed and self._hits and number not in self._hits:
                return self._jump(self._hits, -1 if self._follow else 1, "match")
            return [Say(f"{clean(typed)!r} is not in what is here", "warn")] if typed and not self._hits else ()
        if field == "log.time":
            found = self.log.at_time(typed.strip())
            if found is None:
                return [Say(f"no line at or after {clean(typed)!r}; expected HH:MM or HH:MM:SS", "warn")]
            self._follow = False
            self._go_far(self._nearest(found))
            return ()
        if field == "log.keep":
            self._keep = typed
        else:
            self._drop = typed
        self._filter()
        self._go(self._nearest(number))
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        if self._field is not None:
            self._typed += clean(text.splitlines()[0] if text else "")[:200]
        return ()

    def _copy(self, text: str) -> Sequence[Effect]:
        self._copying = False
        if self.log is None or not self._count():
            return [Say("nothing to copy", "info")]
        if text == "l":
            return [Copy(clean(self.log.text(self._number(self._cursor))), "the line")]
        if text == "p":
            last = min(self._count(), self._top + PAGE)
            lines = [clean(self.log.text(self._number(p))) for p in range(self._top, last)]
            return [Copy("\n".join(lines), f"{len(lines)} lines")]
        if text == "i" and self.step:
            return [Copy(self.step.key, "the step's key")]
        return ()

    def watch(self) -> dict[str, Any] | None:
        if self.step is None:
            return {"run": self._wish} if self._wish and "#" not in self._wish else None
        return {"run": self.detail.row.key if self.detail else None, "log": self.step.key, "attempt": self.step.attempt}

    @property
    def live(self) -> bool:
        """Whether more bytes may come without a word in the store: the app looks again several times a second."""
        return self._follow and self.row is not None and not self.row.complete

    def data(self) -> Any:
        return {"key": self.step.key if self.step else self._wish, "note": self.note, "lines": [r["text"] for r in self.rows()]}

    def rows(self) -> list[dict[str, Any]]:
        if self.log is None:
            return []
        return [{"line": n + 1, "text": clean(self.log.text(n))} for n in range(self.log.count)]


def _drop_first(line: Sequence[Span]) -> list[Span]:
    """Without its first cell: the gutter."""
    first, style = line[0]
    return [(first[1:], style), *line[1:]] if first[1:] else list(line[1:])


def _cells_from(text: str, start: int) -> str:
    return text[start:] if start else text


def _wrap(text: str, room: int) -> list[str]:
    """Pieces of at most ``room`` cells."""
    if text.isascii():
        return [text[i : i + room] for i in range(0, len(text), room)]
    out: list[str] = []
    piece, used = "", 0
    for char in text:
        size = cells_of(char)
        if used + size > room:
            out.append(piece)
            piece, used = "", 0
        piece += char
        used += size
    return [*out, piece] if piece else out
