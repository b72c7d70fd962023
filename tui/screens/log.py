"""A step's log: where it lies, why there is none, its neighbours of the run. All that can be done to it is in ``tui.log``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from adapters.model import State, parse_key
from engine.store.rows import LogRow, RunDetail, StepRow
from tui import keymap
from tui.log.desk import LogDesk
from tui.log.merge import Member
from tui.log.page import whole_line
from tui.log.source import Source
from tui.present import frame, words
from tui.present.about import about
from tui.present.cut import clean, cut_middle
from tui.present.lines import ends, fit
from tui.view import Context, Effect, Line, Say, Span

DATA_LINES = 100_000
"""Lines that ``show`` gives as data at most, the last ones."""


class LogView(LogDesk):
    name: ClassVar[str] = "log"
    title: ClassVar[str] = "Log"
    topics: frozenset[str] = frozenset({"log", "step", "run", "health", "source", "arm"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self._wish, _, attempt = (arg or "").partition(" ")
        self._attempt = int(attempt) if attempt.isdigit() else None
        self.detail: RunDetail | None = None
        self.step: StepRow | None = None
        self.row: LogRow | None = None
        self._path = ""

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
        self.row = self._row_of(self.step)
        self.note = self._why_empty()
        self._open()

    def _row_of(self, step: StepRow) -> LogRow | None:
        assert self.detail is not None
        return next((r for r in self.detail.logs if (r.step_key, r.attempt) == (step.key, step.attempt)), None)

    def _pick(self, step: str | None, index: int) -> StepRow | None:
        assert self.detail is not None
        steps = self.detail.steps
        if step is not None:
            mine = [s for s in steps if (s.step, s.map_index) == (step, index)]
            if self._attempt is not None:
                mine = [s for s in mine if s.attempt == self._attempt] or mine
            return mine[-1] if mine else None
        from tui.screens.run_log import worth_a_look

        return worth_a_look(self.detail)

    def _open(self) -> None:
        """Open the file once; at the first error of a step that failed, else at the end."""
        row, step = self.row, self.step
        if row is None or step is None:
            return
        if self._path != row.path or (self.page is None and not self.merged):
            try:
                source = Source(row.path)
            except FileNotFoundError:
                if not row.note and row.size:
                    self.note = self._why_gone(row)
                return
            except OSError as error:
                self.note = f"the log cannot be read: {error.strerror}: {row.path}"
                return
            self._path = row.path
            page = self.open_source(source)
            if step.state.bad and source.size:
                with page.worker.mine():
                    found = page.worker.seek("error", 1, -1)
                    if found is not None and found.offset is not None:
                        page.go(found.offset)
        self.take()

    def _why_gone(self, row: LogRow) -> str:
        age = words.age(max(self.context.now() - row.updated, 0))
        return f"its file is gone: purged, or moved away; it had {words.size(row.size)}, last written {age} ago"

    def _why_empty(self) -> str:
        assert self.step is not None
        if self.row is not None and self.row.note:
            return clean(self.row.note)
        if self.row is not None:
            return "the step ended without writing anything" if self.row.complete else "nothing written yet"
        if self.step.state in (State.SKIPPED, State.EXPECTED):
            return "this step did not run, so it wrote no log"
        if self.step.state is State.QUEUED:
            return "not produced yet: this step has not started"
        source = self.head.source(self.detail.row.source) if self.detail else None
        if source is not None and "log" not in source.offers:
            return "this system offers no logs: " + source.why_not.get("log", "see its own screens")
        if not self.context.engine_alive:
            return "not fetched, and nobody is watching"
        if source is not None and source.stale(self.context.now()) and source.detail:
            return f"not fetched: {source.name} says {clean(source.detail)}"
        return "not fetched yet: the engine fetches it while this screen is open"

    def _next(self) -> list[Span]:
        """What to do where there is nothing to read."""
        out: list[Span] = []
        if not self.context.engine_alive:
            out += [(keymap.key_of("app.refresh"), "key b"), (" starts the engine   ", "dim")]
        elif "40" in self.note or "not fetched" in self.note:
            out += [(keymap.key_of("screen.sources"), "key b"), (" what the source says   ", "dim")]
        if self.detail is not None and len(self.detail.steps) > 1:
            out += [(keymap.key_of("view.pane"), "key b"), (" the next step   ", "dim")]
        url = self.detail.url if self.detail else None
        if url:
            out += [("its own screen: ", "dim"), (clean(url), "text")]
        if not out:
            out = [(keymap.key_of("nav.back", -1), "key b"), (" back", "dim")]
        return out

    # --- painting ---------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self.row is not None and self.row.complete and not (self.merged and self._running())

    def _running(self) -> bool:
        return self.detail is not None and any(not r.complete for r in self.detail.logs)

    def band(self, width: int) -> Line:
        row = self.detail.row if self.detail else None
        spot = about(row.environment, row.source, self.head.source(row.source)) if row else ()
        return frame.band_row(self.context, self.head, self.title, width, about=spot)

    def about_row(self, width: int, right: list[Span]) -> Line:
        name: list[Span] = [(" ", "")]
        if self.detail and self.step:
            name += [(cut_middle(clean(self.detail.row.name), width // 3), "text b"), (" / ", "dim")]
            if self.merged is not None:
                name += [("all steps by time", "text b")]
            else:
                name += [(clean(self.step.step), "text b")]
                if self.step.map_index >= 0:
                    name.append((f"[{self.step.map_index}]", "text b"))
                name += [(f" attempt {self.step.attempt}", "text"), (f" · {self._times(width)}{self._state()}", "dim")]
        return ends(name, right, width)

    def _times(self, width: int) -> str:
        assert self.step is not None
        tz = self.context.timezone
        if width < 110 or self.step.started is None:
            return ""
        began = words.hhmmss(self.step.started, tz)
        if self.step.ended is not None:
            return f"{began} to {words.hhmmss(self.step.ended, tz)} · "
        return f"{'since' if self.step.state.active else 'from'} {began} · "

    def _state(self) -> str:
        assert self.step is not None
        return "running" if self.step.state.active else f"ended {self.step.state.name.lower().replace('_', ' ')}"

    def end_words(self) -> str:
        if self.merged is not None:
            return "end of all logs" if self.ended else "end of all logs so far"
        notice = self.page.text.source.notice if self.page else ""
        more = f" · {clean(notice)}" if notice else ""
        if not self.ended or self.step is None:
            return f"end of log so far{more}"
        when = f" {words.hhmmss(self.step.ended, self.context.timezone)}" if self.step.ended else ""
        return f"end of log · {self._state()}{when}{more}"

    def empty(self, width: int) -> list[Line]:
        return [
            [(" " * width, "")],
            fit([("  Nothing to read: ", "dim"), (self.note, "text b")], width),
            fit([("  ", ""), *self._next()], width),
        ]

    # --- the run's other logs ---------------------------------------------------------------------------------------

    def members(self) -> list[Member]:
        if self.detail is None:
            return []
        began = {(s.key, s.attempt): s.started or s.queued or 0 for s in self.detail.steps}
        attempts = {r.step_key for r in self.detail.logs if r.attempt > 1}
        out: list[Member] = []
        for row in sorted(self.detail.logs, key=lambda r: (began.get((r.step_key, r.attempt), 0), r.step, r.attempt)):
            try:
                source = Source(row.path)
            except OSError:
                continue  # gone, or not to be read: the others are merged
            source.ended = row.complete
            name = row.step + (f"[{row.map_index}]" if row.map_index >= 0 else "")
            if row.step_key in attempts:
                name += f" attempt {row.attempt}"
            out.append(Member(name, source, began.get((row.step_key, row.attempt), 0)))
        return out

    def next_part(self) -> Sequence[Effect]:
        if self.detail is None or self.step is None or len(self.detail.steps) < 2:
            return [Say("this run has no other step", "info")]
        keys = [(s.key, s.attempt) for s in self.detail.steps]
        at = keys.index((self.step.key, self.step.attempt)) if (self.step.key, self.step.attempt) in keys else -1
        self._wish, self._attempt = keys[(at + 1) % len(keys)]
        self.page = self.merged = self.single = None
        self._path = ""
        self.load()
        return ()

    # --- handing out ------------------------------------------------------------------------------------------------

    def key(self) -> str:
        return self.step.key if self.step else ""

    def about(self) -> str | None:
        return self.step.key if self.step else None

    def save_name(self) -> str:
        if self.step is None:
            return super().save_name()
        stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in self.step.step)[:60]
        return f"{stem}.{self.step.attempt}.log" if self.merged is None else f"{stem}-and-others.log"

    def watch(self) -> dict[str, Any] | None:
        if self.step is None:
            return {"run": self._wish} if self._wish and "#" not in self._wish else None
        return {"run": self.detail.row.key if self.detail else None, "log": self.step.key, "attempt": self.step.attempt}

    def data(self) -> Any:
        return {
            "key": self.step.key if self.step else self._wish,
            "note": self.note,
            "lines": [r["text"] for r in self.rows()],
        }

    def rows(self) -> list[dict[str, Any]]:
        page = self.page
        if page is None:
            return []
        with page.worker.mine():
            while page.text.count():
                pass
            offsets = page.walk(page.text.size, -1, DATA_LINES)
            while page.looking and len(offsets) < DATA_LINES:
                page.looking = False
                more = page.walk(offsets[0] if offsets else page.text.size, -1, DATA_LINES - len(offsets))
                offsets = [*more, *offsets]
            return [{"line": page.text.number(at)[0] + 1, "text": whole_line(page.text, at)} for at in offsets]
