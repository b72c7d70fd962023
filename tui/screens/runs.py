"""Runs: all runs newest first, or those of one pipeline. Only a window around the cursor is ever read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from adapters.model import VERBS, KeyOf, State, Verb
from engine.store.reader import Place
from engine.store.rows import RunRow, SourceRow, TraitRow
from tui import keymap
from tui.present import frame, lines, row_facts, runs, words
from tui.present.cut import clean
from tui.present.frame import Head
from tui.present.glyphs import LOOKS
from tui.present.head import source_now
from tui.present.menu import Entry, Menu
from tui.screens import VERB_OF, cannot, open_plan, window
from tui.screens.lists import Handler, ListScreen
from tui.screens.marks import Row
from tui.view import Context, Copy, Effect, Line, Open, Say, Span

PAGE = 200
"""Rows of one question to the store."""
KEPT = 800
"""Rows held at most; what is far from the cursor is read again when it is needed."""
LOOKED = 4000
"""How many rows a filter that the store cannot answer looks through for one page, before it says so."""
STILL_MS = 3000
"""New runs push nothing down for so long after the cursor moved."""
WINDOW = 1000
"""Runs that one step of a walk looks at."""
OLDEST = (-(1 << 62), 0)


class RunsView(ListScreen):
    """``arg``: key of a pipeline (its history), or None for all."""

    name: ClassVar[str] = "runs"
    title: ClassVar[str] = "Runs"
    contexts: ClassVar[tuple[str, ...]] = ("runs", "list", "global")
    topics: frozenset[str] = frozenset({"engine", "source", "health", "pipeline", "run", "alert", "arm", "sample"})
    ticks: ClassVar[bool] = True
    fields: ClassVar[Sequence[str]] = runs.FIELDS
    numbers: ClassVar[Sequence[str]] = runs.NUMBERS
    marks_what: ClassVar[str] = "runs"

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.pipeline = arg
        self.bare = arg is None
        self.head: Head | None = None
        self.window: list[RunRow] = []
        self.at_newest = True
        self.at_oldest = False
        self.cursor: str | None = None
        self.moved = False
        """Whether the operator moved; until then the cursor stays on the newest run."""
        self.moved_at = -STILL_MS
        self.waiting = 0
        self.total = 0
        self.looked = 0
        self._deep = 1
        """How many times ``LOOKED`` a search may go through."""
        self._traits: tuple[object, list[TraitRow]] = (None, [])
        self._top = 0
        self._read: object = None

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """The head, and the window again where runs moved."""
        reader = self.context.reader
        if self.head is None:
            self.start_view()
        self.head = Head.read(self.context)
        topics = dict(reader.topics())
        read = (topics.get("run"), topics.get("pipeline"))
        if read != self._read:
            self._read = read
            self._refresh()

    def _ask(self, **place: Any) -> tuple[list[RunRow], bool]:
        """One page that passes the filter, newest first; and whether the store has no more on that side."""
        now = self.context.now()
        asked = runs.asked(self.filter, self._pipelines(), now)
        newer = "after" in place
        if asked.before is not None and not newer:
            place["before"] = min(place.get("before", (asked.before, 1 << 62)), (asked.before, 1 << 62))
        out: list[RunRow] = []
        self.looked = 0
        wanted = asked.pipelines
        if self.pipeline is not None and wanted is not None:
            wanted = [t.id for t in self._pipelines() if t.key == self.pipeline and t.id in wanted]
            if not wanted:
                return out, True
        while True:
            rows, edge, looked = self._page_of(asked, place, now)
            self.looked += looked
            kept = [r for r in rows if self._passes(asked, r, now)] if asked.light or asked.rest else rows
            out = [*kept, *out] if newer else [*out, *kept]
            if edge is not None and not newer and asked.since is not None and edge[0] < asked.since:
                edge = None  # what is older is too old
            if edge is None or len(out) >= PAGE or self.looked >= LOOKED * self._deep:
                return out, edge is None
            place = {"after" if newer else "before": edge}

    def _page_of(self, asked: runs.Asked, place: dict[str, Any], now: int) -> tuple[list[RunRow], Place | None, int]:
        """Rows, where the next page begins (None: there is none), and how many runs were looked at."""
        reader = self.context.reader
        if asked.walks and self.pipeline is None:
            left = max(min(WINDOW, LOOKED * self._deep - self.looked), 1)
            return reader.runs_within(asked.keeps(now), states=asked.states, window=left, limit=PAGE, **place)
        rows = reader.runs(
            limit=PAGE, pipeline_key=self.pipeline, states=asked.states, text=asked.text, pipelines=asked.pipelines, **place
        )  # fmt: skip
        last = None if len(rows) < PAGE else rows[0] if "after" in place else rows[-1]
        return rows, None if last is None else (last.at, last.id), len(rows)

    def _pipelines(self) -> list[TraitRow]:
        """What the filter asks of pipelines; read only where it does, and again when they moved."""
        if not self.filter:
            return []
        moved = self.context.reader.topics().get("pipeline")
        if self._traits[0] != (moved,):
            self._traits = ((moved,), self.context.reader.traits())
        return self._traits[1]

    def _passes(self, asked: runs.Asked, r: RunRow, now: int) -> bool:
        source = self._source(r)
        facts = runs.facts(r, stale=source is None or source.stale(now), marked=r.key in self.marks)
        return asked.light.holds(facts, runs.number(r, now)) and asked.rest.holds(facts)

    def _refresh(self) -> None:
        """Read the window again where it stands. New runs push in only while the operator has not moved away from the top."""
        self.total = self.context.reader.run_count() if self.pipeline is None else 0
        first = self.window[0] if self.window else None
        at_top = self._top == 0 and (self.at_newest or bool(self.waiting))
        still = self.context.now() - self.moved_at < STILL_MS
        if first is None or (at_top and not still):
            self.window, self.at_oldest = self._ask()
            self.at_newest, self.waiting = True, 0
        else:
            kept, done = self._ask(before=(first.at, first.id + 1))
            if self.at_newest or self.waiting:
                newer, _ = self._ask(after=(first.at, first.id))
                self.waiting, self.at_newest = len(newer), not newer
            self.window, self.at_oldest = kept, done
        keys = [r.key for r in self.window]
        if not self.moved or self.cursor not in keys:
            self.cursor = keys[0] if keys else None

    def _older(self) -> None:
        if self.at_oldest or not self.window:
            return
        last = self.window[-1]
        more, self.at_oldest = self._ask(before=(last.at, last.id))
        self.window += more
        cut = len(self.window) - KEPT
        if cut > 0:
            self.window = self.window[cut:]
            self._top = max(self._top - cut, 0)
            self.at_newest = False

    def _newer(self) -> None:
        if self.at_newest or not self.window:
            return
        first = self.window[0]
        more, self.at_newest = self._ask(after=(first.at, first.id))
        self.waiting = 0
        self.window = [*more, *self.window]
        self._top += len(more)
        if len(self.window) > KEPT:
            self.window = self.window[:KEPT]
            self.at_oldest = False

    def _index(self) -> int:
        return next((i for i, r in enumerate(self.window) if r.key == self.cursor), 0)

    @property
    def here(self) -> RunRow | None:
        return self.window[self._index()] if self.window else None

    def about(self) -> str | None:
        return self.here.key if self.here is not None else self.pipeline

    @property
    def length(self) -> int:
        return len(self.window)

    def move(self, by: int) -> None:
        """Steps read on at the edges; ``g`` and ``G`` go to the newest and the oldest run of all."""
        if not self.window:
            return
        self.moved, self.moved_at = True, self.context.now()
        at = self._index() + by
        if abs(by) >= len(self.window) and by:  # g, G
            self._end(newest=by < 0)
            return
        if at >= len(self.window):
            self._older()
        elif at < 0:
            self._newer()
        self.cursor = self.window[min(max(self._index() + by, 0), len(self.window) - 1)].key

    def _end(self, *, newest: bool) -> None:
        if newest:
            self.window, self.at_oldest = self._ask()
            self.at_newest, self.moved, self._top, self.waiting = True, False, 0, 0
            self.cursor = self.window[0].key if self.window else None
            return
        self.window, done = self._ask(after=OLDEST)
        self.at_newest, self.at_oldest = done, True
        self._top = max(len(self.window) - self.page, 0)
        self.cursor = self.window[-1].key if self.window else None

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        ctx, head = self.context, self.head
        verdict = frame.verdict_of(head.counts)
        if frame.is_tiny(width, height):
            at = self._index()
            self._top = window(self._top, at, max(height - 3, 1), len(self.window))
            names: list[list[Span]] = []
            for i, r in enumerate(self.window[self._top : self._top + height], self._top):
                look = LOOKS[r.state]
                mark = ("▌", "mark") if i == at else (" ", "")
                names.append(
                    [mark, (look.glyph, look.style), (" ", ""), (clean(r.name), "text b" if i == at else "text")]
                )
            return frame.tiny(ctx, head, verdict, names, width, height, self._footer(width) if self.typing else None)
        top = frame.head_rows(ctx, head, verdict, self.title, width)
        room = height - len(top) - 1
        body = self.under_menu(self._table(width, room), width, room)
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _table(self, width: int, room: int) -> list[Line]:
        rows = max(room - 2, 1)
        self.page = rows
        cols = runs.columns(width)
        at = self._index()
        self._top = window(self._top, at, rows, len(self.window))
        shown = self.window[self._top : self._top + rows]
        out: list[Line] = [lines.rule(self._name(), self._note(), self._hint(shown, width), width, focused=True)]
        if not shown:
            if self.filter:
                out += self.empty_rows("no run is like that")
            else:
                out.append([("   no run seen yet", "dim")])
            return out
        out.append(lines.head(cols))
        tz, now = self.context.timezone, self.context.now()
        dark = {s.id for s in (self.head.sources if self.head else ()) if s.stale(now)}
        all_stale = frame.silent(self.context, self.head.engine if self.head else None)
        for i, r in enumerate(shown, self._top):
            there = source_now(self._source(r), now)
            line = runs.run_row(r, cols, tz, there, stale=all_stale or r.source_id in dark, here=i == at)
            line = lines.cursor(line, width) if i == at else line
            out.append(lines.marked(line) if r.key in self.marks else line)
        return out

    def _name(self) -> str:
        if self.pipeline is None:
            return "Runs"
        return f"Runs of {clean(self.window[0].name) if self.window else clean(self.pipeline)}"

    def _note(self) -> str:
        hidden = "hidden by the filter" if self.filter else "further away"
        marks = self.marks.words({r.key for r in self.window}, hidden)
        parts = [marks] if marks else []
        if self.filter:
            more = "" if self.at_oldest and self.at_newest else "+"
            total = words.count(self.total) if self.pipeline is None else ""
            parts.append(self.filter_note(f"{len(self.window)}{more}", total))
            if self.looked >= LOOKED * self._deep and not self.at_oldest:
                further = keymap.key_of("list.further")
                parts.append(f"searched the last {words.count(self.looked)} · {further} searches further")
        elif self.pipeline is None:
            parts.append(words.count(self.total))
        parts.append("newest first")
        if self.waiting:
            parts.append(f"{self.waiting}{'+' if self.waiting >= PAGE else ''} new · {keymap.key_of('move.top')}")
        return " · ".join(parts)

    def _hint(self, shown: Sequence[RunRow], width: int) -> str:
        if not shown or width < 100:
            return ""
        tz, now = self.context.timezone, self.context.now()
        edge = " the oldest" if self.at_oldest and shown[-1] is self.window[-1] else ""
        return f"{words.clock(shown[0].at, tz, now)} back to {words.clock(shown[-1].at, tz, now)}{edge}"

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            return self.field_row(width, f"{len(self.window)}{'' if self.at_oldest and self.at_newest else '+'} runs")
        if self.marks:
            return self.marks_footer(width)
        r = self.here
        ids = ["list.open", "run.log"]
        if r is not None and self.context.engine_alive and not self.context.read_only:
            ids += (
                ["run.stop", "run.hold"]
                if r.state.active
                else ["run.rerun_failed", "run.rerun"]
                if r.state.bad
                else ["run.rerun"]
            )
            ids.append("action.menu")
        ids.append("run.history")
        ids += ["list.filter", "copy.menu", "screen.floor", "screen.sources", "nav.back", "app.quit"]
        said = {"list.open": "story"}
        if r is not None and r.state == State.HELD:
            said["run.hold"] = "release"
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": lambda: self._open("run"),
            "list.further": self._further,
            "run.log": lambda: self._open("log"),
            "run.history": self._history,
            "run.diff": self._diff,
            "action.menu": self._actions,
            "action.arm": self._arm,
            "alert.ack": self._ack,
            "copy.menu": self._copy,
        }

    def _open(self, screen: str) -> Sequence[Effect]:
        return (Open(screen, self.here.key),) if self.here is not None else ()

    def _history(self) -> Sequence[Effect]:
        """Its runs × steps, at this run."""
        return self._open("history")

    def _diff(self) -> Sequence[Effect]:
        """This run beside the last success before it; of two marked runs, the newer beside the older."""
        if len(self.marks.names) < 2:
            return self._open("diff")
        at = {r.key: r.at for r in self.window}
        both = sorted(self.marks.names, key=lambda key: at.get(key, 0), reverse=True)
        if len(both) > 2 or both[0].partition("/")[0] != both[1].partition("/")[0]:
            return (Say("two runs of one pipeline can be compared: mark those two alone", "warn"),)
        return (Open("diff", f"{both[0]} {both[1]}"),)

    def _source(self, r: RunRow) -> SourceRow | None:
        return next((s for s in (self.head.sources if self.head else ()) if s.id == r.source_id), None)

    def verb(self, action: str) -> Sequence[Effect]:
        r = self.here
        if r is None:
            return ()
        verb = self._meant(VERB_OF[action], r)
        why = cannot(verb, self._source(r), self.context) or self._not_now(verb, r)
        if why:
            return (Say(f"{verb} {clean(r.name)}: {why}", "warn"),)
        key = r.pipeline_key if VERBS[verb].of == KeyOf.PIPELINE else r.key
        return (open_plan(verb, key, clean(r.name), self._source(r), self.context),)

    def _meant(self, verb: Verb, r: RunRow) -> Verb:
        if verb == Verb.HOLD and r.state == State.HELD:
            return Verb.RELEASE
        if verb == Verb.PAUSE:
            found = self.context.reader.pipeline(r.pipeline_key)
            if found is not None and found.mode.name == "PAUSED":
                return Verb.RESUME
        return verb

    @staticmethod
    def _not_now(verb: Verb, r: RunRow) -> str | None:
        if verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE) and not r.state.active:
            return "this run has ended"
        if verb in (Verb.RERUN, Verb.RERUN_FAILED) and r.state.active:
            return "this run has not ended"
        return None

    def _actions(self) -> Sequence[Effect]:
        r = self.here
        if r is None:
            return ()
        entries: list[Entry] = []
        for action, asked in VERB_OF.items():
            if action == "run.rerun_from":
                continue  # of a step: on the Run screen
            verb = self._meant(asked, r)
            why = cannot(verb, self._source(r), self.context) or self._not_now(verb, r)
            entries.append(Entry(keymap.key_of(action), verb.value, action, VERBS[verb].means, why))
        self.menu = Menu("Actions", self.acted_on(clean(r.name)), entries)
        return ()

    def _copy(self) -> Sequence[Effect]:
        r = self.here
        if r is None:
            return ()
        error = r.error or ""
        entries = [
            Entry("u", "run", Copy(r.key, "the run's key"), r.key),
            Entry("i", "key", Copy(r.pipeline_key, "the pipeline's key"), r.pipeline_key),
            Entry("e", "error", Copy(error, "the error"), clean(error)[:60], None if error else "there is none"),
        ]
        self.menu = Menu("Copy", f"of {clean(r.name)}", entries)
        return ()

    def _arm(self) -> Sequence[Effect]:
        assert self.head is not None
        return self.arm(self._source(self.here) if self.here is not None else None, self.head)

    def _ack(self) -> Sequence[Effect]:
        r = self.here
        if r is None:
            return ()
        found = self.alert_of(r.pipeline_key)
        return self.ack(found[0], clean(r.name), found[1]) if found else self.ack(None, clean(r.name))

    # --- the filter -------------------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        if not self.read_filter(text):
            return
        self.window, self._top, self.moved, self._deep = [], 0, False, 1
        self._refresh()

    @staticmethod
    def filter_states() -> frozenset[str]:
        return runs.all_state_words()

    def filter_values(self, fact: str) -> Iterable[str]:
        if fact == "kind":
            return runs.KINDS.values()
        if fact == "business_date":
            return {r.business_date or "" for r in self.window}
        return row_facts.values(fact, map(runs.pipeline_facts, self.context.reader.traits()))

    def _further(self) -> Sequence[Effect]:
        """``f``: look through older runs, where the search stopped."""
        if self.at_oldest or not self.filter:
            return (Say("every run was looked at" if self.filter else "no filter is on: all runs are here"),)
        self._deep += 3
        self._refresh()
        return ()

    # --- marks ------------------------------------------------------------------------------------------------------

    def markable(self) -> Sequence[Row]:
        return [(r.key, r.name) for r in self.window]

    def mark_here(self) -> Row | None:
        r = self.here
        return None if r is None else (r.key, r.name)

    def bulk_keys(self, verb: str) -> tuple[str, list[str]]:
        """Marked runs, or their pipelines where the verb is of pipelines; ``p`` and ``H`` undo where all stand already."""
        asked, keys = Verb(verb), list(self.marks.names)
        meant = {self._meant(asked, r) for r in self.window if r.key in self.marks}
        word = meant.pop() if len(meant) == 1 and all(k in {r.key for r in self.window} for k in keys) else asked
        if VERBS[word].of == KeyOf.PIPELINE:
            keys = list(dict.fromkeys(k.partition("/")[0] for k in keys))
        return word.value, keys

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        if self.head is None:
            self.load()
        return [runs.record(r) for r in self.window]
