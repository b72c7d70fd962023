"""A step's log: follow, search with count, next and previous error, keep and hide, wrap, time stamps, jump to a time, copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.model import State, parse_key
from engine.store.rows import LogRow, RunDetail, StepRow
from tui import keymap
from tui.logfile import LogFile
from tui.logpage import LogPage
from tui.present import frame, words
from tui.present.about import about
from tui.present.cut import clean, cut_middle
from tui.present.cut import width as cells_of
from tui.present.field import Field
from tui.present.lines import ends, fit, merge
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
        self.note = ""
        self.page = LogPage(context.mono)
        self._generation = -1
        self._follow = True
        self._seen = 0
        self._asking: str | None = None
        """Action id that the open field belongs to."""
        self._field = Field()
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
        self.row = next(
            (r for r in self.detail.logs if (r.step_key, r.attempt) == (self.step.key, self.step.attempt)), None
        )
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
        if self.page.log is None or str(self.page.log.path) != self.row.path:
            self.page.log = LogFile(Path(self.row.path))
        try:
            moved = self.page.log.refresh()
        except OSError as error:
            self.note = f"the log cannot be read: {error.strerror}"
            return
        if moved or self._generation != self.page.log.generation:
            self._generation = self.page.log.generation
            self.page.filter()
        if self._first and self.page.log.count:
            self._first = False
            if self.page.log.errors and self.step is not None and self.step.state.bad:
                self._follow = False
                self.page.go_far(self.page.nearest(self.page.log.errors[0]))
        if self._follow:
            self.page.cursor = max(0, self.page.count() - 1)
            self._seen = self.page.count()

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

    # --- painting -----------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        ctx = self.context
        if self._follow:
            self.take()
        top = self._top_rows(width)
        if height < 10:
            top = top[1:2]
        room = max(1, height - len(top) - 1)
        body: list[Line]
        if self.page.log is None or not self.page.log.count:
            body = [[(" " * width, "")], fit([("  Nothing to read: ", "dim"), (self.note, "text b")], width)]
            body.append(fit([("  ", ""), *self._where()], width))
        else:
            body = self.page.paint(width, room, self._end())
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _end(self) -> str:
        ended = self.row is not None and self.row.complete and self.step is not None
        return f"end of log · {self.step.state.name.lower()}" if ended and self.step else "end of log so far"

    def _where(self) -> list[Span]:
        url = self.detail.url if self.detail else None
        return [("its own screen: ", "dim"), (clean(url), "text")] if url else []

    def _top_rows(self, width: int) -> list[Line]:
        ctx = self.context
        row = self.detail.row if self.detail else None
        spot = about(row.environment, row.source, self.head.source(row.source)) if row else ()
        top: list[Line] = [frame.band_row(ctx, self.head, self.title, width, about=spot)]
        name: list[Span] = [(" ", "")]
        right: list[Span] = []
        if self.detail and self.step:
            name += [
                (cut_middle(clean(self.detail.row.name), width // 3), "text b"),
                (" / ", "dim"),
                (clean(self.step.step), "text b"),
            ]
            if self.step.map_index >= 0:
                name.append((f"[{self.step.map_index}]", "text b"))
            state = "running" if self.step.state.active else f"ended {self.step.state.name.lower().replace('_', ' ')}"
            name += [(f" attempt {self.step.attempt}", "text"), (f" · {state}", "dim")]
        if self.page.log and self.page.log.count:
            said = words.size(self.page.log.size)
            said += (
                f" · the last {words.size(self.page.log.size - self.page.log.skipped)} here"
                if self.page.log.skipped
                else " · all here"
            )
            right = [(said, "dim")]
        top.append(ends(name, right, width))
        left: list[Span] = [(" ", "")]
        if self.page.needle:
            here = sum(
                1 for h in self.page.hits if h <= (self.page.number(self.page.cursor) if self.page.count() else 0)
            )
            left += [
                (f"/{clean(self.page.needle)}", "text b"),
                (f"  match {here} of {len(self.page.hits):,}  " if self.page.hits else "  not found  ", "dim"),
            ]
        if self.page.keep:
            left += [("& ", "key"), (clean(self.page.keep), "text b"), (f" keeps {self.page.count():,}  ", "dim")]
        if self.page.drop:
            left += [("! ", "key"), (clean(self.page.drop), "text b"), (" hidden  ", "dim")]
        counts: list[Span] = []
        if self.page.log and self.page.log.count:
            e, w = len(self.page.log.errors), len(self.page.log.warnings)
            counts = [
                ("errors ", "dim"),
                (f"{e:,}", "run-failed b" if e else "text"),
                (" · warnings ", "dim"),
                (f"{w:,}", "run-warning b" if w else "text"),
            ]
        top.append(ends(left, counts, width))
        top.append(fit([("─" * width, "rule")], width))
        return top

    def _footer(self, width: int) -> Line:
        if self._asking is not None:
            means = {"log.search": "find", "log.keep": "keep only lines with", "log.drop": "hide lines with", "log.time": "jump to HH:MM"}[self._asking]  # fmt: skip
            typed: list[Span] = [(f"{FIELDS[self._asking]} ", "key b"), *self._field.spans(max(width // 2, 10))]
            typed.append((f"  {means} · Enter, Esc", "dim"))
            return frame.footer_row([], width, left=typed, typed=bool(self._field.text))
        if self._copying:
            return frame.footer_row([], width, left=[("copy: ", "dim"), ("l", "key b"), (" line   ", "dim"), ("p", "key b"), (" page   ", "dim"), ("i", "key b"), (" key", "dim")])  # fmt: skip
        count = self.page.count()
        new = count - self._seen
        where = "following"
        if not self._follow:
            late = f" · {new:,} new" if new > 0 and not (self.row and self.row.complete) else ""
            where = f"{min(self.page.cursor + 1, count):,} of {count:,}{late}"
        elif self.row is not None and self.row.complete:
            where = f"all {count:,}"
        help_: list[Span] = [(keymap.key_of("app.help"), "key b"), (" help", "dim")]
        size = cells_of(where) + 3
        entries = keymap.footer(self.contexts, max(width - size, 20)) if width > 60 else []
        spans: list[Span] = [(" ", "")]
        for i, (key, word) in enumerate(entries):
            spans += [("   " if i else "", ""), (key, "key b"), (f" {word}", "dim")]
        line = ends(spans, [(where, "text"), ("   ", ""), *help_], width)
        return merge((t, f"{s} on:surface".strip()) for t, s in line)

    @property
    def typing(self) -> bool:
        return self._asking is not None or self._copying

    # --- acting -----------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if action == "nav.back" and (
            self._asking or self._copying or self.page.needle or self.page.keep or self.page.drop
        ):
            return self._clear()
        if action in FIELDS:
            self._asking, self._field = action, Field()
            return ()
        page = PAGE
        moves = {
            "move.down": 1,
            "move.up": -1,
            "move.page_down": page,
            "move.page_up": -page,
            "move.half_down": page // 2,
            "move.half_up": -page // 2,
        }
        if action in moves:
            self._follow = self._follow and moves[action] > 0 and self.page.cursor >= self.page.count() - 1
            self._seen = max(self._seen, self.page.count()) if self._follow else self._seen
            self.page.go(self.page.cursor + moves[action])
            return ()
        match action:
            case "move.top":
                self._follow = False
                self.page.go(0)
            case "move.bottom":
                self.page.go(self.page.count() - 1)
                self._seen = self.page.count()
            case "log.follow":
                self._follow = not self._follow
                self._seen = self.page.count()
                if self._follow:
                    self.page.go(self.page.count() - 1)
                return [
                    Say(
                        "following: new lines come into view"
                        if self._follow
                        else "standing still: new lines are counted below"
                    )
                ]
            case "log.next_error" | "log.prev_error":
                return self._jump(
                    self.page.log.errors if self.page.log else [], 1 if action == "log.next_error" else -1, "error"
                )
            case "log.next" | "log.prev":
                if not self.page.needle:
                    return [Say(f"nothing is searched; {keymap.key_of('log.search')} finds a text", "info")]
                return self._jump(self.page.hits, 1 if action == "log.next" else -1, "match")
            case "log.wrap":
                self.page.wraps = not self.page.wraps
                return [Say("long lines wrap" if self.page.wraps else "long lines are cut; ← → scroll them")]
            case "log.stamps":
                self.page.stamps = not self.page.stamps
            case "log.left":
                self.page.left = max(0, self.page.left - 20)
            case "log.right":
                self.page.left = min(self.page.left + 20, max(0, self.page.longest - 20))
            case "copy.menu":
                self._copying = True
            case "view.pane":
                return self._other_step()
            case _:
                pass
        return ()

    def _clear(self) -> Sequence[Effect]:
        if self._asking or self._copying:
            self._asking, self._copying = None, False
        else:
            number = self.page.number(self.page.cursor) if self.page.count() else 0
            self.page.needle = self.page.keep = self.page.drop = ""
            if self.page.log:
                self.page.filter()
            self.page.go(self.page.nearest(number))
        return ()

    def _jump(self, numbers: Sequence[int], way: int, what: str) -> Sequence[Effect]:
        if not numbers:
            return [Say(f"no {what} in what is here", "info")]
        self._follow = False
        here = self.page.number(self.page.cursor) if self.page.count() else -1
        ahead = [n for n in numbers if (n > here if way > 0 else n < here)]
        around = not ahead
        target = (ahead[0] if way > 0 else ahead[-1]) if ahead else (numbers[0] if way > 0 else numbers[-1])
        self.page.go_far(self.page.nearest(target))
        return [Say(f"no further {what}: went on from the other end", "info")] if around else ()

    def _other_step(self) -> Sequence[Effect]:
        if self.detail is None or self.step is None or len(self.detail.steps) < 2:
            return [Say("this run has no other step", "info")]
        keys = [(s.key, s.attempt) for s in self.detail.steps]
        at = keys.index((self.step.key, self.step.attempt)) if (self.step.key, self.step.attempt) in keys else -1
        key, attempt = keys[(at + 1) % len(keys)]
        self._wish, self._attempt, self.page.log, self._first, self._follow = key, attempt, None, True, True
        self.page.cursor = self.page.top = 0
        self.load()
        return ()

    def type(self, text: str) -> Sequence[Effect] | None:
        if self._copying:
            return self._copy(text)
        if self._asking is None:
            return None
        if text == "edit.enter":
            return self._enter()
        if text == "edit.escape":
            self._asking = None
        elif not self._field.takes(text):
            return None
        else:
            self._field.type(text)
        return ()

    def _enter(self) -> Sequence[Effect]:
        field, typed, self._asking = self._asking, self._field.text, None
        if self.page.log is None:
            return ()
        number = self.page.number(self.page.cursor) if self.page.count() else 0
        if field == "log.search":
            self.page.needle = typed
            self.page.hits = self.page.log.find(typed)
            if typed and self.page.hits and number not in self.page.hits:
                return self._jump(self.page.hits, -1 if self._follow else 1, "match")
            return [Say(f"{clean(typed)!r} is not in what is here", "warn")] if typed and not self.page.hits else ()
        if field == "log.time":
            found = self.page.log.at_time(typed.strip())
            if found is None:
                return [Say(f"no line at or after {clean(typed)!r}; expected HH:MM or HH:MM:SS", "warn")]
            self._follow = False
            self.page.go_far(self.page.nearest(found))
            return ()
        if field == "log.keep":
            self.page.keep = typed
        else:
            self.page.drop = typed
        self.page.filter()
        self.page.go(self.page.nearest(number))
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        if self._asking is not None and text.strip():
            self._field.type(text.strip().splitlines()[0])
        return ()

    def _copy(self, text: str) -> Sequence[Effect]:
        self._copying = False
        if self.page.log is None or not self.page.count():
            return [Say("nothing to copy", "info")]
        if text == "l":
            return [Copy(clean(self.page.log.text(self.page.number(self.page.cursor))), "the line")]
        if text == "p":
            last = min(self.page.count(), self.page.top + PAGE)
            lines = [clean(self.page.log.text(self.page.number(p))) for p in range(self.page.top, last)]
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
        return {
            "key": self.step.key if self.step else self._wish,
            "note": self.note,
            "lines": [r["text"] for r in self.rows()],
        }

    def rows(self) -> list[dict[str, Any]]:
        if self.page.log is None:
            return []
        return [{"line": n + 1, "text": clean(self.page.log.text(n))} for n in range(self.page.log.count)]
